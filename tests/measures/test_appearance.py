import numpy as np
import pytest
import xarray as xr
from scipy.signal import fftconvolve

from helpers.maps import dataset
from helpers.measures import appearance


def pictures(*planes):
    """Planes (H, W) -> labelled (unit, height, width, channel)."""
    values = np.stack(planes)[..., None].astype("float32")
    return xr.DataArray(
        values, {"unit": range(len(planes))}, ("unit", "height", "width", "channel")
    )


ROWS, COLUMNS = np.mgrid[0:32, 0:32]
NOISE = np.random.default_rng(0).normal(size=(8, 32, 32))


def test_high_frequency_share_of_gratings_and_noise():
    slow, fast = np.sin(2 * np.pi * 2 * COLUMNS / 32), np.sin(2 * np.pi * 12 * COLUMNS / 32)
    share = appearance.high_frequency_share(pictures(slow, fast, slow + fast))
    np.testing.assert_allclose(share, [0, 1, 0.5], atol=1e-9)
    noise = appearance.high_frequency_share(pictures(*NOISE)).mean()
    assert noise == pytest.approx(1 - np.pi / 16, abs=0.02)


def test_a_flat_picture_has_no_share_and_no_orientation():
    flat = pictures(np.full((32, 32), 7.0))
    assert np.isnan(appearance.high_frequency_share(flat)).all()
    assert np.isnan(appearance.orientation(flat)["strength"]).all()


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 150])
def test_orientation_of_a_grating_is_the_angle_of_its_stripes(angle):
    radians = np.radians(angle)
    up = -ROWS
    across = -np.sin(radians) * COLUMNS + np.cos(radians) * up
    found = appearance.orientation(pictures(np.sin(2 * np.pi * 4 * across / 32)))
    off = (float(found["angle"][0]) - angle + 90) % 180 - 90
    assert abs(off) < 3
    assert float(found["strength"][0]) > 0.95


def test_noise_has_no_orientation():
    assert (appearance.orientation(pictures(*NOISE))["strength"] < 0.2).all()


def test_brightness_is_the_mean():
    picture = xr.DataArray(
        np.array([[[[1.0, 2.0]], [[3.0, 6.0]]]]), dims=("unit", "height", "width", "channel")
    )
    assert float(appearance.brightness(picture)[0]) == 3.0


def test_correlation_of_a_map_with_itself_its_negative_and_another():
    a = pictures(NOISE[0])
    assert float(appearance.correlation(a, a)[0]) == pytest.approx(1)
    assert float(appearance.correlation(a, 255 - a)[0]) == pytest.approx(-1)
    expected = np.corrcoef(NOISE[0].ravel(), NOISE[1].ravel())[0, 1]
    assert float(appearance.correlation(a, pictures(NOISE[1]))[0]) == pytest.approx(
        expected, abs=1e-6
    )


def test_best_shift_finds_the_same_texture_elsewhere():
    moved = np.roll(NOISE[0], (5, 9), (0, 1))
    a, b = pictures(NOISE[0]), pictures(moved)
    assert float(appearance.best_shift_correlation(a, b)[0]) == pytest.approx(1)
    assert abs(float(appearance.correlation(a, b)[0])) < 0.1


def test_best_shift_against_scipy():
    a, b = (plane - plane.mean() for plane in NOISE[:2])
    full = fftconvolve(np.tile(a, (2, 2)), b[::-1, ::-1], mode="valid")
    expected = full.max() / np.sqrt((a**2).sum() * (b**2).sum())
    found = appearance.best_shift_correlation(pictures(NOISE[0]), pictures(NOISE[1]))
    assert float(found[0]) == pytest.approx(expected, abs=1e-5)


def test_pairwise_and_the_mean_between_different_units():
    stack = pictures(NOISE[0], -NOISE[0], NOISE[1])
    matrix = appearance.pairwise(appearance.correlation, stack, "unit")
    assert matrix.dims == ("unit", "other_unit")
    expected = np.corrcoef([NOISE[0].ravel(), -NOISE[0].ravel(), NOISE[1].ravel()])
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    off = expected[~np.eye(3, dtype=bool)].mean()
    assert float(appearance.between(matrix, "unit")) == pytest.approx(off, abs=1e-6)


def test_bands_share_the_whole_energy():
    stack = pictures(*NOISE)
    parts = [
        appearance.band_share(stack, *band) for band in ((0, 0.0625), (0.0625, 0.25), (0.25, 1))
    ]
    np.testing.assert_allclose(sum(parts), 1)
    mean = float(appearance.texture_share(stack).mean())
    assert mean == pytest.approx(15 * np.pi / 256, abs=0.02)


def test_pool_names_every_unit_by_its_layer():
    one = pictures(NOISE[0], NOISE[1]).to_dataset(name="raw").assign_attrs(layer="a", steps=5)
    two = pictures(NOISE[2]).to_dataset(name="raw").assign_attrs(layer="b", steps=5)
    both = dataset.pool([one, two])
    assert both["unit"].values.tolist() == ["a 0", "a 1", "b 0"]
    assert both.attrs == {"layer": "a, b", "steps": 5}


def test_top_orders_and_leaves_out_nan():
    values = xr.DataArray([3.0, np.nan, 9.0, 1.0], {"unit": [10, 11, 12, 13]}, ("unit",))
    assert appearance.top(values, 2).tolist() == [12, 10]
    assert appearance.top(values, 9, largest=False).tolist() == [13, 10, 12]


def test_pairs_count_every_two_units_once():
    stack = pictures(NOISE[0], NOISE[0] * 2, NOISE[1])
    matrix = appearance.pairwise(appearance.correlation, stack, "unit")
    assert appearance.share_of_pairs(matrix, 0.9) == pytest.approx(1 / 3)
    closest = appearance.closest_pairs(matrix, 2)
    assert closest.index[0] == (0, 1) and len(closest) == 2
    assert closest.iloc[0] == pytest.approx(1)


def test_output_numbers_of_complements_that_repeat():
    both = np.stack([NOISE[0], -NOISE[0]])[:, None, None, None, ..., None]
    repeated = np.repeat(both, 2, axis=3)
    maps = xr.Dataset(
        {"display": (("unit", "tv_weight", "lp_weight", "seed", *appearance.PICTURE), repeated)},
        {"unit": [0, 1], "seed": [0, 1]},
    )
    numbers = appearance.output_numbers(maps)
    assert numbers["alike over seeds"] == pytest.approx(1)
    assert numbers["between outputs"] == pytest.approx(-1)


def colours(*planes):
    """Planes (H, W), one a channel -> one labelled picture."""
    values = np.stack(planes, -1)[None]
    return xr.DataArray(values, dims=("unit", "height", "width", "channel"))


def test_what_differs_in_colour_only_counts():
    stripes = np.sin(2 * np.pi * 12 * COLUMNS / 32)
    red_green = colours(stripes, -stripes, np.zeros((32, 32)))
    assert float(appearance.high_frequency_share(red_green)[0]) == pytest.approx(1)
    assert float(appearance.orientation(red_green)["strength"][0]) > 0.95
    assert float(appearance.orientation(red_green)["angle"][0]) == pytest.approx(90, abs=3)
    moved = red_green.roll(width=5)
    assert float(appearance.best_shift_correlation(red_green, moved)[0]) == pytest.approx(1)
    swapped = colours(-NOISE[0], NOISE[0])
    same_gray = appearance.best_shift_correlation(colours(NOISE[0], -NOISE[0]), swapped)
    assert float(same_gray[0]) < 0.3


def test_complement_keeps_the_weights_apart_and_means_over_the_seeds():
    a, b = NOISE[0], NOISE[1]
    outputs = np.array([[[a, a], [a, a]], [[-a, b], [a, a]]])[:, :, None, ..., None]
    dims = ("unit", "tv_weight", "lp_weight", "seed", *appearance.PICTURE)
    maps = xr.Dataset({"display": (dims, outputs)}, {"unit": [0, 1], "seed": [0, 1]})
    found = appearance.complement(maps).squeeze()
    r = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    np.testing.assert_allclose(found["between"], [(-1 + r) / 2, 1], atol=1e-6)
    np.testing.assert_allclose(found["alike"], [(1 - r) / 2, 1], atol=1e-6)


def test_inner_leaves_a_tenth_out_on_each_side():
    assert appearance.inner(pictures(NOISE[0])).shape == (1, 26, 26, 1)
    np.testing.assert_array_equal(
        appearance.inner(pictures(NOISE[0]))[0, 0, 0, 0], np.float32(NOISE[0][3, 3])
    )
    assert appearance.inner(pictures(np.ones((4, 4)))).shape == (1, 4, 4, 1)
