import numpy as np
import pytest
import tensorflow as tf

from helpers import maps, natural
from helpers.maps.magnitudes import natural_magnitudes
from helpers.maps.parametrizations import COLOURS

SHAPES = [(24, 20, 3), (15, 21, 1)]


def logit(images):
    share = np.asarray(images, "float64") / 255
    return np.log(share / (1 - share))


def spectra(images):
    """(N, C, H, W), by NumPy, of the images before the sigmoid, in decorrelated colours."""
    values = logit(images)
    if values.shape[-1] == 3:
        values = values @ np.linalg.inv(COLOURS.astype("float64"))
    return np.fft.fft2(values, axes=(1, 2)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_the_phases_the_magnitudes_are_those_of_photographs(shape):
    maco, (height, width, channels) = maps.MagnitudeConstrained(), shape
    phases = tf.constant(np.stack([maco.start(seed, shape) for seed in range(3)]))
    images = maco.images(phases, shape).numpy()
    magnitudes = np.abs(spectra(images))
    photographs = 255 * natural.photographs((height, width)).images
    photographs = np.clip(photographs, 0.5, 254.5)
    if channels == 1:
        photographs = photographs.mean(-1, keepdims=True)
    expected = np.abs(spectra(photographs)).mean(0)
    free = np.s_[..., 1 : (width - 1) // 2]  # the others are their own mirror images
    np.testing.assert_allclose(magnitudes[free], np.array([expected] * 3)[free], rtol=0.02)


def test_the_phases_are_free_and_start_anywhere():
    maco, shape = maps.MagnitudeConstrained(), (24, 20, 3)
    start = maco.start(4, shape)
    assert start.min() < -3.1 and start.max() > 3.1 and abs(start.mean()) < 0.3
    images = maco.images(tf.constant(start[None]), shape).numpy()
    directions = spectra(images)[0][..., 1:9]
    expected = np.exp(1j * start)[..., 1:9]
    np.testing.assert_allclose(directions / np.abs(directions), expected, atol=0.02)


def test_an_image_of_these_magnitudes_comes_back():
    maco, shape = maps.MagnitudeConstrained(), (16, 13, 1)
    phases = maco.start(1, shape)
    for _ in range(2):  # at first its columns of frequency 0 are not those of a real image
        image = maco.images(tf.constant(phases[None]), shape).numpy()[0]
        phases = maco.encode(image)
    again = maco.images(tf.constant(phases[None]), shape).numpy()[0]
    np.testing.assert_allclose(again, image, atol=0.5)


def test_high_frequencies_are_weak_as_in_photographs():
    magnitudes = natural_magnitudes((64, 64, 3))[0]
    assert magnitudes.shape == (64, 33)
    assert magnitudes[0, 1] > 20 * magnitudes[32, 32]
