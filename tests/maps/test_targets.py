import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from helpers import maps, models
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


@pytest.mark.parametrize("objective", ["activation", "pre-activation minus others"])
def test_maps_need_a_gradient(objective):
    pixels = keras.Input((4, 4, 1))
    net = keras.Model(pixels, layers.Dense(2, name="out")(keras.ops.round(pixels)))
    with pytest.raises(ValueError, match="'out' has no gradient by the image: rounding"):
        maps.happy_maps(net, "out", objective=objective, preprocessing="0..1", progress=False)


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


def changes():
    """Ways to change a weight, each of a Keras variable."""
    double = tf.function(lambda v: v.assign(v * 2 + 1), jit_compile=True)
    return {
        "assign": lambda v: v.assign(v + 1),
        "assign_add": lambda v: v.assign_add(np.ones(3, "float32")),
        "in a function": lambda v: tf.function(lambda: v.assign_add(tf.ones(3)))(),
        "by XLA": lambda v: double(v.value),
        "one element": lambda v: v.value.scatter_nd_update([[0]], [v.numpy()[0] + 7]),
    }


@pytest.mark.parametrize("way", changes())
def test_every_change_of_a_weight_is_noticed(way):
    net = two_layers()
    change, known = changes()[way], {targets.digest_of(net)}
    for count in (2, 3):
        change(net.get_layer("out").bias)
        assert targets.digest_of(net) == models.weight_digest(net)
        known.add(targets.digest_of(net))
        assert len(known) == count


def test_training_is_noticed():
    net = two_layers()
    net.compile("adam", "categorical_crossentropy")
    x, y = np.ones((4, 4, 4, 1)), np.eye(3)[[0, 1, 2, 0]]
    for _ in range(3):
        before = targets.digest_of(net)
        net.fit(x, y, verbose=0)
        assert targets.digest_of(net) == models.weight_digest(net) != before


def test_another_activation_function_is_noticed():
    net = two_layers()
    before = targets.digest_of(net)
    net.get_layer("out").activation = keras.activations.linear
    assert targets.digest_of(net) == models.weight_digest(net) != before


def test_unchanged_weights_are_hashed_and_checked_once(monkeypatch):
    calls = []
    for name in ("weight_digest", "load_model"):
        real = getattr(models, name)
        monkeypatch.setattr(
            models, name, lambda *a, real=real, name=name: calls.append(name) or real(*a)
        )
    net = two_layers()
    for layer in ("conv", "out", "conv"):
        maps.happy_maps(net, layer, 0, steps=1, progress=False)
    assert sorted(calls) == ["load_model", "weight_digest"]
    net.get_layer("out").bias.assign([np.nan, 0, 0])
    with pytest.raises(ValueError, match="finite weights"):
        maps.happy_maps(net, "conv", 0, steps=1, progress=False)


@pytest.mark.parametrize("engine", ["batched", "generic", "keras-vis"])
def test_random_layers_are_off_and_a_strided_shortcut_is_measured(engine):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 16, 3))
    x = layers.GaussianNoise(1.0)(layers.Rescaling(1 / 127.5, -1)(pixels))
    shortcut = layers.Conv2D(16, 1, strides=2, name="shortcut")(x)
    x = layers.Dropout(0.5)(layers.Conv2D(16, 3, strides=2, padding="same", name="main")(x))
    net = keras.Model(pixels, layers.Add(name="sum")([shortcut, x]))
    made = maps.happy_maps(net, "sum", [0, 9], steps=3, engine=engine, progress=False)
    start = maps.start_noise(0, (16, 16, 3))[None]
    expected = net.predict(start, verbose=0).mean((1, 2))[0, [0, 9]]
    tolerance = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(made["activation_seed"].values[:, 0], expected, **tolerance)
    first = -made["loss_activation"].isel(step=0).values.ravel()
    np.testing.assert_allclose(first, expected, **tolerance)


def test_a_trained_on_net_gives_new_maps():
    net = two_layers()
    options = {"units": 0, "objective": "pre-activation", "steps": 3, "progress": False}
    before = maps.happy_maps(net, "out", **options)
    out = net.get_layer("out")
    out.set_weights([-w for w in out.get_weights()])
    after = maps.happy_maps(net, "out", **options)
    assert not np.allclose(before["raw"], after["raw"])
    assert before.attrs["weight_digest"] != after.attrs["weight_digest"]
