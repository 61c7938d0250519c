import numpy as np
import pytest
from planted import as_maps

from helpers import likeness, repeatability

SEEDS = 12
DRAW = np.random.default_rng(0)


def noise(*shape):
    return DRAW.normal(size=(*shape, 24, 24, 1))


def shifted(plane, count):
    places = DRAW.integers(0, 24, (count, 2))
    return np.stack([np.roll(plane, place, (0, 1)) for place in places])


def planted():
    """Unit 0 repeats elsewhere, unit 1 has two facets, the others are noise; 7 found nothing."""
    planes = noise(8, SEEDS)
    planes[0] = shifted(noise(), SEEDS) + 0.3 * noise(SEEDS)
    planes[1, :7], planes[1, 7:] = shifted(noise(), 7), shifted(noise(), 5)
    found = np.ones((8, SEEDS))
    found[7] = 0
    return as_maps(planes, found)


PLANTED = planted()
LIKENESS = likeness.as_pictures(PLANTED, progress=False)


def test_verdicts_of_planted_units():
    found = repeatability.repeatability(PLANTED, LIKENESS)
    assert found["verdict"].values.tolist() == [
        "stable", "several facets", *["not repeatable"] * 5, "no map",
    ]  # fmt: skip
    assert found["facet"].sel(unit=1).values.tolist() == [1] * 7 + [2] * 5
    assert found["facets"].values[:2].tolist() == [1, 2]
    assert found["largest"].values[:2].tolist() == [1, 7 / 12]
    assert float(found["percentile"].sel(unit=0)) == 100
    assert 20 < float(found["percentile"].sel(unit=3)) < 80
    assert np.isnan(found["alike"].sel(unit=7))
    assert found.attrs["null"] < found.attrs["level"] < float(found["alike"].sel(unit=0))


def test_one_unit_of_noise_in_twenty_passes():
    many = as_maps(noise(40, SEEDS))
    found = repeatability.repeatability(many, likeness.as_pictures(many, progress=False))
    assert 0 <= int((found["verdict"] != "not repeatable").sum()) <= 5


def test_units_that_all_look_the_same_are_no_more_alike_than_the_null():
    plane = noise()
    same = as_maps(np.stack([shifted(plane, SEEDS) for _ in range(3)]) + 0.5 * noise(3, SEEDS))
    found = repeatability.repeatability(same, likeness.as_pictures(same, progress=False))
    assert not (found["verdict"] == "stable").any()


def test_activation_spread_by_hand():
    one = as_maps(noise(2, 2), found=[[1.0, 3.0], [0.0, 0.0]])
    found = repeatability.activation_spread(one).squeeze()
    assert float(found[0]) == 0.5 and np.isnan(found[1])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="maps must have one tv_weight"):
        repeatability.repeatability(PLANTED.isel(tv_weight=[0, 0]), LIKENESS)
    one = PLANTED.isel(seed=[0])
    with pytest.raises(ValueError, match="at least two of seed, got 1"):
        repeatability.repeatability(one, likeness.as_pictures(one, progress=False))
