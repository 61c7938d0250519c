import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from helpers import maps
from helpers.models.relu_gradients import relu_gradient

SHAPE = (6, 7, 3)
X = np.array([[-2.0, -1.0, 3.0, 7.0], [-2.0, -1.0, -3.0, 7.0]], "float32")


def gradient_of(layer, upstream, kind):
    @tf.function
    def follow(x):
        with relu_gradient(kind):
            loss = tf.reduce_sum(layer(x) * upstream)
            return tf.gradients(loss, x)[0]

    return follow(tf.constant(X)).numpy()


def test_only_an_image_that_gets_no_gradient_gets_the_one_that_raises_its_inputs():
    relu = layers.ReLU(6.0)
    upstream = np.array([[-1.0, 2.0, -3.0, 4.0], [-1.0, 2.0, -3.0, 4.0]], "float32")
    awake, silent = gradient_of(relu, upstream, "waking")
    assert awake.tolist() == [0, 0, -3, 0]
    assert silent.tolist() == [-1, 0, -3, 4]  # down from above 6, up from below 0
    plain = gradient_of(relu, upstream, None)
    assert plain.tolist() == [[0, 0, -3, 0], [0, 0, 0, 0]]


def silent_model(make):
    """`out` is silent for every image but those with very bright pixels."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 255)(pixels)
    x = make(x)
    return keras.Model(pixels, x)


KERNEL = {"kernel_initializer": "ones", "bias_initializer": keras.initializers.Constant(-15.0)}


@pytest.mark.parametrize(
    "make",
    [
        lambda x: layers.Conv2D(2, 3, activation="relu", name="out", **KERNEL)(x),
        lambda x: layers.ReLU(6.0, name="out")(layers.Conv2D(2, 3, **KERNEL)(x)),
        lambda x: layers.Activation("relu", name="out")(layers.Conv2D(2, 3, **KERNEL)(x)),
    ],
    ids=["conv", "relu6", "activation"],
)
def test_a_silent_unit_wakes_and_is_raised(make):
    model = silent_model(make)
    before = model.get_weights(), model.layers[-1].get_config()
    options = {"transforms": (), "steps": 40, "progress": False}
    asleep, awake = (
        maps.maximize(model, maps.Unit("out", 0), wake_steps=steps, **options) for steps in (0, 16)
    )
    assert asleep["activation_raw"].item() == 0 == asleep["gradient_seed"].item()
    assert awake["activation_raw"].item() > 1
    assert awake["loss"].values.ravel()[0] == 0
    assert before[1] == model.layers[-1].get_config()
    for old, new in zip(before[0], model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
