import numpy as np
import pytest
import xarray as xr
from planted import as_maps, bank
from scipy.signal import fftconvolve

from helpers.measures import similarity
from helpers.models import cutting

NOISE = as_maps(np.random.default_rng(0).normal(size=(3, 2, 24, 24, 1)))
AT = {"unit": 1, "seed": 1, "other_unit": 2, "other_seed": 0}


def pair():
    inside = NOISE["display"].values[:, 0, 0, :, 2:-2, 2:-2, 0].astype(float)
    return inside[1, 1], inside[2, 0]


def test_in_place_it_is_pearsons_correlation():
    found = similarity.image_similarity(NOISE, shifts=False)
    expected = np.corrcoef(*(plane.ravel() for plane in pair()))[0, 1]
    assert float(found.sel(AT)) == pytest.approx(expected, abs=1e-5)


def test_at_the_best_shift_it_is_scipys_and_symmetric():
    found = similarity.image_similarity(NOISE, progress=False)
    a, b = (plane - plane.mean() for plane in pair())
    full = fftconvolve(np.tile(a, (2, 2)), b[::-1, ::-1], mode="valid")
    expected = full.max() / np.sqrt((a**2).sum() * (b**2).sum())
    assert float(found.sel(AT)) == pytest.approx(expected, abs=1e-5)
    turned = found.transpose("other_unit", "other_seed", "unit", "seed")
    np.testing.assert_allclose(found, turned, atol=1e-6)


def test_flat_maps_of_one_colour_are_similar_and_of_another_are_not():
    colours = np.array([[1, -1, 0], [1, -1, 0], [0, 1, -1.0]])[:, None, None, None]
    noise = np.random.default_rng(1).normal(size=(3, 1, 24, 24, 3)) / 20
    found = similarity.image_similarity(as_maps(colours + noise), progress=False)[:, 0, :, 0]
    assert float(found[0, 1]) > 0.99 and float(found[0, 2]) == pytest.approx(-0.5, abs=0.02)
    patterned = colours.repeat(24, 2).repeat(24, 3) / 5 + noise / 4
    patterned[0] = colours[0] / 5 + np.random.default_rng(2).normal(size=(1, 24, 24, 3))
    patterned[1] = colours[1] / 5 + np.random.default_rng(3).normal(size=(1, 24, 24, 3))
    found = similarity.image_similarity(as_maps(patterned), shifts=False)[:, 0, :, 0]
    assert abs(float(found[0, 1])) < 0.1 and abs(float(found[0, 2])) < 1e-5


def test_colours_that_cancel_to_the_same_gray_differ():
    plane = np.random.default_rng(1).normal(size=(1, 1, 24, 24, 1))
    ends = np.concatenate([plane, -plane], -1)
    planes = np.concatenate([ends, ends[..., ::-1]])
    found = similarity.image_similarity(as_maps(planes), shifts=False)
    assert float(found[0, 0, 1, 0]) < -0.99


def test_texture_similarity_ignores_where_and_knows_what():
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[0:24, 0:24]
    across, down = (np.sin(2 * np.pi * axis / 6)[..., None] for axis in (columns, rows))
    planes = np.stack(
        [
            np.stack([np.roll(plane, rng.integers(24, size=2), (0, 1)) for _ in range(3)])
            for plane in (across, down)
        ]
    ) + 0.2 * rng.normal(size=(2, 3, 24, 24, 1))
    found = similarity.texture_similarity(as_maps(planes))
    own = found.sel(unit=0, other_unit=0, seed=0, other_seed=1)
    other = found.sel(unit=0, other_unit=1, seed=0, other_seed=1)
    assert float(own) > 0.9 and float(other) < 0.2
    np.testing.assert_allclose(np.einsum("usus->us", found), 1, rtol=1e-5)


def test_to_the_model_it_is_the_cosine_of_activations():
    found = similarity.activation_similarity(NOISE, bank(), "bank")
    shown = NOISE["display"].values[[1, 2], 0, 0, [1, 0]].astype("float32")
    a, b = cutting.at_layer(bank(), "bank").predict(shown, verbose=0).reshape(2, -1)
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert float(found.sel(AT)) == pytest.approx(expected, rel=1e-5)


def test_more_than_one_weight_is_named():
    for call in (similarity.image_similarity, similarity.texture_similarity):
        with pytest.raises(ValueError, match="maps must have one tv_weight"):
            call(NOISE.isel(tv_weight=[0, 0]))


def test_over_seeds_and_between_units_are_means_of_the_one_similarity():
    rng = np.random.default_rng(4)
    maps = as_maps(rng.normal(size=(3, 2, 24, 24, 1)))
    pairs = similarity.image_similarity(maps, shifts=False)
    over = similarity.similarity_over_seeds(maps, shifts=False)
    assert over.dims == ("unit", "tv_weight", "lp_weight", "seed")
    at = {"unit": 1, "seed": 0, "other_unit": 1, "other_seed": 1}
    np.testing.assert_allclose(over.sel(unit=1).squeeze(), [pairs.sel(at)] * 2, atol=1e-6)
    between = similarity.similarity_between_units(maps, shifts=False).squeeze()
    expected = pairs.sel(unit=0, seed=1, other_seed=1, other_unit=[1, 2]).mean()
    assert float(between.sel(unit=0, seed=1)) == pytest.approx(float(expected), abs=1e-6)


def test_each_weight_is_compared_on_its_own():
    plane = np.random.default_rng(5).normal(size=(24, 24, 1))
    same = as_maps(np.stack([[plane, plane], [-plane, -plane]]))
    noise = as_maps(np.random.default_rng(6).normal(size=(2, 2, 24, 24, 1)))
    maps = xr.concat([same, noise.assign_coords(tv_weight=[2.0])], "tv_weight", data_vars="minimal")
    between = similarity.similarity_between_units(maps, shifts=False).mean(("unit", "seed"))
    np.testing.assert_allclose(between.squeeze()[0], -1, atol=1e-5)
    assert abs(float(between.squeeze()[1])) < 0.2
    over = similarity.similarity_over_seeds(maps).mean(("unit", "seed")).squeeze()
    np.testing.assert_allclose(over[0], 1, atol=1e-5)


def test_one_of_a_dim_has_nothing_to_be_compared_with():
    with pytest.raises(ValueError, match="at least two of seed, got 1"):
        similarity.similarity_over_seeds(NOISE.sel(seed=0))
    with pytest.raises(ValueError, match="at least two of unit, got 1"):
        similarity.similarity_between_units(NOISE.isel(unit=[0]))


def test_a_selection_by_a_scalar_is_compared_too():
    whole = similarity.image_similarity(NOISE, shifts=False)
    chosen = similarity.image_similarity(NOISE.sel(seed=1, tv_weight=1.0), shifts=False)
    np.testing.assert_allclose(
        similarity.unit_matrix(chosen), whole.sel(seed=1, other_seed=1), atol=1e-6
    )
    with pytest.raises(ValueError, match="must be of one seed"):
        similarity.unit_matrix(whole)


def test_similarity_to_images_is_without_the_frame_and_seed_by_seed():
    starts = NOISE["display"].values[1, 0, 0].astype(float)
    starts[:, :2], starts[:, -1] = 255, 0
    found = similarity.similarity_to_images(NOISE, starts)
    np.testing.assert_allclose(found.sel(unit=1), 1, atol=1e-5)
    assert (abs(found.sel(unit=[0, 2])) < 0.2).all()
    with pytest.raises(ValueError, match="one image per seed, got"):
        similarity.similarity_to_images(NOISE, starts[:1])


def test_pairs_of_units_count_once():
    labels = {"unit": [0, 1, 2], "other_unit": [0, 1, 2]}
    values = [[1, 0.95, 0.1], [0.95, 1, 0.2], [0.1, 0.2, 1]]
    matrix = xr.DataArray(values, labels, ("unit", "other_unit"))
    assert similarity.share_of_pairs(matrix, 0.9) == pytest.approx(1 / 3)
    assert similarity.mean_of_pairs(matrix) == pytest.approx(1.25 / 3)
    closest = similarity.closest_pairs(matrix, 2)
    assert closest.index.tolist() == [(0, 1), (1, 2)] and closest.iloc[0] == 0.95
