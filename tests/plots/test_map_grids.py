import base64
import io

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.text import Text
from PIL import Image

from helpers import plots


def maps(units=2, weights=3, channels=1, seeds=1, silent=False):
    rng = np.random.default_rng(0)
    grid = (units, weights, 1, seeds)
    dims = ("unit", "tv_weight", "lp_weight", "seed")
    image = ("height", "width", "channel")
    return xr.Dataset(
        {
            "display": ((*dims, *image), rng.integers(0, 256, (*grid, 8, 6, channels), "uint8")),
            "activation_raw": (dims, np.arange(np.prod(grid), dtype=float).reshape(grid) + 10),
            "activation_display": (dims, np.full(grid, 4.25)),
            "activation_seed": (("unit", "seed"), np.full((units, seeds), 1.0)),
            "gradient_seed": (("unit", "seed"), np.full((units, seeds), 0.0 if silent else 1.0)),
            "done": (dims, np.ones(grid, bool)),
        },
        {
            "unit": np.arange(units) + 5,
            "tv_weight": [1e-3, 1e-2, 1e-1][:weights],
            "lp_weight": [10.0],
            "seed": range(seeds),
        },
        {
            "sign": "happy",
            "layer": "conv2d_1",
            "objective": "activation",
            "steps": 200,
            "engine": "keras-vis",
        },
    )


def texts(figure):
    return "\n".join(t.get_text() for t in figure.findobj(match=lambda a: hasattr(a, "get_text")))


def test_grid_says_layer_units_weights_seed_and_activations():
    figure = plots.map_grid(maps(), title="Edges")
    said = texts(figure)
    for part in ("Edges", "conv2d_1", "unit 5", "TV 0.001", "LP 10", "seed 0", "13 → 4.25"):
        assert part in said, part
    assert "conv2d_1" in figure.alt and "TV 0.1" in figure.alt


def drawn(figure) -> list[np.ndarray]:
    return [axis.images[0].get_array() for axis in figure.axes]


def test_each_cell_shows_its_own_map():
    data = maps()
    figure = plots.map_grid(data)
    for k, image in enumerate(drawn(figure)):
        expected = data["display"].values[k // 3, k % 3, 0, 0, :, :, 0]
        np.testing.assert_array_equal(image, expected)
    assert {axis.images[0].get_cmap().name for axis in figure.axes} == {"gray"}
    assert all(axis.images[0].get_clim() == (0, 255) for axis in figure.axes)


def test_rgb_is_drawn_in_its_colours():
    data = maps(channels=3)
    figure = plots.map_wall(data.isel(tv_weight=[1]))
    np.testing.assert_array_equal(drawn(figure)[0], data["display"].values[0, 1, 0, 0])
    pixels = np.asarray(Image.open(io.BytesIO(figure.png())).convert("RGB")).reshape(-1, 3)
    for colour in data["display"].values[:, 1].reshape(-1, 3):
        assert (pixels == colour).all(axis=1).any()


@pytest.mark.parametrize(
    "selection", [{"seed": 0}, {"unit": 6}, {"seed": 0, "tv_weight": 1e-2}, {"unit": 5, "seed": 0}]
)
def test_a_selection_of_scalars_is_drawn_as_one_of_lists(selection):
    data = maps()
    scalar = plots.map_grid(data.sel(selection))
    lists = plots.map_grid(data.sel({dim: [value] for dim, value in selection.items()}))
    assert scalar.png() == lists.png()
    assert scalar.alt == lists.alt


def test_any_dims_of_the_maps_can_be_rows_and_columns():
    data = maps(weights=1).squeeze("tv_weight", drop=True)
    recipes = [data.assign(display=data["display"] // (i + 1)) for i in range(2)]
    varied = xr.concat(recipes, pd.Index(["pixels", "Fourier"], name="parametrization"))
    figure = plots.map_grid(varied, rows="parametrization", columns="unit")
    assert "pixels" in texts(figure) and "Fourier" in texts(figure)
    expected = varied["display"].isel(parametrization=1, unit=0).values.squeeze()
    np.testing.assert_array_equal(drawn(figure)[2], expected)
    by_default = plots.map_grid(varied)
    np.testing.assert_array_equal(drawn(by_default)[1], expected)
    one_dim = varied.isel(parametrization=0, lp_weight=0, seed=0, drop=True)
    assert len(plots.map_grid(one_dim).axes) == 2


def test_a_map_that_is_not_raised_silent_or_not_done_is_marked():
    raised = maps()
    assert "not raised" not in texts(plots.map_grid(raised))
    flat = raised.assign(activation_seed=raised["activation_seed"] + 12)  # raw maps reach 10 to 15
    assert texts(plots.map_grid(flat)).count("not raised") == 4
    silent = maps(silent=True)
    assert "no gradient" not in texts(plots.map_grid(silent))
    silent = silent.assign(activation_seed=silent["activation_seed"] + 99)
    assert "not raised: no gradient" in texts(plots.map_grid(silent))
    raised["done"][0, 0] = False
    assert "not done" in texts(plots.map_grid(raised))


@pytest.mark.parametrize("count", [1, 9, 30])
def test_maps_are_at_least_as_large_as_they_are_and_no_text_is_small_on_a_page(count):
    rng = np.random.default_rng(0)
    pool = [maps(units=1, weights=1).assign_coords(unit=[i]) for i in range(count)]
    data = xr.concat(pool, "unit", combine_attrs="override")
    large = rng.integers(0, 256, (*data["activation_raw"].shape, 150, 90, 1), "uint8")
    data["display"] = (data["display"].dims, large)
    grid = plots.map_grid(data.isel(unit=slice(9)), "seed", "unit")
    for figure in (grid, plots.map_wall(data)):
        width = figure.get_size_inches()[0] * 100
        for axis in figure.axes:
            box = axis.get_window_extent()
            assert round(box.width) >= 90 and round(box.height) >= 150
        for text in figure.findobj(Text):
            if text.get_text():
                assert text.get_fontsize() * min(1, 1100 / width) >= 7.5
    assert width <= 1100


def test_lines_under_neighbours_do_not_touch():
    data = maps(units=4, weights=1)
    long = ["a rather long note under a map"] * 4
    figure = plots.map_wall(data, notes=long)
    figure.png()
    boxes = [
        text.get_window_extent()
        for axis in figure.axes
        for text in axis.texts
        if "note" in text.get_text()
    ]
    assert len(boxes) == 4
    assert all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))


def test_png_is_opaque_and_carries_the_alt_text():
    figure = plots.map_wall(maps(weights=1), title="Wall")
    image = Image.open(io.BytesIO(figure.png())).convert("RGBA")
    assert image.getextrema()[3] == (255, 255)
    data, metadata = figure._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert metadata["image/png"]["alt"].startswith("Wall")


def test_a_notebook_gets_few_colours_near_the_true_ones():
    figure = plots.map_wall(maps(channels=3, weights=1))
    data, _ = figure._repr_mimebundle_()
    small, exact = base64.b64decode(data["image/png"]), figure.png()
    opened = Image.open(io.BytesIO(small))
    assert opened.mode == "P" and len(small) < 0.7 * len(exact)
    true = np.asarray(Image.open(io.BytesIO(exact)).convert("RGB"), "float64")
    assert np.abs(np.asarray(opened.convert("RGB")) - true).mean() < 6


def test_the_same_maps_make_the_same_file(tmp_path):
    first = plots.map_grid(maps()).save(tmp_path / "a" / "x.png").png()
    assert (tmp_path / "a" / "x.png").read_bytes() == first == plots.map_grid(maps()).png()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: plots.map_grid(maps(seeds=2)), "seed"),
        (lambda: plots.map_grid(maps(), columns="height"), "height"),
        (lambda: plots.map_wall(maps(weights=1), notes=["one"]), "notes must be 2"),
        (lambda: plots.contact_sheet(np.zeros((2, 4, 4, 1)), ["one"], title=""), "captions"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
