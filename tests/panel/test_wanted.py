from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from tiny import tiny_net

from helpers import maps
from helpers.maps.optimization import Optimization
from helpers.maps.spec import MINUS_OTHERS, MapSpec
from helpers.panel import wanted
from helpers.panel.wanted import Wanted


def spec(**values):
    return MapSpec("conv", (0, 2), steps=3, preprocessing="0..255", **wanted.RELATIVE | values)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "conv 2"),
        ({"objective": "pre-activation"}, "conv 2 pre-activation"),
        ({"objective": MINUS_OTHERS}, "conv 2 pre-activation minus others"),
        ({"objective": "pre-activation", "sign": "sad"}, "-conv 2 pre-activation"),
    ],
)
def test_a_request_goes_to_toml_and_back(values, name):
    asked = Wanted(spec(seeds=(3, 1), size=(8, 10), **values), "robust")
    assert str(asked.request.objective[1]) == name
    assert Wanted.from_toml(asked.to_toml()) == asked
    keras_vis = Wanted(spec(**values))
    assert Wanted.from_toml(keras_vis.to_toml()) == keras_vis


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Optimization(maps.Direction("conv", (1, 2, 3))), "objective must be a Unit"),
        (Optimization((maps.Unit("a", 0), maps.Unit("b", 0))), "units of one layer"),
        (Optimization(maps.Unit("a", 0), optimizer=maps.Adam(0.3)), "those of a preset"),
        (Optimization(maps.Unit("a", 0), patience=3), "those of a preset"),
    ],
)
def test_what_the_panel_cannot_ask_for_is_named(request_, words):
    with pytest.raises(ValueError, match=words):
        Wanted.from_toml(request_.to_toml())


def test_maps_of_a_preset_are_those_of_maximize_over_unit_and_seed():
    asked = Wanted(spec(seeds=(1,)), "robust")
    made = wanted.optimize(tiny_net(), asked)
    objectives = [maps.Unit("conv", 0), maps.Unit("conv", 2)]
    expected = maps.maximize(tiny_net(), objectives, steps=3, seeds=1, progress=False)
    assert made["raw"].dims[:2] == ("unit", "seed") and made["unit"].values.tolist() == [0, 2]
    np.testing.assert_array_equal(made["display"].values, expected["display"].values)
    assert wanted.wanted_of(made) == asked
    one = wanted.select(made, unit=1)
    assert wanted.wanted_of(one).spec == replace(asked.spec, units=(2,))
    np.testing.assert_array_equal(one["raw"].values[0, 0], made["raw"].values[1, 0])


def test_maps_along_a_dim_are_remembered():
    asked, memory = Wanted(spec()), {}
    first = list(wanted.optimize_along(tiny_net(), asked, "unit", memory))
    again = list(wanted.optimize_along(tiny_net(), asked, "unit", memory))
    assert all(a is b for a, b in zip(first, again, strict=True)) and len(memory) == 2
    joined = xr.concat(first, "unit", combine_attrs="drop_conflicts")
    assert joined["unit"].values.tolist() == [0, 2]
