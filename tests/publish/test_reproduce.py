import keras
import numpy as np
import pytest
from PIL import Image

from helpers import maps, plots
from helpers.maps import dataset
from helpers.maps.provenance import NUMERICS
from helpers.publish import reproduce


@pytest.fixture(scope="module")
def net():
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
def folder(net, tmp_path):
    net.save(tmp_path / "net.keras")
    return tmp_path


def found(net, layer="conv", **options):
    options = {"tv_weights": [1e-2, 1.0], "seeds": 1, "steps": 5, "preprocessing": "0..1"} | options
    return maps.happy_maps(net, layer, [0, 1], progress=False, **options)


def test_a_figure_is_made_again_from_its_file_alone(net, folder):
    plots.map_grid(found(net), title="Tiny").save(folder / "figures" / "tiny" / "tiny.png")
    made = reproduce.reproduce(folder / "figures" / "tiny" / "tiny.png")
    assert made.net == folder / "net.keras"
    assert made.path == folder / "figures" / "tiny" / "tiny_again.png"
    assert made.pixels == (0, 0) and made.raw == 0 and made.display == 0
    assert "4 maps of conv" in str(made) and "changed" not in str(made)


def test_pooled_layers_are_made_again_in_their_order(net, folder):
    both = [found(net, layer, tv_weights=1e-2) for layer in ("conv", "dense")]
    pooled = dataset.pool(both).sel(unit=["dense 1", "conv 0", "dense 0"])
    plots.map_wall(pooled, notes=["x", "y", "z"]).save(folder / "wall.png")
    made = reproduce.reproduce(folder / "wall.png", output=folder / "new.png")
    assert made.path == folder / "new.png"
    assert made.pixels == (0, 0) and made.raw == 0


def test_what_differs_is_measured(net, folder):
    data = found(net)
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


def test_maps_are_searched_and_not_read(net, folder, monkeypatch):
    plots.map_grid(found(net)).save(folder / "tiny.png")
    asked = []
    compute = maps.compute
    monkeypatch.setattr(maps, "compute", lambda *a: asked.append(a[1]) or compute(*a))
    reproduce.reproduce(folder / "tiny.png")
    assert [(spec.layer, spec.steps) for spec in asked] == [("conv", 5)]


def test_a_net_with_other_weights_is_refused(net, folder, capsys):
    plots.map_grid(found(net)).save(folder / "tiny.png")
    other = keras.models.clone_model(net)
    other.set_weights([weight + 1 for weight in net.get_weights()])
    other.save(folder / "other.keras")
    with pytest.raises(ValueError, match="no net has.*other.keras"):
        reproduce.reproduce(folder / "tiny.png", folder / "other.keras")
    with pytest.raises(SystemExit, match="2"):
        reproduce.main([str(folder / "tiny.png"), "--model", str(folder / "other.keras")])
    assert "no net has" in capsys.readouterr().err


def test_a_search_from_a_picture_cannot_be_made_again(net, folder):
    picture = np.full((8, 6, 1), 90.0)
    plots.map_grid(found(net, seed_input=picture)).save(folder / "tiny.png")
    with pytest.raises(ValueError, match="given picture"):
        reproduce.reproduce(folder / "tiny.png")


def test_a_picture_without_a_spec_is_refused(folder):
    Image.new("L", (4, 4)).save(folder / "plain.png")
    with pytest.raises(ValueError, match="holds no spec"):
        reproduce.reproduce(folder / "plain.png")
