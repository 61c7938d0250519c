import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from helpers.models.fast_layers import ThinConv2D, TiledMaxPooling2D, with_quick_gradients


def gradient(model, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = tf.reduce_sum(tf.sin(model(x)))
    return tape.gradient(score, x).numpy()


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel_size", [(3, 3), (2, 5), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_and_gradients_are_tensorflows(channels, kernel_size, padding):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((9, 8, channels))
    usual = layers.Conv2D(5, kernel_size, padding=padding, bias_initializer="ones", name="conv")
    model = keras.Model(pixels, usual(pixels))
    thin = with_quick_gradients(model)
    assert type(thin.get_layer("conv")) is ThinConv2D
    x = np.random.default_rng(0).normal(size=(4, 9, 8, channels)).astype("float32")
    np.testing.assert_allclose(thin(x), model(x), atol=1e-6)
    np.testing.assert_allclose(gradient(thin, x), gradient(model, x), atol=1e-5)


@pytest.mark.parametrize("pool_size", [(2, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize("pixels", ["noise", "flat"])
def test_pooling_hands_the_gradient_to_the_first_largest_as_tensorflow_does(pixels, pool_size):
    picture = keras.Input((9, 8, 5))
    model = keras.Model(picture, layers.MaxPooling2D(pool_size, name="pool")(picture))
    quick = with_quick_gradients(model)
    assert type(quick.get_layer("pool")) is TiledMaxPooling2D
    x = np.random.default_rng(0).normal(size=(4, 9, 8, 5)).astype("float32")
    x = np.round(x) if pixels == "noise" else np.ones_like(x)  # whole numbers: many ties
    np.testing.assert_array_equal(quick(x), model(x))
    np.testing.assert_array_equal(gradient(quick, x), gradient(model, x))


@pytest.mark.parametrize("other", [{"strides": 1}, {"padding": "same"}])
def test_pooling_that_overlaps_or_pads_is_left_alone(other):
    picture = keras.Input((9, 8, 5))
    model = keras.Model(picture, layers.MaxPooling2D(2, name="pool", **other)(picture))
    assert type(with_quick_gradients(model).get_layer("pool")) is layers.MaxPooling2D


def test_only_what_is_thin_is_replaced_also_in_a_model_inside():
    keras.utils.set_random_seed(0)
    x = inner_input = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, name="thin")(x)
    x = layers.Conv2D(4, 3, name="wide")(x)
    x = layers.Conv2D(4, 3, strides=2, name="strided")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    inner = keras.Model(inner_input, x, name="inner")
    pixels = keras.Input((12, 12, 3))
    model = keras.Model(pixels, inner(layers.Rescaling(1 / 255)(pixels)))
    copy = with_quick_gradients(model)
    thin = [layer.name for layer in copy.get_layer("inner").layers if type(layer) is ThinConv2D]
    assert thin == ["thin"]
    x = np.random.default_rng(1).uniform(0, 255, (2, 12, 12, 3)).astype("float32")
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient(copy, x), gradient(model, x), atol=1e-6)
