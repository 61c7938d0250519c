"""How far to trust a heatmap: random weights, deletion and insertion, agreement of methods."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import xarray as xr
from scipy import ndimage, stats

from helpers import models
from helpers.attribution.method import (
    Method,
    Scorer,
    attribute,
    checked_images,
    cut_for,
    heatmaps,
    stacked,
)
from helpers.maps import targets as models_as_they_are
from helpers.maps.objectives import Objective
from helpers.models.preprocessing import resolve_preprocessing

SAME_ABOVE = 0.5
"""Rank correlation from which on two heatmaps count as the same; a convention, not a test."""


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of heatmaps (..., height, width), without their sign; (...).

    Absolute values as Adebayo et al. 2018, 1810.03292, section 3; NaN where a heatmap is even.

    Raises:
        ValueError: the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"heatmaps must have one shape, got {a.shape} and {b.shape}")
    flat = (np.abs(x).reshape(*a.shape[:-2], -1) for x in (a, b))
    ranks = (stats.rankdata(x, axis=-1) for x in flat)
    one, other = (x - x.mean(-1, keepdims=True) for x in ranks)
    with np.errstate(invalid="ignore"):
        return (one * other).sum(-1) / np.sqrt((one**2).sum(-1) * (other**2).sum(-1))


def between_methods(made: Mapping[str, xr.Dataset]) -> xr.DataArray:
    """Similarity of every two methods on the same images and targets.

    Args:
        made: Datasets without channels, of one size, by a name for the method.

    Returns:
        (method_a, method_b, image, target), as `similarity`.
    """
    names = list(made)
    values = [[similarity(*(made[n].heatmap.values for n in (a, b))) for b in names] for a in names]
    first = made[names[0]]
    return xr.DataArray(
        np.array(values),
        {"method_a": names, "method_b": names, "image": first.image, "target": first.target},
        name="similarity",
    )


def sanity_check(
    method: Method,
    model: keras.Model | str | Path,
    images: np.ndarray,
    targets: Objective | Sequence[Objective],
    *,
    stages: int | None = None,
    seeds: Sequence[int] = (0,),
    names: Sequence[str | int] | None = None,
    preprocessing: str | tuple[float, float] | None = None,
    batch_size: int = 32,
    same_above: float = SAME_ABOVE,
) -> xr.Dataset:
    """Randomise the weights from the top down, and see whether the heatmaps change.

    Cascading randomisation of Adebayo et al. 2018, 1810.03292, section 3.1: layer after layer from
    the output on is drawn anew by its own initialiser. A heatmap that stays does not show what the
    model has learned.

    Args:
        method: whose heatmaps have no channels.
        model, images, targets, names, preprocessing, batch_size: as `attribute`.
        stages: how many stages of the cascade are looked at, the last with all weights random; None
            for one a layer.
        seeds: of the random weights; similarities are means over them.
        same_above: similarity from which on the heatmap counts as one that random weights give.

    Returns:
        The Dataset of `attribute` and: `similarity` (image, target, stage), with the heatmap of the
        trained model, 0 where one of the two is even, the coordinate `stage` naming the lowest
        layer that is random; `random_too`
        (image, target), True where the similarity with all weights random reaches `same_above`, or
        where the heatmap is even and shows nothing.

    Raises:
        ValueError: as `attribute`; the method keeps channels; the model has no weights.
    """
    model = models_as_they_are.checked_model(model)
    made = attribute(
        method,
        model,
        images,
        targets,
        names=names,
        preprocessing=preprocessing,
        batch_size=batch_size,
    )
    if made.heatmap.ndim != 4:
        raise ValueError(f"method must give heatmaps without channels, got {method}")
    objectives = (targets,) if isinstance(targets, Objective) else tuple(targets)
    below = [i for i, layer in reversed(list(enumerate(model.layers))) if layer.weights]
    if not below:
        raise ValueError("model must have weights, got none")
    steps = min(stages or len(below), len(below))
    chosen = [below[i - 1] for i in np.linspace(0, len(below), steps + 1).astype(int)[1:]]
    similarities = np.zeros((len(seeds), len(chosen), *made.heatmap.shape[:2]))
    for s, seed in enumerate(seeds):
        randomised = models.reinitialised(model, seed=seed)
        drawn = [layer.get_weights() for layer in randomised.layers]
        randomised.set_weights(model.get_weights())
        methods = [method.on(model, objective) for objective in objectives]
        resolved = resolve_preprocessing(model, preprocessing)
        cut, taps = cut_for(randomised, methods, objectives, resolved)
        for k, lowest in enumerate(chosen):
            for i in range(lowest, len(drawn)):
                randomised.layers[i].set_weights(drawn[i])
            again = heatmaps(cut, taps, methods, made.pixels.values, objectives, batch_size)
            similarities[s, k] = similarity(made.heatmap.values, again["heatmap"])
    mean = np.moveaxis(np.nan_to_num(similarities).mean(0), 0, -1)
    is_even = np.ptp(made.heatmap.values, axis=(2, 3)) == 0
    made["similarity"] = (("image", "target", "stage"), mean)
    made["random_too"] = ("image", "target"), is_even | (mean[..., -1] >= same_above)
    stage_names = [model.layers[i].name for i in chosen]
    return made.assign_coords(stage=stage_names).assign_attrs(same_above=same_above)


def deletion_and_insertion(
    made: xr.Dataset,
    model: keras.Model | str | Path,
    targets: Objective | Sequence[Objective],
    *,
    steps: int = 20,
    value: float = 127.5,
    blur: float = 5.0,
    seed: int = 0,
    preprocessing: str | tuple[float, float] | None = None,
) -> xr.Dataset:
    """Take pixels away, or bring them back, in the order of the heatmap, and follow the score.

    Petsiuk et al. 2018 (RISE), 1806.07421, section 4.2. A good heatmap's score falls early in
    deletion (a small area under the curve) and rises early in insertion (a large one).

    Args:
        made: heatmaps of the images' size, without channels, as a method returns them.
        model: the model that they are of.
        targets: those that they are of.
        steps: equal shares of the pixels; the curve has one more point.
        value: of a deleted pixel.
        blur: sd in pixels of the Gaussian blur of the image that insertion starts from.
        seed: of the random order that is the control.
        preprocessing: as `attribute`.

    Returns:
        `deletion` and `insertion` (image, target, order, share), the score; `deletion_area` and
        `insertion_area` (image, target, order), the mean height of the curve; `order` is "heatmap"
        or "random", `share` 0..1 of the pixels.

    Raises:
        ValueError: as `attribute`; the heatmaps have channels, or another size than the images.
    """
    objectives = (targets,) if isinstance(targets, Objective) else tuple(targets)
    if made.heatmap.dims != ("image", "target", "height", "width"):
        raise ValueError(
            f"made must hold heatmaps (image, target, height, width), got {made.heatmap.dims}"
        )
    if [str(objective) for objective in objectives] != list(made.target.values):
        raise ValueError(f"targets must be those of made, {list(made.target.values)}")
    model = models_as_they_are.checked_model(model)
    cut, taps = cut_for(model, (), objectives, resolve_preprocessing(model, preprocessing))
    images = checked_images(made.pixels.values, cut.input_shape[1:])
    blurred = _blurred(images, blur)
    pixels = images.shape[1] * images.shape[2]
    counts = np.rint(np.linspace(0, pixels, steps + 1)).astype(int)
    shuffled = np.random.default_rng(seed).permutation(pixels)
    curves = np.zeros((2, len(images), len(objectives), 2, steps + 1), "float32")
    for i, image in enumerate(images):
        for t, objective in enumerate(objectives):
            heat = made.heatmap.values[i, t].ravel()
            for o, order in enumerate((np.argsort(-heat, kind="stable"), shuffled)):
                ranks = np.empty(pixels, int)
                ranks[order] = np.arange(pixels)
                taken = (ranks < counts[:, None]).reshape(-1, *image.shape[:2], 1)
                curves[0, i, t, o] = _scores(cut, taps, objective, np.where(taken, value, image))
                curves[1, i, t, o] = _scores(
                    cut, taps, objective, np.where(taken, image, blurred[i])
                )
    dims = ("image", "target", "order", "share")
    result = xr.Dataset(
        {name: (dims, curves[c]) for c, name in enumerate(("deletion", "insertion"))},
        {
            "image": made.image,
            "target": made.target,
            "order": ["heatmap", "random"],
            "share": counts / pixels,
        },
    )
    for name in ("deletion", "insertion"):
        result[f"{name}_area"] = result[name].integrate("share")
    return result.assign_attrs(made.attrs)


def _blurred(images: np.ndarray, sd: float) -> np.ndarray:
    return ndimage.gaussian_filter(images, (0, sd, sd, 0))


def _scores(cut, taps, objective: Objective, images: np.ndarray) -> np.ndarray:
    read = _reading(Scorer(cut, taps, objective.form))
    return read(tf.constant(images, tf.float32), stacked([objective] * len(images))).numpy()


@lru_cache(maxsize=8)
def _reading(scorer: Scorer) -> Callable:
    def read(images, numbers):
        return scorer.read(images, numbers)[0]

    return tf.function(read, autograph=False, reduce_retracing=True)
