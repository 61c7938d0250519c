import numpy as np
import pytest
import tensorflow as tf

from helpers.models import machine_code
from helpers.models.pointwise import Pointwise, convolve, is_supported

ACTIVATIONS = {"linear": tf.identity, "relu": tf.nn.relu, "relu6": tf.nn.relu6}


def by_tensorflow(conv, x, kernel, factor, term):
    return ACTIVATIONS[conv.activation](tf.nn.conv2d(x, kernel, 1, "VALID") * factor + term)


def output_and_gradient(function, conv, x, g, *rest):
    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(conv, x, *rest)
        return y, tape.gradient(y, x, g)

    return [result.numpy() for result in run(x)]


def whole_numbers(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).integers(-2, 3, shape), tf.float32)


def check(shape, filters, activation):
    """Compare on small whole numbers: no sum is rounded, and many outputs are flat."""
    conv = Pointwise(shape[-1], filters, activation)
    assert is_supported(conv)
    x, kernel = whole_numbers(*shape), whole_numbers(1, 1, shape[-1], filters, seed=1)
    rest = kernel, whole_numbers(filters, seed=2), whole_numbers(filters, seed=3)
    g = whole_numbers(*shape[:-1], filters, seed=4)
    ours = output_and_gradient(convolve, conv, x, g, *rest)
    usual = output_and_gradient(by_tensorflow, conv, x, g, *rest)
    np.testing.assert_array_equal(ours[0], usual[0])
    np.testing.assert_array_equal(ours[1], usual[1])
    assert ours[0].any() and ours[1].any()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("shape", "filters"),
    [
        ((2, 7, 9, 16), 32),
        ((1, 3, 3, 24), 40),  # fewer positions than a group
        ((3, 20, 31, 8), 144),
        ((2, 5, 10, 48), 16),
        ((1, 13, 15, 96), 24),
    ],
)
def test_whole_numbers_are_exact(shape, filters, activation):
    check(shape, filters, activation)


@pytest.mark.parametrize(("lanes", "channels"), [(4, 56), (8, 72)])
def test_processors_of_narrower_vectors(monkeypatch, lanes, channels):
    """Code is kept by what it is made for, so these numbers of channels occur here only."""
    monkeypatch.setattr(machine_code, "lanes", lambda *channels: lanes)
    check((2, 9, 8, channels), 64, "relu6")


def test_cores_share_the_positions(monkeypatch):
    for cores in (1, 3):
        monkeypatch.setattr(machine_code, "cores", lambda cores=cores: cores)
        check((2, 30, 31, 16), 16, "relu")


def test_a_kernel_s_change_is_seen():
    kernel, x = tf.Variable(whole_numbers(1, 1, 16, 16)), whole_numbers(1, 6, 6, 16)
    conv = Pointwise(16, 16)

    @tf.function
    def run():
        return convolve(conv, x, tf.convert_to_tensor(kernel), tf.ones(16), tf.zeros(16))

    before = run().numpy()
    kernel.assign_add(kernel)
    np.testing.assert_array_equal(run(), 2 * before)


@pytest.mark.parametrize("conv", [Pointwise(3, 32), Pointwise(16, 12), Pointwise(16, 16, "elu")])
def test_what_has_no_code_says_so(conv):
    assert not is_supported(conv)


def test_where_llvm_is_missing_there_is_no_code(monkeypatch):
    monkeypatch.setattr(machine_code, "ir", None)
    assert not is_supported(Pointwise(16, 16))
