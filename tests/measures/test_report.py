import numpy as np
import pytest
from planted import DEAD, EDGE, LIGHT, SIZE, TWIN, bank, images, searched

from helpers.measures import report

UNITS = searched().units


def test_the_maps_of_planted_units_are_what_they_must_be():
    assert UNITS["kind"].sel(unit=EDGE) == "edge-like"
    assert UNITS["kind"].sel(unit=LIGHT) == "bright"
    assert UNITS["kind"].sel(unit=DEAD) == UNITS["verdict"].sel(unit=DEAD) == report.NO_MAP
    assert UNITS["texture_verdict"].sel(unit=EDGE) == "stable"
    assert float(UNITS["ratio"].sel(unit=EDGE)) > 1


def test_the_census_of_the_same_units_stands_beside():
    assert UNITS["dead"].values.tolist() == [u == DEAD for u in range(6)]
    assert int(UNITS["twin"].sel(unit=LIGHT)) == TWIN
    assert int(UNITS["cluster"].sel(unit=LIGHT)) == int(UNITS["cluster"].sel(unit=TWIN))
    assert UNITS.attrs["selective_for"] == "left" and UNITS.attrs["layer"] == "bank"


def test_some_units_only():
    one = searched()
    chosen = one.happy.sel(unit=[TWIN, EDGE])
    some = report.gather(bank(), images(), chosen, selective_for="not left", progress=False)
    assert some.units["unit"].values.tolist() == [TWIN, EDGE] and some.sad is None
    assert int(some.units["twin"].sel(unit=TWIN)) == LIGHT
    assert float(some.units["selectivity"].sel(unit=EDGE)) == 0
    np.testing.assert_allclose(some.units["z_score"], UNITS["z_score"].sel(unit=[TWIN, EDGE]))


def test_what_cannot_be_judged_is_named():
    with pytest.raises(ValueError, match="at least two of seed, got 1"):
        report.gather(bank(), images(), searched().happy.isel(seed=[0]), progress=False)


def test_maps_that_found_nothing_do_not_count_in_what_maps_look_like():
    happy = searched().happy.sel(unit=[EDGE, LIGHT]).copy(deep=True)
    first = {"unit": 0, "seed": 0}
    happy["display"][first] = np.random.default_rng(0).integers(0, 256, (1, 1, SIZE, SIZE, 1))
    for name in ("activation_raw", "activation_display"):
        happy[name][first] = -1
    found = report.gather(bank(), images(), happy, progress=False).units.sel(unit=EDGE)
    others = searched().happy.sel(unit=[EDGE, LIGHT]).isel(seed=[1, 2])
    expected = report.gather(bank(), images(), others, progress=False).units.sel(unit=EDGE)
    for name in ("edge strength", "high-frequency share", "alike"):
        assert float(found[name]) == pytest.approx(float(expected[name]), rel=1e-5)
