"""What is asked of a net: one score a picture for each unit, and its gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from helpers import models
from helpers.maps.spec import MINUS_OTHERS, MapSpec

MOST_PICTURES = 64
"""Pictures measured at once."""


def target_of(model: keras.Model, spec: MapSpec, digest: str | None = None) -> keras.Model:
    """Cut and extend a model: pixels (N, H, W, C) in, each unit's objective (N, ..., units) out.

    The same model with the same weights gives the same target, so that what was compiled for it is
    found again.

    Args:
        model: Functional or Sequential.
        spec: says layer, objective and preprocessing.
        digest: `models.weight_digest` of the model as it is now, where it is known.

    Raises:
        ValueError: the layer has no units, or too few for the objective.
    """
    net = _Net(model, digest or models.weight_digest(model))
    return _target(net, spec.layer, spec.objective, spec.preprocessing)


def scores(target: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """Mean over positions of each unit's objective, (..., units) float32.

    Args:
        target: as `target_of` returns it.
        pictures: (..., H, W, C), pixels 0..255.
    """
    flat = pictures.reshape(-1, *pictures.shape[-3:]).astype("float32", copy=False)
    parts = [flat[i : i + MOST_PICTURES] for i in range(0, len(flat), MOST_PICTURES)]
    found = np.concatenate([over_positions(target(part)) for part in parts])
    return found.reshape(*pictures.shape[:-3], -1)


def scores_and_gradients(
    target: keras.Model, pictures: np.ndarray, units: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of some units, and the RMS over pixels of each score's gradient.

    Args:
        target: as `target_of` returns it.
        pictures: (N, H, W, C), pixels 0..255.
        units: numbers of the units.

    Returns:
        Both (units, N) float32.
    """
    x = tf.constant(pictures, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        found = tf.gather(over_positions(target(x)), units, axis=1)
        each = tf.unstack(found, axis=1)
    gradients = np.stack([tape.gradient(score, x) for score in each])
    return found.numpy().T, np.sqrt(np.mean(gradients**2, axis=(2, 3, 4)))


def over_positions(outputs: tf.Tensor) -> tf.Tensor:
    """Mean over positions, (N, ..., units) to (N, units)."""
    return tf.reduce_mean(outputs, axis=list(range(1, len(outputs.shape) - 1)))


@dataclass(frozen=True)
class _Net:
    """A model as it is now: equal to another only when object and weights are the same."""

    model: keras.Model
    digest: str


@lru_cache(maxsize=8)
def _target(net: _Net, layer: str, objective: str, preprocessing) -> keras.Model:
    tap = models.Tap(layer, pre_activation=objective != "activation")
    cut = models.cut_at(net.model, [tap], preprocessing=preprocessing)
    if objective == MINUS_OTHERS:
        cut = keras.Model(cut.inputs[0], _minus_others(cut.outputs[0]))
    return cut


def _minus_others(z: keras.KerasTensor) -> keras.KerasTensor:
    units = z.shape[-1]
    if units == 1:
        raise ValueError(f"objective {MINUS_OTHERS!r} needs a layer of at least 2 units, got 1")
    total = keras.ops.sum(z, axis=-1, keepdims=True)
    return z - (total - z) / (units - 1)
