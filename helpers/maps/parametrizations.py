"""What the optimizer moves, and how it becomes an image of pixels 0..255."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tensorflow as tf

from helpers.maps.parts import Part

PIXEL_RANGE = (0, 255)
SLOPE = 255 / 4
"""Pixels by which 255 sigmoid(v) moves for a small step of v at mid-gray."""

COLOUR_SD = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], "float32")
"""Square root of the covariance of ImageNet's colours (lucid, `color_correlation_svd_sqrt`)."""
COLOURS = (COLOUR_SD / np.linalg.norm(COLOUR_SD, axis=0).max()).T


def start_noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Seed input of a shape such as (H, W, C), float32: uniform noise of mean 127.5 and sd 12.75.

    keras-vis 0.4.1, `Optimizer._get_seed_input`: mean of the input range, sd 0.05 of its width.
    """
    noise = np.random.default_rng(seed).random(shape)
    noise = (noise - noise.mean()) / noise.std()
    low, high = PIXEL_RANGE
    return ((low + high) / 2 + 0.05 * (high - low) * noise).astype("float32")


@dataclass(frozen=True)
class Parametrization(Part):
    """Base of all parametrizations: variables to images.

    `is_bounded` says whether every image lies in 0..255, so that it is displayed as it is.
    `scale` is the step of the variables that a learning rate of 1 stands for, so that one learning
    rate suits all: about 64 pixels.
    """

    is_bounded: ClassVar[bool] = True
    scale: ClassVar[float] = 1.0

    def start(self, seed: int, shape: tuple[int, ...]) -> np.ndarray:
        """Variables of one map to start from, made by the seed.

        Args:
            seed: integer of at least 0.
            shape: of the map, (H, W, C), (T, C) or (D, H, W, C).
        """
        raise NotImplementedError

    def encode(self, image: np.ndarray) -> np.ndarray:
        """Variables of one map whose image is this one, of a map's shape, pixels 0..255."""
        raise NotImplementedError

    def images(self, variables: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
        """Images (N, *shape) of pixels 0..255 from the variables (N, ...)."""
        raise NotImplementedError

    def project(self, variables: tf.Tensor) -> tf.Tensor:
        """Variables after a step, brought back to what is legal."""
        return variables


@dataclass(frozen=True)
class Pixels(Parametrization):
    """The pixels themselves, without bounds (keras-vis). Starts at `start_noise`."""

    is_bounded: ClassVar[bool] = False
    scale: ClassVar[float] = SLOPE

    def start(self, seed, shape):
        return start_noise(seed, shape)

    def encode(self, image):
        return np.asarray(image, "float32")

    def images(self, variables, shape):
        return variables


@dataclass(frozen=True)
class BoundedPixels(Pixels):
    """The pixels themselves, clipped to 0..255 after each step. Starts at `start_noise`."""

    is_bounded: ClassVar[bool] = True

    def project(self, variables):
        return tf.clip_by_value(variables, *map(float, PIXEL_RANGE))


@dataclass(frozen=True)
class FourierImage(Parametrization):
    """The image's spectrum, scaled by 1 / frequency; colours decorrelated; a sigmoid bounds them.

    `x = 255 sigmoid(irfft2(scale * z) M / 4)` with
    `scale = sqrt(H W) / max(frequency, 1 / max(H, W))^decay` and the colours' matrix M (signals and
    volumes likewise over their own axes); variables z
    start as normal noise (Olah, Mordvintsev & Schubert 2017, "Feature Visualization", section
    "Preconditioning and Parameterization"; lucid, `optvis/param/spatial.py` and `color.py`).

    Attributes:
        sd: standard deviation of the noise that it starts from.
        decay: exponent of the frequency; 1 gives all frequencies the weight of natural images.
        decorrelate: whether a step of one variable moves the colours as they move together in
            ImageNet; images without 3 channels have no such step.
    """

    sd: float = 0.01
    decay: float = 1.0
    decorrelate: bool = True

    def start(self, seed, shape):
        *space, length, channels = shape
        size = (channels, *space, length // 2 + 1, 2)
        return np.random.default_rng(seed).normal(0, self.sd, size).astype("float32")

    def encode(self, image):
        inside = np.clip(np.asarray(image, "float64") / 255, 1 / 510, 1 - 1 / 510)
        values = 4 * np.log(inside / (1 - inside))
        if self._mixes(values.shape[-1]):
            values = values @ np.linalg.inv(COLOURS.astype("float64"))
        size = image.shape[:-1]
        planes = np.moveaxis(values, -1, 0)
        spectrum = np.fft.rfftn(planes, axes=range(1, planes.ndim)) / self._scale(size)
        return np.stack([spectrum.real, spectrum.imag], -1).astype("float32")

    def images(self, variables, shape):
        *size, channels = shape
        spectrum = tf.complex(variables[..., 0], variables[..., 1])
        values = _inverse(spectrum * self._scale(size), size)
        values = tf.transpose(values, (0, *range(2, len(values.shape)), 1)) / 4
        if self._mixes(channels):
            values = tf.reshape(tf.matmul(tf.reshape(values, (-1, 3)), COLOURS), tf.shape(values))
        return 255 * tf.sigmoid(tf.ensure_shape(values, (None, *shape)))

    def _mixes(self, channels: int) -> bool:
        return self.decorrelate and channels == 3

    def _scale(self, size) -> np.ndarray:
        *others, last = size
        axes = [*map(np.fft.fftfreq, others), np.fft.rfftfreq(last)]
        frequency = np.sqrt(sum(f**2 for f in np.meshgrid(*axes, indexing="ij")))
        scale = np.sqrt(np.prod(size)) / np.maximum(frequency, 1 / max(size)) ** self.decay
        return scale.astype("complex64")


def _inverse(spectrum: tf.Tensor, size: list[int]) -> tf.Tensor:
    """Inverse real Fourier transform over the last axes, one for each of `size`."""
    if len(size) == 1:
        return tf.signal.irfft(spectrum, size)
    if len(size) == 3:  # TensorFlow has no gradient of its transform over three axes
        k = np.arange(size[0])
        inverse = np.exp(2j * np.pi * np.outer(k, k) / size[0]) / size[0]
        spectrum = tf.einsum("dk,nckhw->ncdhw", inverse.astype("complex64"), spectrum)
    return tf.signal.irfft2d(spectrum, size[-2:])
