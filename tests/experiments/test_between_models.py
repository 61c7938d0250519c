"""Output maps of models against those of references: by pixel, wherever, as texture, by place."""

import numpy as np
import pytest
import xarray as xr

from experiments.architectures import between_models


def test_output_maps_are_compared_with_references_of_other_trainings():
    tile = np.random.default_rng(0).normal(size=(8, 8, 1))
    picture = np.tile(tile, (5, 5, 1))
    other_way = np.random.default_rng(1).normal(size=(40, 40, 1)).cumsum(0)
    net = np.stack([picture, -picture])[:, None]
    moved, strange = np.roll(net, 5, axis=3), np.stack([other_way, -other_way])[:, None]
    dims = ("model", "output", "seed", "height", "width", "channel")
    models = xr.DataArray(np.stack([net, net, moved, strange]), dims=dims)
    found = between_models.output_similarity(models, [0, 1, 0, 1], [True, True, False, False])
    same, other = found["same"], found["other"]
    assert same.sel(comparison="in place").values[:2] == pytest.approx([1, 1])
    assert other.sel(comparison="in place").values[:2] == pytest.approx([-1, -1])
    assert abs(float(same.sel(comparison="in place")[2])) < 0.3
    for comparison in ("best shift", "texture"):
        assert float(same.sel(comparison=comparison)[2]) == pytest.approx(1, abs=1e-5)
    assert float(other.sel(comparison="texture")[2]) == pytest.approx(1, abs=1e-5)
    assert float(same.sel(comparison="texture")[3]) < 0.7
    alone = between_models.output_similarity(models, [0, 0, 0, 0], [True, False, False, False])
    assert np.isnan(alone["same"]).all()


def test_contrast_at_the_same_places_counts_whatever_it_shows():
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(3, 2, 1, 40, 40, 1))
    place = np.zeros((40, 40, 1))
    place[8:20, 20:32] = 1
    other_place = np.roll(place, (12, -12), (0, 1))
    models = np.stack([noise[0] * place, noise[1] * place, noise[2] * other_place])
    dims = ("model", "output", "seed", "height", "width", "channel")
    pictures = xr.DataArray(127 + 20 * models, dims=dims)
    found = between_models.output_similarity(pictures, [0, 1, 1], [True, False, False])
    where = found["same"].sel(comparison="where")
    assert float(where[1]) > 0.9
    assert float(where[2]) < 0
    assert abs(float(found["same"].sel(comparison="in place")[1])) < 0.3
    assert found["other"].sel(comparison="where")[1] > 0.9
