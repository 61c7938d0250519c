import keras
import numpy as np
import pytest
from keras import layers

from helpers import maps
from helpers.maps import targets


def two_layers(units=3):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 3, name="conv")(layers.Rescaling(1 / 255)(pixels))
    x = layers.Flatten()(x)
    return keras.Model(pixels, layers.Dense(units, activation="softmax", name="out")(x))


def test_minus_others_is_the_logit_less_the_mean_of_the_other_logits():
    net = two_layers()
    x = np.random.default_rng(0).uniform(0, 255, (5, 4, 4, 1)).astype("float32")
    logits = targets.target_of(net, maps.make_spec(net, "out", objective="pre-activation"))(x)
    spec = maps.make_spec(net, "out", objective="pre-activation minus others")
    difference = np.asarray(targets.target_of(net, spec)(x))
    a, b, c = np.asarray(logits).T
    np.testing.assert_allclose(difference[:, 1], b - (a + c) / 2, atol=1e-5)


def test_a_layer_of_one_unit_has_no_others():
    net = two_layers(units=1)
    with pytest.raises(ValueError, match="at least 2 units"):
        maps.happy_maps(net, "out", objective="pre-activation minus others")


def test_scores_and_gradients_are_those_worked_out_by_hand():
    net = two_layers()
    kernel, bias = net.get_layer("conv").get_weights()
    target = targets.target_of(net, maps.make_spec(net, "conv"))
    x = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 4, 1)).astype("float32")
    scores = targets.scores(target, x)
    assert scores.shape == (2, 3, 2)
    windows = np.lib.stride_tricks.sliding_window_view(x[1, 2, :, :, 0] / 255, (3, 3))
    expected = np.einsum("ijkl,klu->iju", windows, kernel[:, :, 0]) + bias
    np.testing.assert_allclose(scores[1, 2], expected.mean((0, 1)), rtol=1e-4)

    full = np.zeros((4, 4))
    for i, j in np.ndindex(2, 2):
        full[i : i + 3, j : j + 3] += kernel[:, :, 0, 1] / 4 / 255
    activation, gradient = targets.scores_and_gradients(target, x[0], [1])
    np.testing.assert_allclose(activation[0], scores[0, :, 1], rtol=1e-4)
    np.testing.assert_allclose(gradient, np.full((1, 3), np.sqrt((full**2).mean())), rtol=1e-4)


def test_many_pictures_are_measured_in_parts(monkeypatch):
    net = two_layers()
    target = targets.target_of(net, maps.make_spec(net, "conv"))
    x = np.random.default_rng(0).uniform(0, 255, (7, 4, 4, 1)).astype("float32")
    whole = targets.scores(target, x)
    monkeypatch.setattr(targets, "MOST_IMAGES", 3)
    np.testing.assert_allclose(targets.scores(target, x), whole, rtol=1e-5)


def test_a_target_is_kept_as_long_as_the_weights_are():
    net = two_layers()
    spec = maps.make_spec(net, "conv")
    first = targets.target_of(net, spec)
    assert targets.target_of(net, spec) is first
    net.get_layer("conv").set_weights([w * 2 for w in net.get_layer("conv").get_weights()])
    assert targets.target_of(net, spec) is not first


def test_a_trained_on_net_gives_new_maps():
    net = two_layers()
    options = {"units": 0, "objective": "pre-activation", "steps": 3, "progress": False}
    before = maps.happy_maps(net, "out", **options)
    out = net.get_layer("out")
    out.set_weights([-w for w in out.get_weights()])
    after = maps.happy_maps(net, "out", **options)
    assert not np.allclose(before["raw"], after["raw"])
    assert before.attrs["weight_digest"] != after.attrs["weight_digest"]
