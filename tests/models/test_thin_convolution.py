import numpy as np
import pytest
import tensorflow as tf

from helpers.models import machine_code
from helpers.models.thin_convolution import ThinConvolution, convolve, is_supported


def by_tensorflow(x, kernel, bias, strides, padding, relu, pool):
    y = tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides, padding.upper()), bias)
    y = tf.nn.relu(y) if relu else y
    return tf.nn.max_pool2d(y, 2, 2, "VALID") if pool else y


def output_and_gradient(function, x):
    """The output, and the gradient of its sum with weights -3 to 3, one after the other."""

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            weights = tf.cast(tf.range(tf.size(y)) % 7 - 3, tf.float32)
            score = tf.reduce_sum(tf.reshape(weights, tf.shape(y)) * y)
        return y, tape.gradient(score, x)

    return [result.numpy() for result in run(tf.constant(x))]


def results(draw, shape, kernel_size=(3, 3), filters=32, **options):
    """Outputs and gradients of both, for numbers from `draw`."""
    options = {"strides": (1, 1), "padding": "valid", "relu": True, "pool": True} | options
    kernel_shape = (*kernel_size, shape[-1], filters)
    names = options["strides"], options["relu"], options["pool"]
    assert is_supported(ThinConvolution(*kernel_shape, *names))
    x, kernel, bias = (draw(size=size).astype("float32") for size in (shape, kernel_shape, filters))
    return (
        output_and_gradient(lambda x: convolve(x, tf.constant(kernel), bias, **options), x),
        output_and_gradient(lambda x: by_tensorflow(x, kernel, bias, **options), x),
    )


def check(*args, **options):
    """Compare on small whole numbers: no sum is rounded, and many outputs are equal."""
    rng = np.random.default_rng(0)
    ours, usual = results(lambda size: rng.integers(-4, 5, size), *args, **options)
    np.testing.assert_array_equal(ours[0], usual[0])
    np.testing.assert_array_equal(ours[1], usual[1])
    assert ours[0].any() and ours[1].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_rounding_is_that_of_a_sum(channels):
    draw = np.random.default_rng(0).normal
    ours, usual = results(draw, (3, 20, 20, channels), pool=False)
    np.testing.assert_allclose(ours[0], usual[0], atol=1e-5)
    np.testing.assert_allclose(ours[1], usual[1], atol=1e-4)
    pooled, usual = results(draw, (3, 20, 20, channels))
    np.testing.assert_allclose(pooled[0], usual[0], atol=1e-5)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel_size", [(3, 3), (2, 5), (1, 1), (7, 7)])
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_and_gradients_are_tensorflows(channels, kernel_size, padding, pool, relu):
    check((3, 11, 14, channels), kernel_size, padding=padding, pool=pool, relu=relu)


@pytest.mark.parametrize("size", [(4, 4), (5, 4), (4, 5), (5, 5), (6, 9)])
@pytest.mark.parametrize("pool", [True, False])
def test_odd_and_least_sizes(size, pool):
    check((2, *size, 3), pool=pool)


@pytest.mark.parametrize("filters", [4, 12, 16, 24, 48])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_fourth_number_of_filters(filters, channels):
    check((2, 8, 9, channels), filters=filters)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(2, 2), (1, 2), (3, 1)])
@pytest.mark.parametrize("size", [(12, 12), (13, 10)])
def test_strides(size, strides, padding):
    check((2, *size, 3), strides=strides, padding=padding, pool=False)


@pytest.mark.parametrize("images", [1, 2, 17])
def test_every_image_of_a_batch_is_done(images):
    check((images, 6, 6, 3))


def test_a_batch_of_none_gives_none():
    kernel, bias = tf.ones((3, 3, 1, 4)), tf.zeros(4)
    x = np.zeros((0, 6, 6, 1), "float32")
    y, gradient = output_and_gradient(lambda x: convolve(x, kernel, bias, pool=True), x)
    assert (y.shape, gradient.shape) == ((0, 2, 2, 4), (0, 6, 6, 1))


def test_of_equal_outputs_the_first_gets_the_gradient():
    kernel, bias = tf.ones((1, 1, 1, 4)), tf.zeros(4)
    x = np.float32([[1, 2, 3, 3], [2, 2, 3, 3]])[None, :, :, None]
    _, gradient = output_and_gradient(lambda x: convolve(x, kernel, bias, pool=True), x)
    first, second = -3 - 2 - 1 + 0, 1 + 2 + 3 - 3
    assert gradient[0, :, :, 0].tolist() == [[0, first, second, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("where", [0, 1, 2, 3])
@pytest.mark.parametrize("relu", [True, False])
def test_a_pixel_that_is_no_number_shows(where, relu):
    kernel, bias = tf.ones((1, 1, 1, 4)), tf.zeros(4)
    x = np.arange(4, dtype="float32")
    x[where] = np.nan
    assert np.isnan(convolve(x.reshape(1, 2, 2, 1), kernel, bias, pool=True, relu=relu)).all()


@pytest.mark.parametrize("other", [{"filters": 5}, {"rows": 33}, {"strides": (2, 2), "pool": True}])
def test_what_has_no_code_of_its_own_is_left_to_tensorflow(other):
    conv = ThinConvolution(**({"rows": 3, "columns": 3, "channels": 3, "filters": 32} | other))
    assert not is_supported(conv)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, 40, 12, 3)), tf.float32)
    kernel = tf.constant(rng.normal(size=(conv.rows, 3, 3, conv.filters)), tf.float32)
    options = {"strides": conv.strides, "padding": "same", "relu": True, "pool": conv.pool}
    bias = tf.ones(conv.filters)
    usual = by_tensorflow(x, kernel, bias, **options)
    np.testing.assert_allclose(convolve(x, kernel, bias, **options), usual, atol=1e-3)


def test_where_llvm_is_missing_tensorflow_does_the_same(monkeypatch):
    monkeypatch.setattr(machine_code, "ir", None)
    assert not is_supported(ThinConvolution(3, 3, 3, 32))
    x, kernel, bias = tf.ones((1, 6, 6, 3)), tf.ones((3, 3, 3, 32)), tf.ones(32)
    np.testing.assert_allclose(convolve(x, kernel, bias, pool=True), np.full((1, 2, 2, 32), 28))


def test_half_precision_is_left_to_tensorflow():
    x, kernel, bias = (tf.ones(s, tf.float16) for s in ((1, 6, 6, 3), (3, 3, 3, 32), 32))
    y = convolve(x, kernel, bias, pool=True)
    assert y.dtype == tf.float16
    np.testing.assert_allclose(y, np.full((1, 2, 2, 32), 28))
