import numpy as np
import pytest
from planted import DEAD, EDGE, LIGHT, SIZE, TWIN, bank, images, reported

from helpers.measures import NO_MAP, report_layer

UNITS = reported().units


def test_the_maps_of_planted_units_are_what_they_must_be():
    assert UNITS["appearance_class"].sel(unit=EDGE) == "edge-like"
    assert UNITS["appearance_class"].sel(unit=LIGHT) == "bright"
    assert UNITS["appearance_class"].sel(unit=DEAD) == UNITS["verdict"].sel(unit=DEAD) == NO_MAP
    assert UNITS["texture_verdict"].sel(unit=EDGE) == "stable"
    assert float(UNITS["ratio"].sel(unit=EDGE)) > 1


def test_the_census_of_the_same_units_stands_beside():
    assert UNITS["dead"].values.tolist() == [u == DEAD for u in range(6)]
    assert int(UNITS["most_correlated_unit"].sel(unit=LIGHT)) == TWIN
    assert int(UNITS["cluster"].sel(unit=LIGHT)) == int(UNITS["cluster"].sel(unit=TWIN))
    assert UNITS.attrs["selective_for"] == "left" and UNITS.attrs["layer"] == "bank"


def test_some_units_only():
    chosen = reported().happy.sel(unit=[TWIN, EDGE])
    some = report_layer(bank(), images(), chosen, selective_for="not left", progress=False)
    assert some.units["unit"].values.tolist() == [TWIN, EDGE] and some.sad is None
    assert int(some.units["most_correlated_unit"].sel(unit=TWIN)) == LIGHT
    assert float(some.units["selectivity"].sel(unit=EDGE)) == 0
    np.testing.assert_allclose(some.units["z_score"], UNITS["z_score"].sel(unit=[TWIN, EDGE]))


def test_a_selection_by_a_scalar_is_reported_too():
    happy = reported().happy
    again = report_layer(bank(), images(), happy.isel(tv_weight=0), progress=False)
    for name, values in again.units.items():
        np.testing.assert_array_equal(values, UNITS[name])


def test_what_cannot_be_judged_is_named():
    with pytest.raises(ValueError, match="at least two of seed, got 1"):
        report_layer(bank(), images(), reported().happy.isel(seed=[0]), progress=False)


def test_maps_that_were_not_raised_do_not_count_in_what_maps_look_like():
    happy = reported().happy.sel(unit=[EDGE, LIGHT]).copy(deep=True)
    first = {"unit": 0, "seed": 0}
    happy["display"][first] = np.random.default_rng(0).integers(0, 256, (1, 1, SIZE, SIZE, 1))
    for name in ("activation_raw", "activation_display"):
        happy[name][first] = -1
    found = report_layer(bank(), images(), happy, progress=False).units.sel(unit=EDGE)
    others = reported().happy.sel(unit=[EDGE, LIGHT]).isel(seed=[1, 2])
    expected = report_layer(bank(), images(), others, progress=False).units.sel(unit=EDGE)
    for name in ("edge_strength", "high_frequency_share", "similarity"):
        assert float(found[name]) == pytest.approx(float(expected[name]), rel=1e-5)
