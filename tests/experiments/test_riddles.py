"""The post's riddles in numbers, on models whose answer is planted."""

import keras
import numpy as np
import pytest
import xarray as xr
from keras import layers

from experiments.experiment1 import observations, riddles
from experiments.experiment1.observations import Grid
from helpers import maps, plots
from helpers.faces import training
from helpers.faces.training import Setup
from helpers.images import LabelledImages

SHAPE = (24, 26, 3)
SILENT, LIGHT, EDGE, GRAY = range(4)


def planted():
    """Filters: silent at every image; two active at every position; an edge, active at half."""
    kernel, bias = np.zeros((3, 3, 3, 4), "float32"), np.array([-1e6, 1e6, 0, 1e6], "float32")
    kernel[..., SILENT] = 1
    kernel[..., LIGHT] = np.array([1, -2, 0])
    kernel[..., GRAY] = np.array([1, 2, 1])
    kernel[0, ..., EDGE], kernel[2, ..., EDGE] = 1, -1
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 3, activation="relu", name="conv2d_1"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax", name="outputs"),
        ]
    )
    model.get_layer("conv2d_1").set_weights([kernel, bias])
    rng = np.random.default_rng(0)
    flat = model.get_layer("outputs").kernel.shape[0]
    weights = rng.normal(size=(flat, 2)).astype("float32") * 1e-8
    model.get_layer("outputs").set_weights([weights, np.zeros(2, "float32")])
    return model


@pytest.mark.filterwarnings("ignore:no gradient")
def test_image_7_is_the_map_of_the_regularizers_alone():
    grid = Grid("conv2d_1", 4, (1e-3, 1e-1), seeds=(0, 1))
    found = observations.maps_of(planted(), grid)
    alone = observations.regularizers_alone(SHAPE, grid)
    difference = riddles.difference_from_alone(found, alone)
    assert difference.dims == ("unit", "tv_weight", "lp_weight", "seed")
    assert difference.sel(unit=SILENT).max() < 1e-2
    assert difference.sel(unit=LIGHT).min() > 10


@pytest.mark.filterwarnings("ignore")
def test_maps_beside_those_of_the_regularizers_alone_in_as_many_steps():
    found = observations.maps_of(planted(), Grid("conv2d_1", 4, (1e-3, 1e-1)), steps=4)
    alone = riddles.alone(found)
    assert alone.attrs["steps"] == 4
    assert riddles.difference_from_alone(found, alone).sel(unit=SILENT).max() < 1e-2
    assert not riddles.look(found)["shows"].sel(unit=SILENT).any()
    assert riddles.awake(found) == [LIGHT, EDGE, GRAY]
    assert riddles.awake(found.sel(unit=[SILENT])) == [SILENT]
    figure = plots.map_grid(riddles.beside_alone(found.sel(unit=[SILENT, LIGHT]), alone))
    assert "filter 0, filter 1, no filter" in figure.alt and figure.recipe is None
    weights = [found.sel(tv_weight=[weight]) for weight in (1e-1, 1e-3)]
    xr.testing.assert_equal(riddles.over_weights(*weights), found)


@pytest.mark.filterwarnings("ignore")
def test_a_wave_has_its_period():
    wave = np.sin(2 * np.pi * np.arange(60) / 12)
    images = np.broadcast_to(127 + 100 * wave[:, None], (60, 60))[None, ..., None]
    dims = ("unit", "height", "width", "channel")
    found = riddles.periods(xr.Dataset({"display": (dims, images)}))
    assert found == pytest.approx([12], rel=0.02)


def test_image_5_a_filter_active_everywhere_has_an_even_gradient():
    table = riddles.evenness(planted(), "conv2d_1")
    assert table.loc[LIGHT, "active"] == 1 and table.loc[SILENT, "active"] == 0
    assert 0.3 < table.loc[EDGE, "active"] < 0.7
    assert table.loc[LIGHT, "variation"] == pytest.approx(0, abs=1e-6)
    assert np.isnan(table.loc[SILENT, "variation"])
    assert table.loc[EDGE, "variation"] > 0.5
    assert table.loc[[LIGHT, GRAY], "one sign"].tolist() == [False, True]


@pytest.mark.filterwarnings("ignore:no gradient")
def test_images_4_and_5_are_the_same_filters_with_other_signs():
    grid = Grid("conv2d_1", 4, (1e-3,))
    found = observations.maps_of(planted(), grid)
    kept = riddles.noise_kept(found).squeeze()
    assert kept.sel(unit=GRAY) > 0.99
    look = observations.look(found, observations.regularizers_alone(SHAPE, grid)).squeeze()
    assert look["static"].sel(unit=GRAY) and not look["even"].sel(unit=GRAY)
    assert look["even"].sel(unit=LIGHT)


def test_the_gradient_is_that_of_the_mean_over_positions():
    gradients = riddles.first_gradients(planted(), "conv2d_1")
    assert gradients.shape == (4, *SHAPE)
    positions = (SHAPE[0] - 2) * (SHAPE[1] - 2)
    expected = 9 * np.array([1, -2, 0]) / positions  # nine positions see each inner pixel
    np.testing.assert_allclose(gradients[LIGHT, 4, 4], expected, rtol=1e-5)
    assert not gradients[SILENT].any()


def test_the_gradient_of_tv_at_a_seed_input_is_its_formula():
    shape = (200, 200, 3)
    noise = maps.happy.start_noise(0, shape).astype("float64")
    inner = noise[1:-1, 1:-1]
    around = noise[:-2, 1:-1] + noise[2:, 1:-1] + noise[1:-1, :-2] + noise[1:-1, 2:]
    rms = np.sqrt(np.mean((2 * (4 * inner - around)) ** 2)) / noise.size
    assert riddles.noise_tv_gradient(shape) == pytest.approx(rms, rel=0.01)


def test_balance_tells_positions_from_weights():
    table = riddles.balance(planted(), ["conv2d_1", "outputs"])
    assert table["positions"].to_dict() == {"conv2d_1": 22 * 24, "outputs": 1}
    assert table.loc["conv2d_1", "of the sum"] == pytest.approx(
        22 * 24 * table.loc["conv2d_1", "weight"]
    )
    gradients = riddles.first_gradients(planted(), "conv2d_1")[[LIGHT, EDGE, GRAY]]
    sizes = np.sqrt((gradients**2).mean((1, 2, 3)))
    assert table.loc["conv2d_1", "gradient"] == pytest.approx(np.median(sizes))


def test_the_gradients_of_two_softmax_outputs_are_opposite():
    numbers = riddles.opposition(planted(), "outputs")
    assert numbers["sum"] == pytest.approx(0, abs=1e-4)
    assert numbers["cosine"] == pytest.approx(-1, abs=1e-6)
    with pytest.raises(ValueError, match="two units, got 4 in 'conv2d_1'"):
        riddles.opposition(planted(), "conv2d_1")


def test_training_on_gray_photographs_leaves_the_colours_of_the_start():
    rng = np.random.default_rng(0)
    gray = rng.uniform(size=(24, 24, 24, 1)).astype("float32")
    labels = (gray.mean((1, 2, 3)) > np.median(gray.mean((1, 2, 3)))).astype("int64")
    people = np.array([f"p{i % 4}" for i in range(24)])
    images = np.repeat(gray, 3, -1)
    faces = LabelledImages(images, labels, ("dark", "light"), people)
    setup = Setup(epochs=2, batch=8, augment=False, filters=(4, 4), dense=(8,), dropout=())
    model = training.train(faces, faces, seed=1, setup=setup, progress=False).model
    numbers = riddles.colour_since_start(model, setup, 1)
    assert numbers["moved"] > 1e-3
    assert numbers["colour moved"] < 1e-4 * numbers["moved"]
    other = riddles.colour_since_start(model, setup, 2)
    assert other["colour moved"] > 0.1 * other["colour"]


def test_the_reach_is_the_largest_weight_that_shows_half_of_the_units():
    grid = Grid("conv2d_1", 4, (1e-3, 1e5), seeds=(0,))
    found = observations.maps_of(planted(), grid)
    look = observations.look(found, observations.regularizers_alone(SHAPE, grid))
    assert riddles.reach({"conv2d_1": look})["conv2d_1"] == 1e-3
