import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers
from tiny import PIXELS, conv_by_numpy, small_net, state

from helpers.models import cutting
from helpers.models.preprocessing import from_pixels

RNG = np.random.default_rng(0)
KINDS = [dict(own_softmax=own, sequential=sequential) for own in (0, 1) for sequential in (0, 1)]


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cut_model_gives_that_layer(kind):
    model = small_net(**kind)
    model.get_layer("conv").bias.assign(RNG.normal(size=5))
    before = state(model)
    expected = conv_by_numpy(PIXELS, model.get_layer("conv"))
    assert expected.min() < -0.1
    after = cutting.at_layer(model, "conv")
    np.testing.assert_allclose(after(PIXELS), np.maximum(expected, 0), atol=1e-4)
    raw = cutting.at_layer(model, "conv", pre_activation=True)
    np.testing.assert_allclose(raw(PIXELS), expected, atol=1e-4)
    assert after.input_shape == (None, 6, 7, 3)
    assert after.layers[-1].name == raw.layers[-1].name == "conv"
    assert state(model) == before


def test_the_pre_activation_of_a_layer_without_activation_is_its_output():
    model = small_net()
    pool = cutting.at_layer(model, "pool", pre_activation=True)
    np.testing.assert_array_equal(pool(PIXELS), cutting.at_layer(model, "pool")(PIXELS))


def test_the_pre_activation_of_an_activation_layer_is_its_input():
    model = small_net(own_softmax=True)
    raw = cutting.at_layer(model, "softmax", pre_activation=True)
    np.testing.assert_array_equal(raw(PIXELS), cutting.at_layer(model, "scores")(PIXELS))


def test_branches_and_python_functions_survive_the_cut():
    pixels = keras.Input((6, 7, 3))
    halved = layers.Lambda(lambda x: x / 2)(pixels)
    a = layers.Conv2D(2, 3, activation="relu")(halved)
    b = layers.Conv2D(2, 3)(pixels * 3)
    joined = layers.Concatenate(name="joined")([a, b])
    model = keras.Model(pixels, layers.Conv2D(1, 1, activation="relu", name="last")(joined))
    before = state(model)
    raw = np.asarray(cutting.at_layer(model, "last", pre_activation=True)(PIXELS))
    np.testing.assert_allclose(np.maximum(raw, 0), model(PIXELS), rtol=1e-5)
    assert state(model) == before


def test_layers_that_are_also_part_of_another_model():
    old = small_net()
    again = keras.Sequential([keras.Input((6, 7, 3)), *old.layers[1:]])
    for pre_activation in (False, True):
        cut = cutting.at_layer(again, "conv", pre_activation=pre_activation)
        np.testing.assert_array_equal(
            cut(PIXELS), cutting.at_layer(old, "conv", pre_activation=pre_activation)(PIXELS)
        )


def test_a_cut_model_is_freed():
    model = small_net()
    cut = from_pixels(cutting.at_layer(model, "conv", pre_activation=True), "0..1")
    gone = weakref.ref(cut)
    del cut
    gc.collect()
    assert gone() is None
