import numpy as np
import pytest
import xarray as xr
from planted import DEAD, EDGE, LIGHT, bank, images

from helpers.measures import displayed
from helpers.units.responses import measure_responses
from helpers.units.statistics import activation_scale, unit_statistics

IMAGES, MODEL = images(), bank()
RESPONSES = measure_responses(MODEL, IMAGES, "bank", progress=False)


def test_maps_against_data():
    statistics = unit_statistics(MODEL, IMAGES, progress=False)
    data = RESPONSES["activation"].sel(unit=[EDGE, LIGHT])
    raw = np.array([2 * data.sel(unit=EDGE).max(), data.sel(unit=LIGHT).mean()])
    maps = xr.Dataset(
        {
            "activation_raw": (("unit", "seed"), raw[:, None]),
            "activation_display": (("unit", "seed"), raw[:, None] - 0.25),
        },
        {"unit": [EDGE, LIGHT], "seed": [0]},
        {
            "layer": "bank",
            "objective": "activation",
            "weight_digest": statistics.attrs["weight_digest"],
        },
    )
    found = displayed.against_data(maps, statistics)
    raw_found = found.sel(of="raw").isel(seed=0)
    assert float(raw_found["ratio"].sel(unit=EDGE)) == pytest.approx(2)
    assert float(raw_found["percentile"].sel(unit=EDGE)) == 100
    assert float(raw_found["z_score"].sel(unit=LIGHT)) == pytest.approx(0, abs=1e-5)
    assert 20 < float(raw_found["percentile"].sel(unit=LIGHT)) < 80
    np.testing.assert_allclose(found["display_gap"], 0.25, rtol=1e-6)
    with pytest.raises(ValueError, match="statistics must be of the maps' model"):
        displayed.against_data(maps.assign_attrs(weight_digest="0" * 64), statistics)


def test_a_dead_unit_has_no_scale():
    statistics = unit_statistics(MODEL, IMAGES, progress=False)
    maps = xr.Dataset(
        {name: ("unit", [0.0]) for name in ("activation_raw", "activation_display")},
        {"unit": [DEAD]},
        {"layer": "bank", "objective": "activation", "weight_digest": statistics.weight_digest},
    )
    found = displayed.against_data(maps, statistics)
    assert np.isnan(found["z_score"]).all() and np.isnan(found["ratio"]).all()


def test_the_scale_of_responses_is_that_of_unit_statistics():
    statistics = unit_statistics(MODEL, IMAGES, progress=False)
    found = activation_scale(RESPONSES).squeeze()
    at = {"layer": "bank", "objective": "activation"}
    for name in ("mean", "std", "min", "max", "quantile"):
        expected = statistics[name].sel(at).transpose(*found[name].dims)
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)
    assert found.attrs["weight_digest"] == statistics.attrs["weight_digest"]
