import numpy as np
import pytest
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
    found = similarity.as_pictures(NOISE, shifts=False)
    expected = np.corrcoef(*(plane.ravel() for plane in pair()))[0, 1]
    assert float(found.sel(AT)) == pytest.approx(expected, abs=1e-5)


def test_at_the_best_shift_it_is_scipys_and_symmetric():
    found = similarity.as_pictures(NOISE, progress=False)
    a, b = (plane - plane.mean() for plane in pair())
    full = fftconvolve(np.tile(a, (2, 2)), b[::-1, ::-1], mode="valid")
    expected = full.max() / np.sqrt((a**2).sum() * (b**2).sum())
    assert float(found.sel(AT)) == pytest.approx(expected, abs=1e-5)
    turned = found.transpose("other_unit", "other_seed", "unit", "seed")
    np.testing.assert_allclose(found, turned, atol=1e-6)


def test_flat_maps_of_one_colour_are_alike_and_of_another_are_not():
    colours = np.array([[1, -1, 0], [1, -1, 0], [0, 1, -1.0]])[:, None, None, None]
    noise = np.random.default_rng(1).normal(size=(3, 1, 24, 24, 3)) / 20
    found = similarity.as_pictures(as_maps(colours + noise), progress=False)[:, 0, :, 0]
    assert float(found[0, 1]) > 0.99 and float(found[0, 2]) == pytest.approx(-0.5, abs=0.02)
    patterned = colours.repeat(24, 2).repeat(24, 3) / 5 + noise / 4
    patterned[0] = colours[0] / 5 + np.random.default_rng(2).normal(size=(1, 24, 24, 3))
    patterned[1] = colours[1] / 5 + np.random.default_rng(3).normal(size=(1, 24, 24, 3))
    found = similarity.as_pictures(as_maps(patterned), shifts=False)[:, 0, :, 0]
    assert abs(float(found[0, 1])) < 0.1 and abs(float(found[0, 2])) < 1e-5


def test_colours_that_cancel_to_the_same_gray_are_told_apart():
    plane = np.random.default_rng(1).normal(size=(1, 1, 24, 24, 1))
    ends = np.concatenate([plane, -plane], -1)
    both = np.concatenate([ends, ends[..., ::-1]])
    found = similarity.as_pictures(as_maps(both), shifts=False)
    assert float(found[0, 0, 1, 0]) < -0.99


def test_texture_likeness_ignores_where_and_knows_what():
    draw = np.random.default_rng(3)
    rows, columns = np.mgrid[0:24, 0:24]
    across, down = (np.sin(2 * np.pi * axis / 6)[..., None] for axis in (columns, rows))
    planes = np.stack(
        [
            np.stack([np.roll(plane, draw.integers(24, size=2), (0, 1)) for _ in range(3)])
            for plane in (across, down)
        ]
    ) + 0.2 * draw.normal(size=(2, 3, 24, 24, 1))
    found = similarity.as_textures(as_maps(planes))
    own = found.sel(unit=0, other_unit=0, seed=0, other_seed=1)
    other = found.sel(unit=0, other_unit=1, seed=0, other_seed=1)
    assert float(own) > 0.9 and float(other) < 0.2
    np.testing.assert_allclose(np.einsum("usus->us", found), 1, rtol=1e-5)


def test_to_the_net_it_is_the_cosine_of_activations():
    found = similarity.to_the_net(NOISE, bank(), "bank")
    shown = NOISE["display"].values[[1, 2], 0, 0, [1, 0]].astype("float32")
    a, b = cutting.at_layer(bank(), "bank").predict(shown, verbose=0).reshape(2, -1)
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert float(found.sel(AT)) == pytest.approx(expected, rel=1e-5)


def test_more_than_one_weight_is_named():
    for call in (similarity.as_pictures, similarity.as_textures):
        with pytest.raises(ValueError, match="maps must have one tv_weight"):
            call(NOISE.isel(tv_weight=[0, 0]))
