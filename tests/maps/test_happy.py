import keras
import numpy as np
import pytest

from helpers import maps
from helpers.maps import dataset, fused
from helpers.maps.happy import happy_maps, sad_maps
from helpers.maps.spec import MapSpec
from helpers.models.preprocessing import resolve_preprocessing


def tiny_net(channels=1, rescale=True, seed=0):
    """8x6 pictures, a ReLU convolution of 3 units, a softmax of 2."""
    keras.utils.set_random_seed(seed)
    x = pixels = keras.Input((8, 6, channels))
    if rescale:
        x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.Conv2D(3, 3, activation="relu", bias_initializer="ones", name="conv")(x)
    x = keras.layers.Flatten(name="flat")(x)
    return keras.Model(pixels, keras.layers.Dense(2, activation="softmax", name="out")(x))


@pytest.fixture(scope="module")
def net():
    return tiny_net()


@pytest.fixture(scope="module")
def found(net):
    return happy_maps(
        net, "conv", [0, 2], tv_weights=[0.0, 1.0], lp_weights=10, seeds=[3, 5], steps=4
    )


def test_the_dataset_is_labelled_and_whole(found):
    assert dict(found.sizes) == {
        **{"unit": 2, "tv_weight": 2, "lp_weight": 1, "seed": 2},
        **{"height": 8, "width": 6, "channel": 1, "step": 4},
    }
    assert found["raw"].dims == (*dataset.GRID, *dataset.IMAGE)
    assert found["display"].dtype == "uint8"
    assert found["unit"].values.tolist() == [0, 2] and found["seed"].values.tolist() == [3, 5]
    assert bool(found["done"].all())
    assert MapSpec.from_toml(found.attrs["spec"]).units == (0, 2)
    assert found.attrs["input_range"] == [0, 255]
    for key in ("weight_digest", "engine", "versions", "created", "git_commit", "model_layers"):
        assert found.attrs[key]


def test_activations_are_those_of_the_net_on_both_pictures(net, found):
    layer = keras.Model(net.inputs, net.get_layer("conv").output)
    for name in ("raw", "display"):
        picture = found[name].sel(unit=2, tv_weight=1, lp_weight=10, seed=5).values[None]
        expected = layer.predict(picture.astype("float32"), verbose=0)[..., 2].mean()
        measured = found[f"activation_{name}"].sel(unit=2, tv_weight=1, lp_weight=10, seed=5)
        assert float(measured) == pytest.approx(expected, rel=1e-5)


def test_loss_is_the_sum_of_its_weighted_parts(found):
    parts = sum(found[f"loss_{part}"] for part in dataset.LOSS_PARTS)
    np.testing.assert_allclose(found["loss"], parts, rtol=1e-5)
    assert (found["loss_tv"].sel(tv_weight=0) == 0).all()
    assert (found["loss_tv"].sel(tv_weight=1) > 0).all()


def test_the_first_loss_is_that_of_the_seed_input(found):
    x = maps.start_noise(3, (8, 6, 1))
    lp = (np.abs(x.astype("float64")) ** 6).sum() ** (1 / 6) / x.size
    here = found.sel(unit=0, tv_weight=0, lp_weight=10, seed=3)
    assert float(here["loss_lp_norm"][0]) == pytest.approx(10 * lp, rel=1e-5)
    assert float(here["loss_activation"][0]) == pytest.approx(-here["activation_seed"].item())


def test_start_noise_has_keras_vis_moments_and_follows_the_seed():
    noise = maps.start_noise(1, (20, 20, 3))
    assert noise.mean() == pytest.approx(127.5, abs=1e-3)
    assert noise.std() == pytest.approx(12.75, abs=1e-3)
    np.testing.assert_array_equal(noise, maps.start_noise(1, (20, 20, 3)))
    assert (noise != maps.start_noise(2, (20, 20, 3))).any()


def test_same_seed_same_map_and_the_grid_does_not_matter(net, found):
    alone = happy_maps(net, "conv", 2, tv_weights=1.0, seeds=5, steps=4)
    here = found["display"].sel(unit=2, tv_weight=1, seed=5)
    np.testing.assert_array_equal(alone["display"].values.squeeze(), here.values.squeeze())


def test_happy_raises_and_sad_lowers_the_pre_activation(net):
    up = happy_maps(net, "out", 0, objective="pre-activation", tv_weights=0, lp_weights=0, steps=20)
    down = sad_maps(net, "out", 0, tv_weights=0, lp_weights=0, steps=20)
    assert up["activation_raw"].item() > up["activation_seed"].item() + 0.5
    assert down["activation_raw"].item() < down["activation_seed"].item() - 0.5
    assert down.attrs["sign"] == "sad" and down.attrs["objective"] == "pre-activation"


def test_a_sad_map_keeps_the_sign_of_the_regularizers(net):
    down = sad_maps(net, "out", 0, tv_weights=1, lp_weights=10, steps=3)
    assert (down["loss_tv"] > 0).all() and (down["loss_lp_norm"] > 0).all()


def test_bounded_pixels_stay_in_range_and_are_shown_as_they_are(net):
    options = {"tv_weights": 0, "lp_weights": 0, "steps": 120, "progress": False}
    free = happy_maps(net, "conv", **options)
    found = happy_maps(net, "conv", pixels="bounded", **options)
    assert free["raw"].min() < 0 or free["raw"].max() > 255
    assert found["raw"].min() >= 0 and found["raw"].max() <= 255
    np.testing.assert_array_equal(found["raw"], found["display"])
    np.testing.assert_array_equal(found["activation_raw"], found["activation_display"])
    assert (found["activation_raw"] > found["activation_seed"]).all()


def test_a_net_of_another_range_is_searched_in_pixels_and_reported_in_its_own():
    inside, outside = tiny_net(rescale=True), tiny_net(rescale=False)
    outside.set_weights(inside.get_weights())
    a = happy_maps(inside, "conv", 0, tv_weights=0.1, steps=5)
    b = happy_maps(outside, "conv", 0, tv_weights=0.1, steps=5, preprocessing="0..1")
    np.testing.assert_allclose(b["raw"], a["raw"] / 255, atol=1e-4)
    np.testing.assert_allclose(b["activation_raw"], a["activation_raw"], rtol=1e-4)
    assert b.attrs["input_range"] == [0, 1]
    assert int(np.abs(a["display"].astype(int) - b["display"].astype(int)).max()) <= 1


def test_a_unit_without_gradient_is_named():
    net = tiny_net()
    kernel, bias = net.get_layer("conv").get_weights()
    bias[1] = -1e3
    net.get_layer("conv").set_weights([kernel, bias])
    with pytest.warns(UserWarning, match=r"units \[1\] of conv"):
        found = happy_maps(net, "conv", None, steps=2)
    assert found["gradient_seed"].sel(unit=1).item() == 0
    woken = happy_maps(net, "conv", 1, objective="pre-activation", steps=2)
    assert woken["gradient_seed"].item() > 0


def test_gradient_at_the_seed_is_that_of_a_linear_net():
    net = tiny_net(rescale=False)
    kernel = net.get_layer("out").get_weights()[0]
    found = happy_maps(net, "conv", 0, objective="pre-activation", preprocessing="0..255", steps=1)
    weights = net.get_layer("conv").get_weights()[0][..., 0, 0]
    positions = 6 * 4
    gradient = np.zeros((8, 6))
    for i in range(6):
        for j in range(4):
            gradient[i : i + 3, j : j + 3] += weights / positions
    assert kernel.shape[0] == positions * 3
    assert found["gradient_seed"].item() == pytest.approx(np.sqrt((gradient**2).mean()), rel=1e-4)


@pytest.mark.parametrize(("engine", "calls_a_map"), [("keras-vis", 3), ("batched", 2)])
def test_an_interrupt_keeps_the_maps_that_are_done(net, engine, calls_a_map, monkeypatch):
    monkeypatch.setattr(fused, "MOST_MAPS", 1)
    seen = []

    def stop(step, picture):
        seen.append(step)
        if len(seen) == calls_a_map + 1:
            raise KeyboardInterrupt

    options = {"steps": 3, "engine": engine, "on_step": stop, "progress": False}
    with pytest.warns(UserWarning, match="1 of 3 maps are done"):
        found = happy_maps(net, "conv", **options)
    assert found["done"].values.ravel().tolist() == [True, False, False]
    assert np.isfinite(found["raw"].isel(unit=0)).all()
    assert np.isnan(found["raw"].isel(unit=1)).all()
    assert np.isnan(found["activation_raw"].isel(unit=[1, 2])).all()


def test_a_picture_to_start_from_replaces_the_noise(net):
    picture = np.full((8, 6, 1), 100.0)
    found = happy_maps(net, "conv", 0, seed_input=picture, steps=2)
    expected = keras.Model(net.inputs, net.get_layer("conv").output)(picture[None])[..., 0]
    assert found["activation_seed"].item() == pytest.approx(float(np.mean(expected)), rel=1e-5)
    assert MapSpec.from_toml(found.attrs["spec"]).seed_input is not None


def test_a_picture_for_each_seed_is_that_picture_alone(net):
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 8, 6, 1))
    found = happy_maps(net, "conv", [0, 1], seeds=[4, 7], seed_input=pictures, steps=3)
    alone = happy_maps(net, "conv", [0, 1], seeds=7, seed_input=pictures[1], steps=3)
    np.testing.assert_allclose(found["raw"].sel(seed=[7]), alone["raw"], rtol=1e-4)
    np.testing.assert_allclose(found["activation_seed"].sel(seed=[7]), alone["activation_seed"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"layer": "nowhere"}, "conv"),
        ({"layer": "flat"}, "flat"),
        ({"units": 3}, "units"),
        ({"units": [-1]}, "units"),
        ({"tv_weights": -1}, "tv_weights"),
        ({"tv_weights": None}, "tv_weights"),
        ({"lp_weights": float("nan")}, "lp_weights"),
        ({"steps": 0}, "steps"),
        ({"engine": "magic"}, "engine"),
        ({"seed_input": np.zeros((6, 8, 1))}, "seed_input"),
        ({"seed_input": np.zeros((3, 8, 6, 1)), "seeds": [0, 1]}, "one for each seed"),
        ({"seed_input": np.full((8, 6, 1), np.nan)}, "seed_input"),
        ({"preprocessing": "0..2"}, "preprocessing"),
        ({"colour": 1}, "colour"),
    ],
)
def test_bad_input_is_one_clear_error(net, arguments, says):
    with pytest.raises((ValueError, TypeError), match=says):
        happy_maps(net, **({"layer": "conv"} | arguments))


def test_nan_weights_and_several_inputs_are_refused():
    bad = tiny_net()
    bad.get_layer("conv").set_weights([np.full((3, 3, 1, 3), np.nan), np.zeros(3)])
    with pytest.raises(ValueError, match="conv"):
        happy_maps(bad, "conv")
    a, b = keras.Input((8, 6, 1)), keras.Input((8, 6, 1))
    two = keras.Model([a, b], keras.layers.Flatten()(a + b))
    with pytest.raises(ValueError, match="input"):
        happy_maps(two, 0)


def test_a_net_that_does_not_tell_its_range_must_be_asked():
    with pytest.raises(ValueError, match="preprocessing"):
        happy_maps(tiny_net(rescale=False), "conv")
    assert resolve_preprocessing(tiny_net(), None) == "0..255"
