import numpy as np
import pytest
import tensorflow as tf

from helpers import maps

SHAPES = [(24, 20, 3), (15, 21, 3), (16, 13, 1)]


def smooth_image(shape):
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    waves = [np.sin(7 * x + c) * np.cos(5 * y - c) for c in range(shape[2])]
    return (127.5 + 100 * np.stack(waves, -1)).astype("float32")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "parametrization", [maps.Pixels(), maps.BoundedPixels(), maps.FourierImage()], ids=str
)
def test_an_image_comes_back_from_its_variables(parametrization, shape):
    image = smooth_image(shape)
    variables = tf.constant(parametrization.encode(image)[None])
    assert variables.shape[1:] == parametrization.start(0, shape).shape
    np.testing.assert_allclose(parametrization.images(variables, shape)[0], image, atol=0.05)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_fourier_image_can_fit_a_given_image(shape):
    fourier, adam = maps.FourierImage(), maps.Adam(0.05)
    image = tf.constant(smooth_image(shape)[None])
    variables = tf.constant(fourier.start(0, shape)[None])

    @tf.function
    def fit(variables):
        slots = adam.start(variables)
        for _ in tf.range(400):
            with tf.GradientTape() as tape:
                tape.watch(variables)
                error = tf.reduce_mean((fourier.images(variables, shape) - image) ** 2)
            variables, slots = adam.update(variables, tape.gradient(error, variables), slots, 1.0)
        return variables, error

    assert float(fit(variables)[1]) < 0.01 * float(tf.math.reduce_variance(image))


@pytest.mark.parametrize(("decay", "slope"), [(1.0, -1), (1.5, -1.5), (0.0, 0)])
def test_the_spectrum_falls_as_a_power_of_the_frequency_at_the_start(decay, slope):
    fourier, size = maps.FourierImage(sd=1e-4, decay=decay, decorrelate=False), 64
    starts = np.stack([fourier.start(seed, (size, size, 1)) for seed in range(40)])
    images = fourier.images(tf.constant(starts), (size, size, 1)).numpy()[..., 0]
    amplitude = np.sqrt((np.abs(np.fft.rfft2(images - 127.5)) ** 2).mean(0))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    inside = (frequency > 2.5 / size) & (frequency < 0.45)
    fitted, _ = np.polyfit(np.log(frequency[inside]), np.log(amplitude[inside]), 1)
    assert fitted == pytest.approx(slope, abs=0.05)


def test_a_step_of_the_decorrelated_colours_moves_them_together():
    fourier = maps.FourierImage(sd=0.1)
    starts = np.stack([fourier.start(seed, (16, 16, 3)) for seed in range(30)])

    def correlation(parametrization):
        images = parametrization.images(tf.constant(starts), (16, 16, 3)).numpy()
        return np.corrcoef(images.reshape(-1, 3).T)[0, 1]

    assert correlation(fourier) > 0.7
    assert abs(correlation(maps.FourierImage(sd=0.1, decorrelate=False))) < 0.2


def test_colours_correlate_as_those_of_imagenet():
    """lucid's `color_correlation_svd_sqrt`, whose product with itself is the covariance."""
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
    covariance = root @ root.T
    sd = np.sqrt(np.diag(covariance))
    fourier = maps.FourierImage(sd=0.01, decay=0.0)
    starts = np.stack([fourier.start(seed, (16, 16, 3)) for seed in range(40)])
    images = fourier.images(tf.constant(starts), (16, 16, 3)).numpy().reshape(-1, 3)
    expected = covariance / np.outer(sd, sd)
    np.testing.assert_allclose(np.corrcoef(images.T), expected, atol=0.02)


def test_bounded_parametrizations_stay_in_range():
    wild = tf.constant(np.random.default_rng(0).normal(0, 900, (2, 8, 8, 3)).astype("float32"))
    assert not maps.Pixels().is_bounded
    bounded = maps.BoundedPixels().project(wild).numpy()
    assert bounded.min() == 0 and bounded.max() == 255
    np.testing.assert_array_equal(bounded, np.clip(wild, 0, 255))
    fourier = maps.FourierImage(sd=100.0)
    image = fourier.images(tf.constant(fourier.start(0, (8, 8, 3))[None]), (8, 8, 3)).numpy()
    assert image.min() >= 0 and image.max() <= 255
