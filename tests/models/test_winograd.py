import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from helpers.models import machine_code, winograd
from helpers.models.thin_convolution import by_tensorflow
from helpers.models.winograd import Winograd, convolve, is_supported


def output_and_gradient(function, x, kernel, bias, g=None, **options):
    """The output, and the gradient of its sum with weights `g`."""

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x, kernel, bias, **options)
        return y, tape.gradient(y, x, tf.ones_like(y) if g is None else g)

    return [result.numpy() for result in run(tf.constant(x))]


def whole_numbers(rng, *shape):
    return tf.constant(rng.integers(-4, 5, shape), tf.float32)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize(
    ("shape", "filters"),
    [((2, 7, 10, 16), 32), ((1, 8, 9, 40), 24), ((3, 20, 31, 32), 16), ((1, 4, 4, 64), 64)],
)
def test_whole_numbers_are_exact(shape, filters, padding, relu, pool):
    """No sum is rounded, and many outputs are equal; some shapes take several turns of tiles."""
    rng = np.random.default_rng(0)
    x, kernel = whole_numbers(rng, *shape), whole_numbers(rng, 3, 3, shape[-1], filters)
    bias = whole_numbers(rng, filters)
    options = {"padding": padding, "relu": relu, "pool": pool}
    g = whole_numbers(rng, *by_tensorflow(x, kernel, bias, **options).shape)
    ours = output_and_gradient(convolve, x, kernel, bias, g, **options)
    usual = output_and_gradient(by_tensorflow, x, kernel, bias, g, **options)
    np.testing.assert_array_equal(ours[0], usual[0])
    np.testing.assert_array_equal(ours[1], usual[1])
    assert ours[0].any() and ours[1].any()


def test_rounding_is_that_of_a_sum():
    """Against SciPy in double precision: not further off than a few times TensorFlow."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(1, 12, 12, 64)), rng.normal(size=(3, 3, 64, 32))
    exact = np.zeros((10, 10, 32))
    for c, f in np.ndindex(64, 32):
        exact[..., f] += scipy.signal.correlate2d(x[0, ..., c], kernel[..., c, f], "valid")
    arrays = [tf.constant(a, tf.float32) for a in (x, kernel, np.zeros(32))]
    exact_of_float = [
        np.abs(function(*arrays, relu=False)[0].numpy() - exact).mean()
        for function in (convolve, by_tensorflow)
    ]
    assert exact_of_float[0] < 4 * exact_of_float[1] + 1e-6
    np.testing.assert_allclose(convolve(*arrays, relu=False)[0], exact, atol=1e-4)


def test_cores_share_the_tiles(monkeypatch):
    monkeypatch.setattr(winograd, "LEAST_PRODUCTS", 1)
    rng = np.random.default_rng(0)
    x, kernel = whole_numbers(rng, 1, 30, 30, 16), whole_numbers(rng, 3, 3, 16, 16)
    results = []
    for cores in (1, 3, 7):
        monkeypatch.setattr(machine_code, "cores", lambda cores=cores: cores)
        results.append(output_and_gradient(convolve, x, kernel, tf.zeros(16)))
    for result in results[1:]:
        np.testing.assert_array_equal(result[0], results[0][0])
        np.testing.assert_array_equal(result[1], results[0][1])


@pytest.mark.parametrize(("lanes", "channels"), [(4, 48), (8, 56)])
def test_processors_of_narrower_vectors(monkeypatch, lanes, channels):
    """Code is kept by what it is made for, so these numbers of channels occur here only."""
    monkeypatch.setattr(machine_code, "lanes", lambda *channels: lanes)
    rng = np.random.default_rng(0)
    x, kernel = whole_numbers(rng, 2, 9, 8, channels), whole_numbers(rng, 3, 3, channels, 24)
    bias = whole_numbers(rng, 24)
    ours = output_and_gradient(convolve, x, kernel, bias, pool=True)
    usual = output_and_gradient(by_tensorflow, x, kernel, bias, pool=True)
    np.testing.assert_array_equal(ours[0], usual[0])
    np.testing.assert_array_equal(ours[1], usual[1])


def test_a_kernel_s_change_is_seen():
    rng = np.random.default_rng(0)
    kernel = tf.Variable(whole_numbers(rng, 3, 3, 16, 16))
    x = whole_numbers(rng, 1, 6, 6, 16)

    @tf.function
    def run():
        return convolve(x, tf.convert_to_tensor(kernel), tf.zeros(16), relu=False)

    before = run().numpy()
    kernel.assign_add(kernel)
    np.testing.assert_array_equal(run(), 2 * before)
    kernel.assign(tf.zeros_like(kernel))
    assert not run().numpy().any()


def test_nan_and_infinity_stay_in_their_outputs():
    """A tile that holds one gives NaN in four outputs at most more than nine products do."""
    x = np.zeros((1, 20, 20, 16), "float32")
    x[0, 9, 9, 3] = np.nan
    y = convolve(tf.constant(x), tf.ones((3, 3, 16, 16)), tf.zeros(16)).numpy()
    is_nan = np.isnan(y[0]).any(-1)
    assert is_nan[7:10, 7:10].all() and is_nan.sum() <= 16


@pytest.mark.parametrize("channels", [(3, 32), (16, 12), (8, 16), (20, 16)])
def test_few_or_odd_channels_are_left_to_tensorflow(channels):
    assert not is_supported(Winograd(*channels))
    x, kernel = tf.ones((1, 5, 5, channels[0])), tf.ones((3, 3, *channels))
    y = convolve(x, kernel, tf.ones(channels[1]))
    np.testing.assert_allclose(y, np.full((1, 3, 3, channels[1]), 9 * channels[0] + 1))


def test_where_llvm_is_missing_tensorflow_does_the_same(monkeypatch):
    monkeypatch.setattr(machine_code, "ir", None)
    assert not is_supported(Winograd(16, 16))
    x, kernel = tf.ones((1, 6, 6, 16)), tf.ones((3, 3, 16, 16))
    y = convolve(x, kernel, tf.ones(16), pool=True)
    np.testing.assert_allclose(y, np.full((1, 2, 2, 16), 145))
