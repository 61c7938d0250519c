import numpy as np
import pytest
import xarray as xr
from PIL import Image

from helpers import plots
from helpers.maps import dataset
from helpers.maps.spec import MapSpec
from helpers.plots import recipe

DIMS = ("unit", "tv_weight", "lp_weight", "seed")


def maps(layer="conv", units=(4, 7), weights=(1e-3, 1e-2), **changed):
    spec = MapSpec(layer, units, tv_weights=weights, seeds=3, steps=9, **changed)
    grid = (len(units), len(weights), 1, 1)
    rng = np.random.default_rng(0)
    image = ("height", "width", "channel")
    return xr.Dataset(
        {
            "display": ((*DIMS, *image), rng.integers(0, 256, (*grid, 8, 6, 1), "uint8")),
            "activation_raw": (DIMS, np.arange(np.prod(grid), dtype=float).reshape(grid)),
            "activation_display": (DIMS, np.full(grid, 0.5)),
            "activation_seed": (("unit", "seed"), np.full((len(units), 1), -1.0)),
            "gradient_seed": (("unit", "seed"), np.ones((len(units), 1))),
            "done": (DIMS, np.ones(grid, bool)),
        },
        {"unit": list(units), "tv_weight": list(weights), "lp_weight": [10.0], "seed": [3]},
        {
            "spec": spec.to_toml(),
            "weight_digest": "ab" * 32,
            "numerics": "1",
            "versions": "keras 3",
            "sign": "happy",
            "layer": layer,
            "objective": "activation",
            "steps": 9,
            "engine": "keras-vis",
            "input_range": np.array([0.0, 255.0]),
        },
    )


def test_png_gives_back_the_recipe_and_the_words(tmp_path):
    figure = plots.map_grid(maps(), title="Edges").save(tmp_path / "edges.png")
    read, boxes = recipe.read_recipe(tmp_path / "edges.png")
    assert read == figure.recipe
    assert read.specs == (MapSpec("conv", (4, 7), tv_weights=(1e-3, 1e-2), seeds=3, steps=9),)
    assert read.function == "map_grid" and read.arguments["title"] == "Edges"
    assert read.activation_raw == (0.0, 1.0, 2.0, 3.0)
    assert len(boxes) == 4
    with Image.open(tmp_path / "edges.png") as image:
        assert image.text["Description"] == figure.alt
        assert MapSpec.from_toml(image.text["spec"]) == read.specs[0]
        assert image.text["weight digest"] == "ab" * 32


def test_boxes_hold_the_maps(tmp_path):
    data = maps(units=(4,), weights=(1e-3, 1e-2))
    data["display"].values[0, 0] = 30
    data["display"].values[0, 1] = 200
    plots.map_grid(data).save(tmp_path / "two.png")
    _, boxes = recipe.read_recipe(tmp_path / "two.png")
    with Image.open(tmp_path / "two.png") as image:
        inner = [np.asarray(image.convert("L").crop(box))[3:-3, 3:-3] for box in boxes]
    assert [set(part.ravel()) for part in inner] == [{30}, {200}]


def test_a_selection_of_scalars_has_the_recipe_of_one_of_lists():
    scalar = plots.map_grid(maps().sel(seed=3, tv_weight=1e-2)).recipe
    assert scalar.specs == (MapSpec("conv", (4, 7), tv_weights=1e-2, seeds=3, steps=9),)
    assert scalar.activation_raw == (1.0, 3.0)


def test_maps_over_a_dim_that_no_spec_has_have_no_recipe():
    named = {"a": maps().sel(tv_weight=[1e-3]), "b": maps().sel(tv_weight=[1e-2])}
    assert plots.map_grid(plots.as_columns(named)).recipe is None


def test_only_the_maps_that_are_drawn_are_in_the_recipe():
    figure = plots.map_wall(maps().isel(tv_weight=[1]).sel(unit=[7]))
    assert figure.recipe.specs == (MapSpec("conv", 7, tv_weights=1e-2, seeds=3, steps=9),)


def test_pooled_layers_give_a_spec_each_and_keep_the_order_drawn():
    pooled = dataset.pool([maps("conv"), maps("dense", units=(0, 2))])
    picked = pooled.sel(unit=["dense 2", "conv 7", "dense 0"]).isel(tv_weight=[0])
    made = plots.map_wall(picked, notes=["a", "b", "c"]).recipe
    assert made.units == ("dense 2", "conv 7", "dense 0") and made.is_pooled
    assert [(spec.layer, spec.units) for spec in made.specs] == [("dense", (2, 0)), ("conv", (7,))]
    assert made.arguments["notes"] == ["a", "b", "c"]


def test_joined_pieces_of_one_grid_have_its_spec():
    pieces = [maps(units=(0, 1)), maps(units=(2,))]
    whole = xr.concat(pieces, "unit", combine_attrs=dataset.joined_attributes)
    assert MapSpec.from_toml(whole.attrs["spec"]).units == (0, 1, 2)
    assert whole.attrs["engine"] == "keras-vis"
    assert whole.attrs["input_range"].tolist() == [0, 255]


def test_maps_of_unlike_optimizations_have_no_recipe():
    other = maps("dense", activation_weight=2.0)
    pooled = dataset.pool([maps("conv"), other])
    assert "spec" not in pooled.attrs
    assert plots.map_wall(pooled.isel(tv_weight=[0])).recipe is None
    elsewhere = maps("dense").assign_attrs(weight_digest="cd" * 32)
    assert plots.map_wall(dataset.pool([maps(), elsewhere]).isel(tv_weight=[0])).recipe is None


def test_a_png_without_a_recipe_is_named(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "plain.png")
    with pytest.raises(ValueError, match="holds no spec.*none"):
        recipe.read_recipe(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="PNG file"):
        recipe.read_recipe(tmp_path / "text.png")
    sheet = plots.contact_sheet(np.zeros((1, 4, 4, 1)), ["one"], title="Black")
    sheet.save(tmp_path / "sheet.png")
    with pytest.raises(ValueError, match="Description"):
        recipe.read_recipe(tmp_path / "sheet.png")
