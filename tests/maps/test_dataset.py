import numpy as np
import pytest
from tiny import tiny_net

from helpers import maps
from helpers.maps import dataset


@pytest.fixture(scope="module")
def happy():
    options = {"tv_weights": [0.1, 1.0], "seeds": [2, 5], "steps": 2, "progress": False}
    return maps.happy_maps(tiny_net(), "conv", [0, 2], **options)


@pytest.mark.parametrize(
    "selection",
    [{}, {"seed": 5}, {"unit": 2, "tv_weight": 1.0}, {"unit": 0, "seed": 2, "lp_weight": 10.0}],
)
def test_a_selection_becomes_a_grid_again(happy, selection):
    grid = maps.as_grid(happy.sel(selection))
    expected = happy.sel({dim: [value] for dim, value in selection.items()})
    assert dict(grid.sizes) == dict(expected.sizes)
    for name, values in expected.data_vars.items():
        assert grid[name].dims == values.dims
        np.testing.assert_array_equal(grid[name], values)
    assert grid.attrs == happy.attrs


def test_helpers_take_a_selection(happy):
    one = happy.sel(unit=2, tv_weight=1.0, seed=5)
    assert dataset.spec_of(dataset.select(one)).units == (2,)
    assert maps.one_weight(one)["raw"].dims == dataset.IMAGE
    assert maps.raised(one).item() in (True, False)
    pooled = maps.pool([happy.sel(unit=0), happy.sel(unit=2)])
    assert pooled["unit"].values.tolist() == ["conv 0", "conv 2"]
