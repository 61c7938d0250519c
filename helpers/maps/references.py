"""Objectives that bring a map near to reference images, in what a model's units do.

`match_distribution` and `stay_near` measure the references and make the objectives, which hold the
numbers themselves: they go to TOML and back without the images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from helpers.maps import targets
from helpers.maps.objectives import Objective, OfLayer, Sum
from helpers.models.cutting import Tap
from helpers.models.forward import Forward

DIGITS = 4
"""Significant digits of an activation that an objective keeps."""


@dataclass(frozen=True)
class DistributionMatch(OfLayer):
    """Minus the distance of a layer's sorted activations to those of reference images.

    `-sum_u w_u mean_q (s_uq - t_uq)^2 / sum_u w_u mean_q t_uq^2`, where s_u are the activations of
    unit u at all positions, sorted, and averaged in Q parts of equal length, and t_u the same of
    the references (VITAL; Gorgun et al. 2025, 2503.22399, sort matching). So which activations are
    there counts, and not where. 0 for a perfect match, -1 for a layer that is silent.

    Attributes:
        layer: name of the layer.
        levels: t, Q numbers for each unit, unit by unit.
        weights: w, the relevance of each unit, at least 0.
        pre_activation: read the layer before its activation function.
    """

    levels: tuple[float, ...]
    weights: tuple[float, ...]
    pre_activation: bool = False

    def __post_init__(self):
        """Check that each unit has as many levels and one weight."""
        super().__post_init__()
        count = len(self.weights)
        if not count or len(self.levels) % count or not self.levels:
            raise ValueError(
                "levels of DistributionMatch must be equally many for each weight, got"
                f" {len(self.levels)} levels and {count} weights"
            )

    @property
    def form(self):
        parts = len(self.levels) // len(self.weights)
        return replace(self, levels=(0.0,) * parts, weights=(0.0,))

    @property
    def parameters(self):
        levels = np.array(self.levels, "float32").reshape(len(self.weights), -1)
        return levels, np.array(self.weights, "float32")

    def check(self, shapes):
        units = shapes[self.tap][-1]
        if len(self.weights) != units:
            raise ValueError(
                f"weights of DistributionMatch must be {units}, one for each unit of {self.layer},"
                f" got {len(self.weights)}"
            )

    def scores(self, activations, parameters, groups):
        levels, weights = parameters
        sorted_levels = _levels(activations[self.tap], levels.shape[-1])
        distance = tf.reduce_mean((sorted_levels - levels) ** 2, -1)
        size = tf.reduce_mean(levels**2, -1)
        return -tf.reduce_sum(weights * distance, -1) / tf.reduce_sum(weights * size, -1)

    def __str__(self) -> str:
        return self._name("as the references")


@dataclass(frozen=True)
class Stay(OfLayer):
    """Minus the distance of a layer's activations to those of one image, position by position.

    `-mean (a - b)^2 / mean b^2`, with the activations b of the image: feature accentuation (Hamblin
    et al. 2024, 2402.10039) adds it, with a weight, to what is raised from that image on. 0 for the
    image itself.

    Attributes:
        layer: name of the layer.
        activations: b, (..., units) flattened.
        pre_activation: read the layer before its activation function.
    """

    activations: tuple[float, ...]
    pre_activation: bool = False

    @property
    def form(self):
        return replace(self, activations=())

    @property
    def parameters(self):
        return (np.array(self.activations, "float32"),)

    def check(self, shapes):
        count = int(np.prod(shapes[self.tap][1:]))
        if len(self.activations) != count:
            raise ValueError(
                f"activations of Stay must be {count}, those of {self.layer}, got"
                f" {len(self.activations)}"
            )

    def scores(self, activations, parameters, groups):
        (own,) = parameters
        values = tf.reshape(activations[self.tap], tf.shape(own))
        return -tf.reduce_mean((values - own) ** 2, 1) / tf.reduce_mean(own**2, 1)

    def __str__(self) -> str:
        return self._name("as the image")


def match_distribution(
    model: keras.Model,
    layers: Sequence[str],
    references: np.ndarray,
    *,
    relevance: Objective | None = None,
    levels: int = 16,
    preprocessing: str | tuple[float, float] | None = None,
) -> Sum:
    """The objective that a map's activations are distributed as those of reference images.

    Args:
        model: the model.
        layers: names of the layers.
        references: images (N, H, W, C) of the model's size, pixels 0..255: of a class, or the
            top-activating images of a unit.
        relevance: weighs each unit of a layer by its part in this objective, `|sum of activation x
            gradient|`, mean over the references; None for equal weights.
        levels: in how many parts the sorted activations are averaged; fewer where a layer has fewer
            positions.
        preprocessing: as `maximize` takes it.

    Returns:
        The mean over the layers of their `DistributionMatch`.
    """
    matches = []
    for layer in layers:
        tap = Tap(layer)
        cut = targets.cut_of(model, (tap,), preprocessing)
        positions = int(np.prod(cut.outputs[0].shape[1:-1], dtype=int))
        parts = min(levels, positions)
        each = [_levels(tf.constant(values), parts) for values in Forward(cut).batches(references)]
        own = np.concatenate(each).mean(0)
        weights = np.ones(len(own))
        if relevance is not None:
            weights = _relevance(model, tap, relevance, references, preprocessing)
        matches.append(DistributionMatch(layer, _rounded(own), _rounded(weights)))
    return Sum(tuple(1 / len(matches) * match for match in matches))


def stay_near(
    model: keras.Model,
    layer: str,
    image: np.ndarray,
    *,
    preprocessing: str | tuple[float, float] | None = None,
) -> Stay:
    """The objective that a layer does what it does on an image, (H, W, C) pixels 0..255.

    Start from the same image: `maximize(..., objective + weight * stay_near(...),
    seed_input=image)`.
    """
    cut = targets.cut_of(model, Stay(layer, ()).taps, preprocessing)
    return Stay(layer, _rounded(Forward(cut)(np.asarray(image)[None])))


def _levels(values: tf.Tensor, parts: int) -> tf.Tensor:
    """Sorted activations of each unit, averaged in `parts` parts: (N, ..., U) to (N, U, parts)."""
    count, units = tf.shape(values)[0], values.shape[-1]
    flat = tf.transpose(tf.reshape(values, (count, -1, units)), (0, 2, 1))
    length = int(np.prod(values.shape[1:-1], dtype=int))
    edges = np.linspace(0, length, parts + 1).round().astype(int)
    member = (np.arange(length)[:, None] >= edges[:-1]) & (np.arange(length)[:, None] < edges[1:])
    means = member / member.sum(0)
    return tf.matmul(tf.sort(flat, axis=-1), tf.constant(means, tf.float32)[None])


def _relevance(model, layer: Tap, objective: Objective, references, preprocessing) -> np.ndarray:
    """`|sum over positions of activation x gradient|` of each unit, mean over the references."""
    taps = tuple(dict.fromkeys((layer, *objective.taps)))
    cut = targets.cut_of(model, taps, preprocessing)

    @tf.function(autograph=False, reduce_retracing=True)
    def relevances(images):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            values = dict(zip(taps, tf.nest.flatten(cut(images, training=False)), strict=True))
            parameters = tf.nest.map_structure(lambda p: tf.constant(p)[None], objective.parameters)
            score = objective.scores(values, parameters, tf.zeros([1], tf.int32))
        product = values[layer] * tape.gradient(score, values[layer])
        return tf.abs(tf.reduce_sum(product, list(range(1, len(product.shape) - 1))))

    each = [relevances(tf.constant(image[None], tf.float32)) for image in references]
    return np.mean(np.concatenate(each), 0)


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in np.ravel(values))
