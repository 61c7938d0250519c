"""A detector of hanging ears in the last layer of an ImageNet model, checked by number."""

import keras
import numpy as np
import pandas as pd
import xarray as xr

from helpers import maps, models
from helpers.models.forward import Forward

LONG = (156, *range(160, 169), 178, *range(210, 221))
"""Breeds whose ears hang: hounds, spaniels, setters, retrievers."""
PRICK = (151, 157, 173, 174, 223, 225, 227, 235, 245, 248, 249, 250, 253)
PRICK = (*PRICK, *range(258, 262), 263, 264)
"""Breeds whose ears stand: shepherds, huskies, spitzes, corgis, the chihuahua."""
TERRIERS_DROP = (182, 184, 185, 188, 189, 190, 191, 194)
TERRIERS_PRICK = (186, 187, 192, 193, 195, 199, 203)
"""Terriers, of which none made the direction; the two Norfolk and Norwich differ by the ears."""
ELEPHANTS = (385, 386)
WILD = (*range(269, 276), *range(277, 286))
"""Wolves, wild dogs, foxes and cats, whose ears stand."""
DOGS = tuple(range(151, 269))
STRENGTH = 4.0


def class_weights(model: keras.Model, layer: str = "logits") -> np.ndarray:
    """(classes, features): the weights of the last layer, less the mean over all dogs."""
    weights = model.get_layer(layer).get_weights()[0].T
    return weights - weights[list(DOGS)].mean(0)


def direction(weights: np.ndarray, long=LONG, prick=PRICK) -> np.ndarray:
    """From breeds of pricked ears to breeds of hanging ears: the difference of mean weights."""
    return weights[list(long)].mean(0) - weights[list(prick)].mean(0)


def auc(first: np.ndarray, second: np.ndarray) -> float:
    """How often a value of the first is larger than one of the second; ties count half."""
    difference = np.subtract.outer(first, second)
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def checks(weights: np.ndarray, permutations: int = 1000) -> pd.DataFrame:
    """How well the direction tells ears on classes that it was not made of.

    Returns:
        Per check `AUC` (1: every class of hanging ears lies above every one of pricked ears) and
        `p`, the share of directions with as large an AUC when the breeds are shuffled.
    """
    draw = np.random.default_rng(0)
    breeds = np.array((*LONG, *PRICK))
    shuffled = [
        direction(weights, order[: len(LONG)], order[len(LONG) :])
        for order in (draw.permutation(breeds) for _ in range(permutations))
    ]
    pairs = {
        "terriers": (TERRIERS_DROP, TERRIERS_PRICK),
        "elephants : wolves, foxes, cats": (ELEPHANTS, WILD),
    }
    rows = {}
    for name, (hanging, standing) in pairs.items():

        def of(axis, hanging=hanging, standing=standing):
            return auc(weights[list(hanging)] @ axis, weights[list(standing)] @ axis)

        found = of(direction(weights))
        rows[name] = found, np.mean([of(axis) >= found for axis in shuffled])
    rows["breeds, each left out"] = _left_out(weights), np.nan
    return pd.DataFrame.from_dict(rows, "index", columns=["AUC", "p"])


def ranking(weights: np.ndarray, count: int = 6) -> pd.DataFrame:
    """The classes of all thousand that lie farthest along the direction, and farthest against."""
    order = np.argsort(weights @ direction(weights))
    names = models.class_names()
    return pd.DataFrame(
        {
            "hanging": [names[i] for i in order[::-1][:count]],
            "standing": [names[i] for i in order[:count]],
        }
    )


def objective(sign: int) -> maps.Objective:
    """Logits of dogs along the direction: `STRENGTH` times the difference, plus the mean dog."""
    weights = np.zeros(1000)
    long, prick = (*LONG, *TERRIERS_DROP), (*PRICK, *TERRIERS_PRICK)
    weights[list(long)] = sign * STRENGTH / len(long)
    weights[list(prick)] = -sign * STRENGTH / len(prick)
    weights[list(DOGS)] += 1 / len(DOGS)
    chosen = np.flatnonzero(weights)
    return maps.Units("logits", tuple(chosen), tuple(weights[chosen]))


def read(model: keras.Model, made: xr.Dataset, names: list[str]) -> pd.DataFrame:
    """What the model says to maps of directions: the classes it finds most probable.

    Returns:
        Per name and seed: `hanging - pricked`, the mean logit of the breeds of hanging ears less
        that of the others; `most probable`, three classes.
    """
    logits = Forward(models.at_layer(model, "logits"))
    long, prick = [*LONG, *TERRIERS_DROP], [*PRICK, *TERRIERS_PRICK]
    rows = {}
    for name, images in zip(names, made["display"].values, strict=True):
        for seed, values in zip(made["seed"].values, logits(images), strict=True):
            best = ", ".join(models.top_classes(values, 3))
            rows[name, seed] = values[long].mean() - values[prick].mean(), best
    return pd.DataFrame.from_dict(rows, "index", columns=["hanging - pricked", "most probable"])


def _left_out(weights: np.ndarray) -> float:
    """AUC of the breeds, each along the direction of the others, less its middle."""
    values = {}
    for left in (*LONG, *PRICK):
        long, prick = ([i for i in of if i != left] for of in (LONG, PRICK))
        axis = direction(weights, long, prick)
        middle = (weights[long].mean(0) + weights[prick].mean(0)) / 2
        values[left] = (weights[left] - middle) @ axis
    return auc(np.array([values[i] for i in LONG]), np.array([values[i] for i in PRICK]))
