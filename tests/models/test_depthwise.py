import numpy as np
import pytest
import tensorflow as tf

from helpers.models.depthwise import Depthwise, convolve, is_supported


def output_and_gradient(function, x):
    """The output, and the gradient of its sum with weights -3 to 3, one after the other."""

    def run(x):
        y = function(x)
        weights = tf.cast(tf.range(tf.size(y)) % 7 - 3, tf.float32)
        score = tf.reduce_sum(tf.reshape(weights, tf.shape(y)) * y)
        return y, tf.gradients(score, x)[0]

    return [result.numpy() for result in tf.function(run)(tf.constant(x))]


@pytest.mark.parametrize("relus", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)], ids=str)
@pytest.mark.parametrize(
    ("shape", "kernel_size"),
    [((3, 9, 16, 4), (3, 3)), ((2, 8, 7, 16), (5, 5)), ((1, 10, 22, 24), (2, 4))],
    ids=str,
)
def test_outputs_and_gradients_are_tensorflows(shape, kernel_size, strides, padding, relus):
    """On small whole numbers: no sum is rounded, and many lie where a ReLU6 bends."""
    conv = Depthwise(kernel_size, shape[-1], strides, *relus)
    assert is_supported(conv)
    draw = np.random.default_rng(0)
    x = draw.integers(-2, 9, shape).astype("float32")
    kernel = draw.integers(-1, 2, (*kernel_size, shape[-1])).astype("float32")
    bias = draw.integers(-3, 4, shape[-1]).astype("float32")

    def usual(x):
        x = tf.nn.relu6(x) if relus[0] else x
        y = tf.nn.depthwise_conv2d(x, kernel[..., None], (1, *strides, 1), padding.upper()) + bias
        return tf.nn.relu6(y) if relus[1] else y

    ours = output_and_gradient(lambda x: convolve(conv, x, kernel, bias, padding), x)
    theirs = output_and_gradient(usual, x)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])
    assert ours[0].any() and ours[1].any()
