"""Images of which only the phases are free: MaCo (Fel et al. 2023, 2306.06805)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import tensorflow as tf

from helpers import natural
from helpers.images import as_pixels, fit
from helpers.maps.parametrizations import Parametrization, decorrelated, recorrelated


@dataclass(frozen=True)
class MagnitudeConstrained(Parametrization):
    """The phases of the image's spectrum; the magnitudes are those of natural images.

    `x = 255 sigmoid(irfft2(r exp(i p)) M)` (MaCo; Fel et al. 2023, 2306.06805, section 3.2)
    with the phases p as variables, the colours' matrix M of `FourierImage`, and r the mean
    magnitude over the photographs of `natural`, cut to the image's size (there: over ImageNet).
    So a map can neither grow high frequencies nor contrast. Phases start uniform in
    -spread..spread times pi.

    Attributes:
        spread: 1 for any phase at the start.
    """

    spread: float = 1.0

    def start(self, seed, shape):
        height, width, channels = shape
        size = (channels, height, width // 2 + 1)
        draw = np.random.default_rng(seed)
        return (self.spread * draw.uniform(-np.pi, np.pi, size)).astype("float32")

    def encode(self, image):
        """The phases of this image: the image itself comes back only if it has the magnitudes."""
        return np.angle(_spectra(np.asarray(image)[None])[0]).astype("float32")

    def images(self, variables, shape):
        height, width, _ = shape
        magnitudes = natural_magnitudes(tuple(shape))
        spectrum = tf.complex(tf.cos(variables) * magnitudes, tf.sin(variables) * magnitudes)
        values = tf.signal.irfft2d(spectrum, (height, width))
        values = recorrelated(tf.transpose(values, (0, 2, 3, 1)))
        return 255 * tf.sigmoid(tf.ensure_shape(values, (None, *shape)))


@lru_cache(maxsize=8)
def natural_magnitudes(shape: tuple[int, int, int]) -> np.ndarray:
    """Mean magnitude of the spectra of photographs, before the sigmoid, in decorrelated colours.

    Args:
        shape: (H, W, C) of the images.

    Returns:
        (C, H, W // 2 + 1) float32.
    """
    pixels = as_pixels(natural.photographs(shape[:2]).images)
    return np.abs(_spectra(fit(pixels, shape))).mean(0).astype("float32")


def _spectra(pixels: np.ndarray) -> np.ndarray:
    return np.fft.rfft2(np.moveaxis(decorrelated(pixels), -1, 1))
