import numpy as np
import pytest
import xarray as xr
from planted import bank
from scipy.signal import fftconvolve

from helpers import repeatability
from helpers.maps import make_spec

SEEDS = 12
DRAW = np.random.default_rng(0)


def noise(*shape):
    return DRAW.normal(size=(*shape, 24, 24, 1))


def maps(planes, found=None):
    """Planes (unit, seed, H, W, 1), any scale -> maps as `happy_maps` returns them."""
    shown = np.clip(127.5 + 25 * planes, 0, 255).astype("uint8")[:, None, None]
    units, seeds = planes.shape[:2]
    found = np.ones((units, seeds)) if found is None else found
    grid = ("unit", "tv_weight", "lp_weight", "seed")
    return xr.Dataset(
        {
            "display": ((*grid, "height", "width", "channel"), shown),
            "activation_raw": (grid, np.asarray(found, float)[:, None, None]),
            "activation_seed": (("unit", "seed"), np.zeros((units, seeds))),
        },
        {"unit": range(units), "seed": range(seeds), "tv_weight": [1.0], "lp_weight": [1.0]},
        {"sign": "happy", "spec": make_spec(bank(), "bank", range(3)).to_toml()},
    )


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
    return maps(planes, found)


PLANTED = planted()
LIKENESS = repeatability.picture_likeness(PLANTED, progress=False)


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
    many = maps(noise(40, SEEDS))
    found = repeatability.repeatability(many, repeatability.picture_likeness(many, progress=False))
    assert 0 <= int((found["verdict"] != "not repeatable").sum()) <= 5


def test_units_that_all_look_the_same_are_no_more_alike_than_the_null():
    plane = noise()
    same = maps(np.stack([shifted(plane, SEEDS) for _ in range(3)]) + 0.5 * noise(3, SEEDS))
    found = repeatability.repeatability(same, repeatability.picture_likeness(same, progress=False))
    assert not (found["verdict"] == "stable").any()


def test_likeness_in_place_is_pearsons_and_with_shifts_scipys():
    a, b = (PLANTED["display"].values[unit, 0, 0, 1, ..., 0].astype(float) for unit in (2, 3))
    at = {"unit": 2, "seed": 1, "other_unit": 3, "other_seed": 1}
    in_place = repeatability.picture_likeness(PLANTED, shifts=False)
    assert float(in_place.sel(at)) == pytest.approx(
        np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-5
    )
    a, b = a - a.mean(), b - b.mean()
    full = fftconvolve(np.tile(a, (2, 2)), b[::-1, ::-1], mode="valid")
    expected = full.max() / np.sqrt((a**2).sum() * (b**2).sum())
    assert float(LIKENESS.sel(at)) == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(
        LIKENESS, LIKENESS.transpose("other_unit", "other_seed", "unit", "seed"), atol=1e-6
    )


def test_deeper_likeness_is_the_cosine_of_activations():
    found = repeatability.deeper_likeness(PLANTED, bank(), "bank")
    outputs = repeatability.models.at_layer(bank(), "bank").predict(
        PLANTED["display"].values[[2, 3], 0, 0, 0].astype("float32"), verbose=0
    )
    a, b = outputs.reshape(2, -1)
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    at = {"unit": 2, "seed": 0, "other_unit": 3, "other_seed": 0}
    assert float(found.sel(at)) == pytest.approx(expected, rel=1e-5)


def test_activation_spread_by_hand():
    one = maps(noise(2, 2), found=[[1.0, 3.0], [0.0, 0.0]])
    found = repeatability.activation_spread(one).squeeze()
    assert float(found[0]) == 0.5 and np.isnan(found[1])


def test_bad_input_is_named():
    two = PLANTED.isel(tv_weight=[0, 0])
    with pytest.raises(ValueError, match="maps must have one tv_weight"):
        repeatability.picture_likeness(two)
    one = PLANTED.isel(seed=[0])
    with pytest.raises(ValueError, match="at least two of seed, got 1"):
        repeatability.repeatability(one, repeatability.picture_likeness(one, progress=False))
