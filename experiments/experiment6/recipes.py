"""The recipes that are compared on the faces models, each from a model to maps of its classes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from helpers import maps, models
from helpers.faces.dataset import POSES, Faces
from helpers.images import as_pixels

LAYERS = ("conv2d_1", "conv2d_2", "conv2d_3", "dense_1", "dense_2")
LAST = "dense_3"
STAY_WEIGHT, STAY_LAYER = 20.0, "conv2d_3"
"""A logit of a faces model rises by 20 to 30 in a map, and `Stay` falls to -1 and below."""
REFERENCES = 32
TV_WEIGHTS = (1e-3, 10.0)


@dataclass(frozen=True)
class Sources:
    """What a recipe may use.

    Attributes:
        model: a faces model of the post's kind; it decides between `POSES`.
        known: the faces that it learned from, labelled by pose.
        seeds: of the maps.
        steps: gradient steps; None for the preset's own.
    """

    model: keras.Model
    known: Faces
    seeds: tuple[int, ...]
    steps: int | None = None


Recipe = Callable[[Sources], np.ndarray]
"""Displayed maps (poses, seeds, H, W, C), pixels 0..255."""


def logit(label: int) -> maps.Objective:
    """The class's logit less the mean of the other classes'."""
    return maps.Unit(LAST, label, pre_activation=True, minus_others=True)


LOGITS = tuple(logit(label) for label in range(len(POSES)))


def preset(name: str, **changes) -> Recipe:
    """A preset of `maximize`, with changes."""

    def make(sources: Sources) -> np.ndarray:
        return _displayed(sources, LOGITS, preset=name, **changes)

    return make


def matching(sources: Sources) -> np.ndarray:
    """The robust preset, matching the activations of faces of the class instead of maximising."""
    objectives = []
    for label, raises in enumerate(LOGITS):
        chosen = sources.known.images[sources.known.labels == label]
        draw = np.random.default_rng(0).choice(len(chosen), REFERENCES, replace=False)
        references = as_pixels(chosen[draw])
        objectives.append(
            maps.match_distribution(sources.model, LAYERS, references, relevance=raises)
        )
    return _displayed(sources, objectives)


def accentuated(sources: Sources) -> np.ndarray:
    """The robust preset from a face of another class on, staying near it."""
    rows = []
    for label, raises in enumerate(LOGITS):
        others = sources.known.images[sources.known.labels != label]
        row = []
        for seed in sources.seeds:
            image = as_pixels(others[np.random.default_rng(seed).integers(len(others))])
            objective = raises + STAY_WEIGHT * maps.stay_near(sources.model, STAY_LAYER, image)
            alone = Sources(sources.model, sources.known, (seed,), sources.steps)
            row.append(_displayed(alone, [objective], seed_input=image)[0, 0])
        rows.append(row)
    return np.array(rows)


def random_weights(sources: Sources) -> np.ndarray:
    """The robust preset on the same layers with random weights: what no training can explain."""
    blank = models.reinitialised(sources.model, seed=0)
    return _displayed(Sources(blank, sources.known, sources.seeds, sources.steps), LOGITS)


RECIPES: Mapping[str, Recipe] = {
    **{
        f"keras-vis, TV {weight:g}": preset(
            "keras_vis", regularizers=(maps.LpNorm(10.0), maps.TotalVariation(weight))
        )
        for weight in TV_WEIGHTS
    },
    "robust": preset("robust"),
    "MaCo": preset("maco"),
    "matching": matching,
    "accentuated": accentuated,
    "random weights": random_weights,
}


def _displayed(
    sources: Sources, objectives, preset="robust", regularizers=None, seed_input=None
) -> np.ndarray:
    made = maps.maximize(
        sources.model,
        objectives,
        preset=preset,
        regularizers=regularizers,
        seeds=sources.seeds,
        steps=sources.steps,
        seed_input=seed_input,
        progress=False,
    )
    return made["display"].transpose("objective", "seed", ...).values
