import io

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from helpers import plots


def maps(units=2, weights=3, channels=1, seeds=1, silent=False):
    rng = np.random.default_rng(0)
    grid = (units, weights, 1, seeds)
    dims = ("unit", "tv_weight", "lp_weight", "seed")
    picture = ("height", "width", "channel")
    return xr.Dataset(
        {
            "display": ((*dims, *picture), rng.integers(0, 256, (*grid, 8, 6, channels), "uint8")),
            "activation_raw": (dims, np.arange(np.prod(grid), dtype=float).reshape(grid) + 10),
            "activation_display": (dims, np.full(grid, 4.25)),
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


def test_each_cell_shows_its_own_map():
    data = maps()
    figure = plots.map_grid(data)
    shown = [axis.images[0].get_array() for axis in figure.axes]
    for k, picture in enumerate(shown):
        expected = data["display"].values[k // 3, k % 3, 0, 0, :, :, 0]
        np.testing.assert_array_equal(picture, expected)
    assert {axis.images[0].get_cmap().name for axis in figure.axes} == {"gray"}
    assert all(axis.images[0].get_clim() == (0, 255) for axis in figure.axes)


def test_rgb_is_shown_in_its_colours():
    data = maps(channels=3)
    shown = plots.map_wall(data.isel(tv_weight=[1])).axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown, data["display"].values[0, 1, 0, 0])


def test_a_unit_without_gradient_and_a_map_not_done_are_marked():
    assert "no gradient at seed" in texts(plots.map_grid(maps(silent=True)))
    data = maps()
    data["done"][0, 0] = False
    assert "not done" in texts(plots.map_grid(data))


def test_png_is_opaque_and_carries_the_alt_text():
    figure = plots.map_wall(maps(weights=1), title="Wall")
    image = Image.open(io.BytesIO(figure.png())).convert("RGBA")
    assert image.getextrema()[3] == (255, 255)
    data, metadata = figure._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert metadata["image/png"]["alt"].startswith("Wall")


def test_the_same_maps_make_the_same_file(tmp_path):
    first = plots.map_grid(maps()).save(tmp_path / "a" / "x.png").png()
    assert (tmp_path / "a" / "x.png").read_bytes() == first == plots.map_grid(maps()).png()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: plots.map_grid(maps(seeds=2)), "seed"),
        (lambda: plots.map_grid(maps(), columns="height"), "height"),
        (lambda: plots.contact_sheet(np.zeros((2, 4, 4, 1)), ["one"], title=""), "captions"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
