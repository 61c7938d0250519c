"""What keeps an image from being noise: one value for each map, never summed over the batch."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import tensorflow as tf

from helpers.maps.parts import Part

EPSILON = 1e-7


@dataclass(frozen=True)
class Regularizer(Part):
    """Base of all regularizers: what is added to the loss, `weight` times the value of an image.

    Attributes:
        weight: at least 0. Maps of different weights share a batch.
    """

    weight: float
    part: ClassVar[str]
    """Name of its part of the loss in a Dataset."""

    def __post_init__(self):
        """Check the weight."""
        super().__post_init__()
        if self.weight < 0:
            raise ValueError(
                f"weight of {type(self).__name__} must be at least 0, got {self.weight}"
            )

    @property
    def form(self) -> "Regularizer":
        """The same regularizer with weight 0: what a compiled loop is made for."""
        return replace(self, weight=0.0)

    def values(self, images: tf.Tensor) -> tf.Tensor:
        """The value of each map, without the weight: (N, *image shape) pixels to (N,)."""
        raise NotImplementedError


@dataclass(frozen=True)
class TotalVariation(Regularizer):
    """`sum ((x[i+1,j] - x[i,j])^2 + (x[i,j+1] - x[i,j])^2)^(beta/2) / n`; see `total_variation`."""

    beta: float = 2.0
    part: ClassVar[str] = "tv"

    def values(self, images):
        return total_variation(images, self.beta)


@dataclass(frozen=True)
class LpNorm(Regularizer):
    """`(sum |x|^p)^(1/p) / n`, p even; see `lp_norm`."""

    p: int = 6
    part: ClassVar[str] = "lp_norm"

    def __post_init__(self):
        """Check the exponent."""
        super().__post_init__()
        if self.p < 2 or self.p % 2:
            raise ValueError(f"p of LpNorm must be even and at least 2, got {self.p}")

    def values(self, images):
        return lp_norm(images, self.p)


@dataclass(frozen=True)
class L1(Regularizer):
    """`sum |x - around| / n`.

    Attributes:
        weight: at least 0.
        around: the pixel value that costs nothing; 127.5 for mid-gray.
    """

    around: float = 0.0
    part: ClassVar[str] = "l1"

    def values(self, images):
        return tf.reduce_mean(tf.abs(images - self.around), axis=_axes(images))


@dataclass(frozen=True)
class L2(Regularizer):
    """`sum (x - around)^2 / n`.

    Attributes:
        weight: at least 0.
        around: the pixel value that costs nothing; 127.5 for mid-gray.
    """

    around: float = 0.0
    part: ClassVar[str] = "l2"

    def values(self, images):
        return tf.reduce_mean((images - self.around) ** 2, axis=_axes(images))


def lp_norm(x: tf.Tensor, p: int = 6) -> tf.Tensor:
    """`(sum |x|^p)^(1/p) / n` of each image: holds the pixels near 0.

    keras-vis 0.4.1, `regularizers.LPNorm`, divided by n = H W C as its `normalize` does.

    Args:
        x: (N, H, W, C), (N, T, C) or (N, D, H, W, C), any range.
        p: the norm's exponent, even.

    Returns:
        (N,).
    """
    powers = squares = x * x
    for _ in range(p // 2 - 1):  # products: a power function takes most of a step's time
        powers = powers * squares
    return tf.reduce_sum(powers, axis=_axes(x)) ** (1 / p) / _size(x)


def total_variation(x: tf.Tensor, beta: float = 2.0) -> tf.Tensor:
    """`sum ((x[i+1,j] - x[i,j])^2 + (x[i,j+1] - x[i,j])^2)^(beta/2)`, over n, of each image.

    The last row and column are dropped, as in keras-vis 0.4.1, `regularizers.TotalVariation`;
    Mahendran & Vedaldi 2016 (1512.02017), section 3.2.2. Signals and volumes as there: the squares
    along each axis but the channels are summed. Below beta = 2 the sum of squares is raised by
    1e-7, as the power has no gradient at 0.

    Args:
        x: (N, H, W, C), (N, T, C) or (N, D, H, W, C), any range.
        beta: 2 for smooth images, 1 for even patches.

    Returns:
        (N,).
    """
    space = len(x.shape) - 2
    here = x[(slice(None), *[slice(-1)] * space)]
    squares = 0.0
    for axis in range(space):
        ahead = [slice(1, None) if other == axis else slice(-1) for other in range(space)]
        squares += (x[(slice(None), *ahead)] - here) ** 2
    if beta != 2:
        squares = (squares + EPSILON) ** (beta / 2)
    return tf.reduce_sum(squares, axis=_axes(x)) / _size(x)


def _axes(x: tf.Tensor) -> list[int]:
    """All axes but that of the maps."""
    return list(range(1, len(x.shape)))


def _size(x: tf.Tensor) -> float:
    return float(np.prod(x.shape[1:]))
