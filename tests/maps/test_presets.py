import keras
import numpy as np
import pytest
from keras import layers

from helpers import maps, models, natural
from helpers.images import as_pixels
from helpers.maps import targets
from helpers.models.forward import Forward

LAYERS = ("block3b_add", "logits")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 14, 3))
    x = layers.Rescaling(1 / 127.5, -1)(pixels)
    x = layers.Conv2D(4, 3, activation="relu", bias_initializer="ones", name="conv")(x)
    return keras.Model(pixels, x)


def test_a_preset_is_what_its_parts_are_and_a_part_given_replaces_its():
    fields = {
        "keras_vis": (maps.Pixels(), (), maps.KerasVisRMSprop(), 200, 0),
        "robust": (maps.FourierImage(), maps.ROBUST, maps.Adam(0.2), 128, 64),
        "maco": (maps.MagnitudeConstrained(), maps.ROBUST, maps.Adam(0.2), 128, 64),
    }
    assert set(maps.PRESETS) == set(fields)
    for name, (parametrization, transforms, optimizer, steps, wake_steps) in fields.items():
        text = (
            f'preset = "{name}"\nseeds = [3]\nobjective = {{kind = "Unit", layer = "a", unit = 1}}'
        )
        read = maps.Optimization.from_toml(text)
        assert read.parametrization == (parametrization,)
        assert read.transforms == (transforms,)
        assert read.optimizer == (optimizer,)
        assert (read.steps, read.wake_steps, read.seeds) == (steps, wake_steps, (3,))
        assert maps.Optimization.from_toml(read.to_toml()) == read
        other = maps.Optimization.from_toml(text + "\nsteps = 7")
        assert (other.steps, other.parametrization) == (7, read.parametrization)


def test_maximize_takes_a_preset_by_name(model):
    made = maps.maximize(model, maps.Unit("conv", 1), preset="keras_vis", steps=30, progress=False)
    happy = maps.happy_maps(model, "conv", 1, steps=30, engine="generic", progress=False)
    np.testing.assert_allclose(made["loss"].values.ravel(), happy["loss"].values.ravel(), rtol=1e-4)
    with pytest.raises(ValueError, match="preset must be one of .*'robust'.* got 'sharp'"):
        maps.maximize(model, maps.Unit("conv", 1), preset="sharp")


def test_a_map_stops_once_its_objective_no_longer_rises(model):
    flat = 0.0 * maps.Unit("conv", 0)
    options = {"transforms": (), "steps": 60, "patience": 7, "progress": False}
    made = maps.maximize(model, [flat, maps.Unit("conv", 1)], **options)
    stopped, rising = made.isel(objective=0, seed=0), made.isel(objective=1, seed=0)
    assert stopped["steps_taken"].item() == 8  # the first step and 7 without a rise
    assert np.isfinite(stopped["loss"].values).sum() == 8
    assert rising["steps_taken"].item() > 8
    alone = maps.maximize(model, maps.Unit("conv", 1), **options).isel(objective=0, seed=0)
    assert alone["steps_taken"].item() == rising["steps_taken"].item()
    np.testing.assert_allclose(alone["raw"], rising["raw"], atol=0.05)


def test_robust_raises_units_of_an_imagenet_model_above_all_photographs():
    model, size = models.zoo("EfficientNetLite0"), 64
    photographs = as_pixels(natural.photographs(size).images)
    draw, is_above = np.random.default_rng(0), []
    for layer in LAYERS:
        cut = targets.cut_of(model, (maps.Tap(layer),), size=(size, size))
        values = Forward(cut)(photographs)
        units = draw.choice(values.shape[-1], 4, replace=False)
        objectives = [maps.Unit(layer, int(unit)) for unit in units]
        options = {"size": size, "steps": 40, "wake_steps": 20, "progress": False}
        made = maps.maximize(model, objectives, **options)
        largest = values.reshape(len(photographs), -1, values.shape[-1]).mean(1).max(0)
        is_above += (made["activation_display"].values.ravel() > largest[units]).tolist()
    assert np.mean(is_above) >= 0.95, is_above


def test_the_same_seed_gives_the_same_map(model):
    first, again = (maps.maximize(model, maps.Unit("conv", 1), progress=False) for _ in range(2))
    np.testing.assert_array_equal(first["raw"], again["raw"])
