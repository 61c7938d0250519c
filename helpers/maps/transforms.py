"""Random changes of the image before the model sees it, so that a map does not depend on a pixel.

Each map draws its own uniform numbers, ahead and from its own seed: it does not depend on its
batch. Neighbouring geometric transforms become one bilinear resampling; outside of the image lies
its mirror image (NumPy's "reflect"), or gray where a `Pad` among them says so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import numpy as np
import tensorflow as tf

from helpers.maps.parts import Part
from helpers.maps.resampling import Size, resample

OUTSIDE = ("mirror", "gray")


@dataclass(frozen=True)
class Transform(Part):
    """Base of all transforms. `draws` is how many uniform numbers in 0..1 it takes for a step."""

    draws: ClassVar[int] = 0

    def size(self, size: Size) -> Size:
        """Height and width after it."""
        return size

    def images(self, images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """Images (N, H, W, C) after it; `draws` is (N, draws)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Geometric(Transform):
    """A transform that says where each pixel comes from, and whether gray lies outside."""

    outside = "mirror"

    def origins(self, draws: tf.Tensor, size: Size) -> tf.Tensor:
        """Matrices (N, 3, 3) from (x, y, 1) after it to (x, y, 1) before it, in pixels.

        Args:
            draws: (N, draws), uniform in 0..1.
            size: height and width before it.
        """
        raise NotImplementedError

    def images(self, images, draws):
        return _apply_geometric([self], images, draws)


@dataclass(frozen=True)
class Pad(Geometric):
    """Widens the image by `pixels` on each side, by its mirror image or by gray.

    Gray keeps a map from making use of the border, where a model pads with 0.
    """

    pixels: int = 12
    outside: str = "mirror"

    def __post_init__(self):
        """Check what lies outside."""
        super().__post_init__()
        if self.outside not in OUTSIDE:
            raise ValueError(f"outside of Pad must be one of {OUTSIDE}, got {self.outside!r}")

    def size(self, size):
        return size[0] + 2 * self.pixels, size[1] + 2 * self.pixels

    def origins(self, draws, size):
        shift = tf.fill([tf.shape(draws)[0]], float(-self.pixels))
        return _matrices(1.0, 0.0, shift, 0.0, 1.0, shift)


@dataclass(frozen=True)
class Jitter(Geometric):
    """Shifts the image by whole pixels, at most `pixels` each way (lucid crops instead)."""

    pixels: int = 8
    draws: ClassVar[int] = 2

    def origins(self, draws, size):
        shift = tf.floor(draws * (2 * self.pixels + 1)) - self.pixels
        return _matrices(1.0, 0.0, shift[:, 0], 0.0, 1.0, shift[:, 1])


@dataclass(frozen=True)
class RandomScale(Geometric):
    """Enlarges the image about its centre by a factor from `low` to `high`; the size stays."""

    low: float = 0.9
    high: float = 1.1
    draws: ClassVar[int] = 1

    def __post_init__(self):
        """Check the factors."""
        super().__post_init__()
        if not 0 < self.low <= self.high:
            raise ValueError(
                "low and high of RandomScale must have 0 < low <= high,"
                f" got {self.low} and {self.high}"
            )

    def origins(self, draws, size):
        inverse = 1 / (self.low + (self.high - self.low) * draws[:, 0])
        return _about_centre(inverse, tf.zeros_like(inverse), size)


@dataclass(frozen=True)
class RandomRotate(Geometric):
    """Rotates the image about its centre by at most `degrees` each way."""

    degrees: float = 10.0
    draws: ClassVar[int] = 1

    def origins(self, draws, size):
        angle = math.radians(self.degrees) * (2 * draws[:, 0] - 1)
        return _about_centre(tf.cos(angle), tf.sin(angle), size)


@dataclass(frozen=True)
class RandomCrop(Geometric):
    """Cuts out a window smaller by `pixels` along each side, anywhere in the image."""

    pixels: int = 8
    draws: ClassVar[int] = 2

    def size(self, size):
        if self.pixels >= min(size):
            raise ValueError(f"pixels of RandomCrop must be below {min(size)}, got {self.pixels}")
        return size[0] - self.pixels, size[1] - self.pixels

    def origins(self, draws, size):
        corner = tf.floor(draws * (self.pixels + 1))
        return _matrices(1.0, 0.0, corner[:, 0], 0.0, 1.0, corner[:, 1])


@dataclass(frozen=True)
class GaussianNoise(Transform):
    """Adds normal noise of `sd` pixel values (0..255)."""

    sd: float = 10.0
    draws: ClassVar[int] = 1

    def images(self, images, draws):
        seeds = tf.cast(draws[:, 0] * 2.0**24, tf.int32)
        return images + self.sd * _normal(seeds, images.shape[1:])


@dataclass(frozen=True)
class Blur(Transform):
    """Gaussian blur of `sd` pixels, to 3 sd each way, mirrored at the border."""

    sd: float = 1.0

    def __post_init__(self):
        """Check the width."""
        super().__post_init__()
        if self.sd <= 0:
            raise ValueError(f"sd of Blur must be above 0, got {self.sd}")

    def images(self, images, draws):
        radius = min(math.ceil(3 * self.sd), *images.shape[1:3])
        weights = np.exp(-((np.arange(-radius, radius + 1) / self.sd) ** 2) / 2)
        weights = tf.constant(weights / weights.sum(), tf.float32)
        kernel = tf.tile(weights[:, None, None, None], (1, 1, images.shape[-1], 1))
        edge = [radius, radius]
        images = tf.pad(images, [[0, 0], edge, edge, [0, 0]], "SYMMETRIC")
        images = tf.nn.depthwise_conv2d(images, kernel, [1] * 4, "VALID")
        return tf.nn.depthwise_conv2d(images, tf.transpose(kernel, (1, 0, 2, 3)), [1] * 4, "VALID")


@dataclass(frozen=True)
class _Fit(Geometric):
    """Cuts or widens the image about its centre to one size."""

    height: int
    width: int

    def size(self, size):
        return self.height, self.width

    def origins(self, draws, size):
        count = tf.shape(draws)[0]
        top, left = (size[0] - self.height) // 2, (size[1] - self.width) // 2
        shifts = tf.fill([count], float(left)), tf.fill([count], float(top))
        return _matrices(1.0, 0.0, shifts[0], 0.0, 1.0, shifts[1])


ROBUST = (
    GaussianNoise(8.0),
    Pad(12, "gray"),
    RandomScale(0.9, 1.1),
    RandomRotate(10.0),
    Jitter(8),
)
"""The usual set (Olah et al. 2017, "Feature Visualization", "Transformation Robustness")."""


def draw(transforms: Sequence[Transform], seed: int, steps: int) -> np.ndarray:
    """The uniform numbers in 0..1 that one map needs, (steps, draws) float32."""
    count = sum(transform.draws for transform in transforms)
    return np.random.default_rng([seed, 1]).random((steps, count), "float32")


def apply(transforms: Sequence[Transform], images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Images after all transforms, cut or widened to the size that they had.

    A signal is an image of one row; all slices of a volume change in the same way.

    Args:
        transforms: applied in order.
        images: (N, H, W, C), (N, T, C) or (N, D, H, W, C), pixels 0..255, of one size.
        draws: (N, draws of all transforms), uniform in 0..1.
    """
    if not transforms:
        return images
    if len(images.shape) == 3:
        return apply(transforms, images[:, None], draws)[:, 0]
    if len(images.shape) == 5:
        depth, height, width, channels = images.shape[1:]
        planes = tf.transpose(images, (0, 2, 3, 1, 4))
        planes = tf.reshape(planes, (-1, height, width, depth * channels))
        planes = apply(transforms, planes, draws)
        slices = tf.reshape(planes, (-1, height, width, depth, channels))
        return tf.transpose(slices, (0, 3, 1, 2, 4))
    height, width = images.shape[1:3]
    size = height, width
    for transform in transforms:
        size = transform.size(size)
    if size != (height, width):
        transforms = (*transforms, _Fit(height, width))
    for is_geometric, group in groupby(transforms, lambda t: isinstance(t, Geometric)):
        members = list(group)
        if is_geometric:
            count = sum(member.draws for member in members)
            images = _apply_geometric(members, images, draws[:, :count])
            draws = draws[:, count:]
            continue
        for member in members:
            images = member.images(images, draws[:, : member.draws])
            draws = draws[:, member.draws :]
    return images


def _normal(seeds: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Normal numbers (N, *shape) by seeds (N,), equal to `tf.random.stateless_normal`'s on a CPU.

    Made here from its bits (Box & Muller 1958), as XLA makes other numbers of them.
    """
    size = math.prod(shape)
    count = size + size % 2
    bits = tf.map_fn(
        lambda seed: tf.random.stateless_uniform(
            [count], tf.stack([seed, 0]), None, None, tf.uint32, "philox"
        ),
        seeds,
        fn_output_signature=tf.TensorSpec([count], tf.uint32),
    )
    uniform = tf.cast(bits & (2**23 - 1), tf.float32) / 2**23
    radius = tf.sqrt(-2 * tf.math.log(tf.maximum(uniform[:, ::2], 1e-7)))
    angle = 2 * math.pi * uniform[:, 1::2]
    pairs = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], -1)
    return tf.reshape(tf.reshape(pairs, (-1, count))[:, :size], (-1, *shape))


def _apply_geometric(transforms, images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    size = tuple(images.shape[1:3])
    origins = tf.eye(3, batch_shape=[tf.shape(images)[0]])
    for transform in transforms:
        origins = origins @ transform.origins(draws[:, : transform.draws], size)
        size, draws = transform.size(size), draws[:, transform.draws :]
    has_gray = any(transform.outside == "gray" for transform in transforms)
    return resample(images, origins, size, has_gray=has_gray)


def _about_centre(cos: tf.Tensor, sin: tf.Tensor, size: Size) -> tf.Tensor:
    y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
    return _matrices(cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)


def _matrices(*six) -> tf.Tensor:
    """(N, 3, 3) from the six numbers of the first two rows, each (N,) or one for all."""
    count = next(tf.shape(value)[0] for value in six if isinstance(value, tf.Tensor))
    columns = [tf.broadcast_to(value, [count]) for value in (*six, 0.0, 0.0, 1.0)]
    return tf.reshape(tf.stack(columns, 1), (-1, 3, 3))
