import numpy as np
import pytest
import xarray as xr
from planted import as_maps

from helpers.measures import repeatability, similarity

SEEDS = 12
RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.normal(size=(*shape, 24, 24, 1))


def shifted(plane, count):
    places = RNG.integers(0, 24, (count, 2))
    return np.stack([np.roll(plane, place, (0, 1)) for place in places])


def planted():
    """Unit 0 repeats elsewhere, unit 1 has two facets, the others are noise; 7 has no map."""
    planes = noise(8, SEEDS)
    planes[0] = shifted(noise(), SEEDS) + 0.3 * noise(SEEDS)
    planes[1, :7], planes[1, 7:] = shifted(noise(), 7), shifted(noise(), 5)
    raised = np.ones((8, SEEDS))
    raised[7] = 0
    return as_maps(planes, raised)


PLANTED = planted()
SIMILARITY = similarity.image_similarity(PLANTED, progress=False)


def test_verdicts_of_planted_units():
    found = repeatability.judge_repeatability(PLANTED, SIMILARITY)
    assert found["verdict"].values.tolist() == [
        "stable", "several facets", *["not repeatable"] * 5, "no map",
    ]  # fmt: skip
    assert found["facet"].sel(unit=1).values.tolist() == [1] * 7 + [2] * 5
    assert found["facets"].values[:2].tolist() == [1, 2]
    assert found["largest_facet"].values[:2].tolist() == [1, 7 / 12]
    assert np.isnan(found["similarity"].sel(unit=7))
    assert (found["null"] < found["level"])[:7].all()
    assert float(found["level"].sel(unit=0)) < float(found["similarity"].sel(unit=0))


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 6, 8, 12])
def test_of_units_without_repeats_one_in_twenty_passes(seeds):
    rng = np.random.default_rng(seeds)
    values = rng.normal(size=(100, seeds, 100, seeds)) / 10
    values = (values + values.transpose(2, 3, 0, 1)) / 2
    labels = {"unit": range(100), "seed": range(seeds)}
    labels |= {f"other_{name}": label for name, label in labels.items()}
    chance = xr.DataArray(values, labels, list(labels))
    maps = xr.Dataset(
        {
            "activation_raw": (("unit", "seed"), np.ones((100, seeds))),
            "activation_display": (("unit", "seed"), np.ones((100, seeds))),
            "activation_seed": (("unit", "seed"), np.zeros((100, seeds))),
        },
        {"unit": range(100), "seed": range(seeds)},
        {"sign": "happy"},
    )
    passed = (repeatability.judge_repeatability(maps, chance)["verdict"] != "not repeatable").mean()
    assert float(passed) <= 0.1


def test_level_and_null_by_hand():
    values = np.zeros((2, 2, 2, 2))
    values[0, 0, 1, 1], values[0, 1, 1, 0] = 0.2, 0.6
    values = np.maximum(values, values.transpose(2, 3, 0, 1))
    values[0, 0, 0, 1] = values[0, 1, 0, 0] = 0.7
    for unit in (0, 1):
        values[unit, [0, 1], unit, [0, 1]] = 1
    two = as_maps(noise(2, 2))
    labels = {name: [0, 1] for name in ("unit", "seed", "other_unit", "other_seed")}
    found = repeatability.judge_repeatability(two, xr.DataArray(values, labels, list(labels)))
    np.testing.assert_allclose(found["null"], 0.4)
    np.testing.assert_allclose(found["level"], 0.2 + 0.95 * 0.4)
    np.testing.assert_allclose(found["similarity"], [0.7, 0])
    assert found["verdict"].values.tolist() == ["stable", "not repeatable"]


def test_units_that_all_look_the_same_are_no_more_similar_than_the_null():
    plane = noise()
    same = as_maps(np.stack([shifted(plane, SEEDS) for _ in range(3)]) + 0.5 * noise(3, SEEDS))
    found = repeatability.judge_repeatability(
        same, similarity.image_similarity(same, progress=False)
    )
    assert not (found["verdict"] == "stable").any()


def test_activation_spread_by_hand():
    one = as_maps(noise(2, 2), raised=[[1.0, 3.0], [0.0, 0.0]])
    found = repeatability.activation_spread(one).squeeze()
    assert float(found[0]) == 0.5 and np.isnan(found[1])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="maps must have one tv_weight"):
        repeatability.judge_repeatability(PLANTED.isel(tv_weight=[0, 0]), SIMILARITY)
    one = PLANTED.isel(seed=[0])
    with pytest.raises(ValueError, match="at least two of seed, got 1"):
        repeatability.judge_repeatability(one, similarity.image_similarity(one, progress=False))
