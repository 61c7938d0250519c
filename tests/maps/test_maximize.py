import keras
import numpy as np
import pytest
from keras import layers

from helpers import maps
from helpers.maps import loop
from helpers.maps.dataset import AXES, IMAGE

OPTIONS = {"steps": 12, "progress": False}
SMOOTH = (maps.Jitter(2), maps.RandomRotate(10), maps.GaussianNoise(4))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    x = pixels = keras.Input((16, 14, 3))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.GaussianNoise(0.5)(x)
    x = layers.Conv2D(6, 3, activation="relu", bias_initializer="ones", name="conv")(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return keras.Model(pixels, layers.Dense(4, activation="softmax", name="out")(x))


@pytest.fixture(scope="module")
def happy(model):
    parametrizations = [maps.FourierImage(), maps.BoundedPixels(), maps.Pixels()]
    return maps.maximize(
        model,
        [maps.Unit("conv", 1), maps.Unit("conv", 4)],
        parametrization=parametrizations,
        transforms=SMOOTH,
        seeds=[0, 3],
        **OPTIONS,
    )


def test_a_list_becomes_a_dim_and_one_value_a_scalar(happy):
    grid = ("objective", "parametrization", "seed")
    assert happy["raw"].dims == (*grid, *IMAGE)
    assert happy["objective"].values.tolist() == ["conv 1", "conv 4"]
    assert happy["optimizer"].item() == "Adam(learning_rate=0.2)"
    assert bool(happy["done"].all())
    assert maps.Optimization.from_toml(happy.attrs["optimization"]).seeds == (0, 3)
    assert maps.as_grid(happy)["raw"].dims == (*AXES, *IMAGE)
    assert maps.as_grid(happy.sel(seed=0)).sizes["seed"] == 1


def test_every_parametrization_raises_the_objective(happy):
    assert bool(maps.raised(happy).all())


def test_activations_are_those_of_predict_with_random_layers_off(model, happy):
    cut = keras.Model(model.inputs, model.get_layer("conv").output)
    here = happy.isel(parametrization=0, seed=1)
    for name in ("raw", "display"):
        images = here[name].values.astype("float32")
        expected = cut.predict(images, verbose=0).mean((1, 2))
        measured = here[f"activation_{name}"].values
        np.testing.assert_allclose(measured, expected[[0, 1], [1, 4]], rtol=1e-4)


def test_the_display_of_bounded_parametrizations_is_the_map_itself(happy):
    for name in ("FourierImage", "BoundedPixels"):
        one = happy.sel(parametrization=name)
        np.testing.assert_array_equal(one["display"], np.rint(one["raw"]))


def test_the_loss_is_the_sum_of_its_parts(model):
    made = maps.maximize(
        model,
        2 * maps.Unit("conv", 1),
        parametrization=maps.Pixels(),
        transforms=(),
        regularizers=[(), (maps.TotalVariation(0.01), maps.L2(1e-3, 127.5))],
        **OPTIONS,
    )
    parts = [made[f"loss_{name}"] for name in ("activation", "tv", "l2")]
    np.testing.assert_allclose(made["loss"], sum(parts), rtol=1e-5)
    assert (parts[1].isel(regularizers=0) == 0).all()
    start = maps.start_noise(0, (16, 14, 3)).astype("float64")
    first = made.isel(regularizers=1, seed=0, step=0, objective=0)
    expected = 1e-3 * ((start - 127.5) ** 2).mean()
    assert first["loss_l2"].item() == pytest.approx(expected, rel=1e-4)
    assert first["loss_activation"].item() == pytest.approx(-first["activation_seed"].item())


def test_a_map_does_not_depend_on_its_batch(model, happy):
    alone = maps.maximize(
        model,
        maps.Unit("conv", 4),
        parametrization=maps.FourierImage(),
        transforms=SMOOTH,
        seeds=3,
        **OPTIONS,
    )
    batched = happy.sel(objective="conv 4", parametrization="FourierImage", seed=3)
    np.testing.assert_allclose(alone["raw"].values.squeeze(), batched["raw"], atol=0.05)
    np.testing.assert_allclose(alone["loss"].values.squeeze(), batched["loss"], rtol=1e-4)


def test_another_seed_is_another_map_and_the_same_seed_the_same(model, happy):
    assert (happy["raw"].sel(seed=0) != happy["raw"].sel(seed=3)).any()
    again = maps.maximize(
        model,
        [maps.Unit("conv", 1), maps.Unit("conv", 4)],
        parametrization=maps.FourierImage(),
        transforms=SMOOTH,
        seeds=[0, 3],
        **OPTIONS,
    )
    first = happy["raw"].sel(parametrization="FourierImage")
    np.testing.assert_array_equal(again["raw"], first)


def test_diversity_rises_over_its_whole_group_whatever_the_size_of_a_batch(model, monkeypatch):
    monkeypatch.setattr(loop, "MOST_MAPS", 3)
    diversity = maps.Diversity("conv")
    made = maps.maximize(
        model, diversity, seeds=[0, 1, 2, 3], transforms=(), steps=40, progress=False
    ).squeeze("objective")
    cut = keras.Model(model.inputs, model.get_layer("conv").output)
    flat = cut.predict(made["raw"].values, verbose=0).reshape(4, -1, 6)
    grams = np.einsum("npi,npj->nij", flat, flat).reshape(4, -1)
    grams /= np.linalg.norm(grams, axis=1, keepdims=True)
    others = ((grams @ grams.T).sum(1) - 1) / 3
    np.testing.assert_allclose(made["activation_raw"], -others, rtol=1e-4)
    assert (made["activation_raw"] > made["activation_seed"] + 1e-3).all()


def test_a_target_is_reached(model):
    made = maps.maximize(
        model,
        maps.Target(maps.Unit("conv", 1), 1.2),
        transforms=(),
        optimizer=maps.Adam(0.01),
        steps=150,
        progress=False,
    )
    cut = keras.Model(model.inputs, model.get_layer("conv").output)
    image = made["raw"].values.reshape(1, 16, 14, 3)
    assert made["activation_seed"].item() < -0.01
    assert cut.predict(image, verbose=0)[..., 1].mean() == pytest.approx(1.2, abs=0.01)


def test_a_real_image_to_start_from(model):
    image = np.full((16, 14, 3), (30.0, 120.0, 200.0), "float32")
    options = OPTIONS | {"steps": 1, "transforms": ()}
    for parametrization in (maps.FourierImage(), maps.BoundedPixels()):
        made = maps.maximize(
            model,
            maps.Unit("conv", 1),
            parametrization=parametrization,
            seed_input=image,
            **options,
        )
        assert np.abs(made["raw"].values.squeeze() - image).max() < 30
        expected = keras.Model(model.inputs, model.get_layer("conv").output).predict(
            image[None], verbose=0
        )
        measured = made["activation_seed"].item()
        assert measured == pytest.approx(expected[..., 1].mean(), rel=1e-3)


def test_another_size(model):
    made = maps.maximize(model, maps.Unit("conv", 1), size=(20, 26), **OPTIONS)
    assert made["raw"].shape[-3:] == (20, 26, 3)
    assert bool(maps.raised(made).all())


def test_an_interrupt_keeps_the_maps_that_are_done(model, monkeypatch):
    monkeypatch.setattr(loop, "MOST_MAPS", 1)
    seen = []

    def stop(step, image):
        seen.append(image.shape)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="1 of 3 maps are done"):
        made = maps.maximize(
            model, [maps.Unit("conv", u) for u in range(3)], on_step=stop, **OPTIONS
        )
    assert made["done"].values.ravel().tolist() == [True, False, False]
    assert np.isfinite(made["activation_raw"].values.ravel()[0])
    assert np.isnan(made["activation_raw"].values.ravel()[1:]).all()
    assert seen[0] == (16, 14, 3)


@pytest.mark.parametrize(
    ("objective", "options", "says"),
    [
        (maps.Unit("nowhere", 0), {}, "conv"),
        (maps.Unit("conv", 6), {}, "unit of conv must be 0 to 5, got 6"),
        (maps.Unit("conv", 0), {"seed_input": np.zeros((3, 3, 3))}, "seed_input"),
        (maps.Unit("conv", 0), {"preprocessing": "0..2"}, "preprocessing"),
        ("conv", {}, "objective must be"),
    ],
)
def test_bad_input_is_one_clear_error(model, objective, options, says):
    with pytest.raises(ValueError, match=says):
        maps.maximize(model, objective, **options)
