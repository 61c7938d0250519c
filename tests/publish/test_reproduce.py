import keras
import numpy as np
import pytest
from PIL import Image

from helpers import maps, models, plots
from helpers.maps import dataset
from helpers.maps.provenance import NUMERICS
from helpers.publish import reproduce


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 6, 1)),
            keras.layers.Conv2D(3, 3, activation="relu", name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax", name="dense"),
        ]
    )


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return tmp_path


def optimized(model, layer="conv", **options):
    options = {"tv_weights": [1e-2, 1.0], "seeds": 1, "steps": 5, "preprocessing": "0..1"} | options
    return maps.happy_maps(model, layer, [0, 1], progress=False, **options)


def test_a_figure_is_made_again_from_its_file_alone(model, folder):
    plots.map_grid(optimized(model), title="Tiny").save(folder / "figures" / "tiny" / "tiny.png")
    made = reproduce.reproduce(folder / "figures" / "tiny" / "tiny.png")
    assert made.model == folder / "model.keras"
    assert made.path == folder / "figures" / "tiny" / "tiny_again.png"
    assert made.pixels == (0, 0) and made.raw == 0 and made.display == 0
    assert "4 maps of conv" in str(made) and "changed" not in str(made)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_map_alone_is_made_again_pixel_by_pixel(channels, tmp_path):
    keras.utils.set_random_seed(0)
    conv = keras.layers.Conv2D(2, 3, activation="tanh", name="conv")
    model = keras.Sequential([keras.Input((8, 6, channels)), conv])
    model.save(tmp_path / "model.keras")
    data = optimized(model).sel(unit=1, tv_weight=1.0)
    plots.map_image(data).save(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as image:
        pixels = np.asarray(image).reshape(8, 6, channels)
    np.testing.assert_array_equal(pixels, data["display"].values.squeeze(axis=(0, 1)))
    made = reproduce.reproduce(tmp_path / "map.png")
    assert made.pixels == (0, 0) and made.raw == 0
    with pytest.raises(ValueError, match="must hold one map, got {'unit': 2, 'tv_weight': 2}"):
        plots.map_image(optimized(model))


def test_pooled_layers_are_made_again_in_their_order(model, folder):
    layers = [optimized(model, layer, tv_weights=1e-2) for layer in ("conv", "dense")]
    pooled = dataset.pool(layers).sel(unit=["dense 1", "conv 0", "dense 0"])
    plots.map_wall(pooled, notes=["x", "y", "z"]).save(folder / "wall.png")
    made = reproduce.reproduce(folder / "wall.png", output=folder / "new.png")
    assert made.path == folder / "new.png"
    assert made.pixels == (0, 0) and made.raw == 0


def test_what_differs_is_measured(model, folder):
    data = optimized(model)
    data["display"].values[0, 0] = 255 - data["display"].values[0, 0]
    data["activation_raw"].values[1, 1] += 0.25
    data["activation_display"].values[0, 1] -= 0.5
    data.attrs |= {"numerics": "0", "versions": "keras 1"}
    plots.map_grid(data).save(folder / "other.png")
    made = reproduce.reproduce(folder / "other.png")
    mean, largest = made.pixels
    assert 0 < mean < largest <= 255
    assert made.raw == pytest.approx(0.25, rel=1e-5)
    assert made.display == pytest.approx(0.5, rel=1e-5)
    assert f"version 0, now {NUMERICS}" in str(made) and "keras 1, now keras" in str(made)


def test_maps_are_optimized_and_not_read(model, folder, monkeypatch):
    plots.map_grid(optimized(model)).save(folder / "tiny.png")
    asked = []
    compute = maps.compute
    monkeypatch.setattr(maps, "compute", lambda *a: asked.append(a[1]) or compute(*a))
    reproduce.reproduce(folder / "tiny.png")
    assert [(spec.layer, spec.steps) for spec in asked] == [("conv", 5)]


def test_maps_of_a_model_without_its_rescaling_are_made_again_from_the_model_s_file(tmp_path):
    keras.utils.set_random_seed(0)
    conv = keras.layers.Conv2D(2, 3, name="conv")
    pixels = keras.Input((8, 6, 1))
    model = keras.Model(pixels, conv(keras.layers.Rescaling(1 / 255)(pixels)))
    model.save(tmp_path / "model.keras")
    plots.map_grid(optimized(models.without_rescaling(model))).save(tmp_path / "bare.png")
    made = reproduce.reproduce(tmp_path / "bare.png")
    assert made.model == tmp_path / "model.keras" and made.raw == 0


def test_a_model_with_other_weights_is_refused(model, folder, capsys):
    plots.map_grid(optimized(model)).save(folder / "tiny.png")
    other = keras.models.clone_model(model)
    other.set_weights([weight + 1 for weight in model.get_weights()])
    other.save(folder / "other.keras")
    with pytest.raises(ValueError, match="no model has.*other.keras"):
        reproduce.reproduce(folder / "tiny.png", folder / "other.keras")
    with pytest.raises(SystemExit, match="2"):
        reproduce.main([str(folder / "tiny.png"), "--model", str(folder / "other.keras")])
    assert "no model has" in capsys.readouterr().err


def test_maps_from_a_given_image_cannot_be_made_again(model, folder):
    image = np.full((8, 6, 1), 90.0)
    plots.map_grid(optimized(model, seed_input=image)).save(folder / "tiny.png")
    with pytest.raises(ValueError, match="given image"):
        reproduce.reproduce(folder / "tiny.png")


def test_an_image_without_a_spec_is_refused(folder):
    Image.new("L", (4, 4)).save(folder / "plain.png")
    with pytest.raises(ValueError, match="holds no spec"):
        reproduce.reproduce(folder / "plain.png")
