"""An experiment's grid under other conditions: another seed input, or random weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from helpers import maps, models
from helpers.faces.dataset import load_faces
from helpers.images import as_input
from helpers.maps.parametrizations import PIXEL_RANGE
from helpers.maps.provenance import NUMERICS
from helpers.models import weights
from helpers.sweeps import store
from helpers.sweeps.study import Study

NOISE, FACES, MEAN_FACE, RANDOM_WEIGHTS = "noise", "faces", "mean face", "random weights"
STARTS = (NOISE, FACES, MEAN_FACE)
CONDITIONS = (*STARTS, RANDOM_WEIGHTS)
MEAN_OF = 32
"""Faces that the mean face is the mean of, one a person."""
WEIGHTS_SEED = 0


def starts(condition: str, shape: tuple[int, int, int], seeds: tuple[int, ...]) -> np.ndarray:
    """The seed input of each seed, (S, H, W, C) float32, pixels 0..255.

    - "noise" and "random weights": `maps.start_noise` around mid-gray.
    - "faces": for seed s a rendered face of person s, the poses taking turns.
    - "mean face": the same noise around the mean of 32 rendered people's faces in four poses.

    Raises:
        ValueError: no such condition.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition must be one of {CONDITIONS}, got {condition!r}")
    noise = np.stack([maps.start_noise(seed, shape) for seed in seeds])
    if condition in (NOISE, RANDOM_WEIGHTS):
        return noise
    if condition == FACES:
        faces = load_faces("rendered", people=max(seeds) + 1, per_person=4)
        return as_input(faces.images[[4 * seed + seed % 4 for seed in seeds]], shape)
    faces = load_faces("rendered", people=MEAN_OF, per_person=4)
    mean = as_input(faces.images, shape).mean(0)
    return (mean + noise - sum(PIXEL_RANGE) / 2).astype("float32")


def maps_under(study: Study, grid: str, condition: str, *, progress: bool = True) -> xr.Dataset:
    """The maps of a grid under a condition: read from the study's store, or optimized and stored.

    "noise" gives `study.maps(grid)`. "random weights" are those of `models.reinitialised` of seed
    0; the rest is as `starts` says.

    Raises:
        ValueError: no such condition, or the optimization was interrupted.
    """
    if condition == NOISE:
        return study.maps(grid, progress=progress)
    model, spec = study.model(grid), study.spec(grid)
    images = starts(condition, model.input_shape[1:], spec.seeds)
    if condition == RANDOM_WEIGHTS:
        model = weights.reinitialised(model, seed=WEIGHTS_SEED)
    spec = replace(spec, seed_input=maps.image_digest(images))
    digest = spec.digest(models.weight_digest(model), NUMERICS)
    path = Path(study.results or study.folder / "results") / f"{digest}.nc"
    if not store.is_intact(path):
        store.save(maps.compute(model, spec, seed_input=images, progress=progress), path)
    return store.load(path)
