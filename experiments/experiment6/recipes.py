"""The recipes that are compared on the faces models, each from a class to its maps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np
import xarray as xr

from helpers import maps, models
from helpers.faces.dataset import Faces
from helpers.images import as_pixels

LAYERS = ("conv2d_1", "conv2d_2", "conv2d_3", "dense_1", "dense_2")
LAST = "dense_3"
STAY_WEIGHT, STAY_LAYER = 20.0, "conv2d_3"
"""A logit of a faces model rises by 20 to 30 in a map, and `Stay` falls to -1 and below."""
REFERENCES = 32
TV_WEIGHTS = (1e-3, 1e-1, 10.0)


@dataclass(frozen=True)
class Sources:
    """What a recipe may use.

    Attributes:
        model: a faces model; it decides between "not left" (0) and "left" (1).
        known: the faces that it learned from.
        seeds: of the maps.
    """

    model: keras.Model
    known: Faces
    seeds: tuple[int, ...]


def logit(label: int) -> maps.Objective:
    """The class's logit less that of the other class."""
    return maps.Unit(LAST, label, pre_activation=True, minus_others=True)


def preset(name: str, **changes) -> Callable[[Sources, int], xr.Dataset]:
    """A preset of `maximize`, with changes."""

    def make(sources: Sources, label: int) -> xr.Dataset:
        return _maximize(sources, logit(label), preset=name, **changes)

    return make


def matching(sources: Sources, label: int) -> xr.Dataset:
    """The robust preset, matching the activations of faces of the class instead of maximising."""
    chosen = sources.known.images[sources.known.labels == label]
    draw = np.random.default_rng(0).choice(len(chosen), REFERENCES, replace=False)
    objective = maps.match_distribution(
        sources.model, LAYERS, as_pixels(chosen[draw]), relevance=logit(label)
    )
    return _maximize(sources, objective)


def accentuated(sources: Sources, label: int) -> xr.Dataset:
    """The robust preset from a face of the other class on, staying near it."""
    others = sources.known.images[sources.known.labels != label]
    made = []
    for seed in sources.seeds:
        image = as_pixels(others[np.random.default_rng(seed).integers(len(others))])
        stay = maps.stay_near(sources.model, STAY_LAYER, image)
        objective = logit(label) + STAY_WEIGHT * stay
        one = Sources(sources.model, sources.known, (seed,))
        made.append(_maximize(one, objective, seed_input=image))
    return xr.concat(made, "seed", combine_attrs="drop_conflicts", join="override")


def random_weights(sources: Sources, label: int) -> xr.Dataset:
    """The robust preset on the same layers with random weights: what no training can explain."""
    blank = models.reinitialised(sources.model, seed=0)
    return _maximize(Sources(blank, sources.known, sources.seeds), logit(label))


def _regularized(weight: float) -> Callable[[Sources, int], xr.Dataset]:
    return preset("keras_vis", regularizers=(maps.LpNorm(10.0), maps.TotalVariation(weight)))


RECIPES: Mapping[str, Callable[[Sources, int], xr.Dataset]] = {
    **{f"keras-vis, TV {weight:g}": _regularized(weight) for weight in TV_WEIGHTS},
    "robust": preset("robust"),
    "MaCo": preset("maco"),
    "matching": matching,
    "accentuated": accentuated,
    "random weights": random_weights,
}


def _maximize(
    sources: Sources, objective: maps.Objective, preset="robust", regularizers=None, seed_input=None
) -> xr.Dataset:
    made = maps.maximize(
        sources.model,
        objective,
        preset=preset,
        regularizers=regularizers,
        seeds=sources.seeds,
        seed_input=seed_input,
        progress=False,
    )
    return made.squeeze("objective", drop=True).drop_vars(maps.dataset.AXES[1:5], errors="ignore")
