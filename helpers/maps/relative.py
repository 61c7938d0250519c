"""Weights of the regularizers in units of the objective, so that one weight serves every model."""

from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from helpers.maps import targets
from helpers.maps.parametrizations import start_noise
from helpers.maps.regularizers import LpNorm, Regularizer, TotalVariation
from helpers.maps.targets import LayerTarget

RELATIVE_WEIGHT = 0.1
"""The relative weight of TV and LP norm where none is given, as in the panel."""
MOST_COMPARED = 64
"""Units of a layer, evenly spread, whose median stands for a unit without gradient."""


def units_of_weights(
    target: LayerTarget, starts: np.ndarray, gradients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The absolute weights of TV and LP norm that a relative weight of 1 stands for.

    `activation_weight * RMS(gradient of the objective) / RMS(gradient of the regularizer)`, both
    over the pixels of the seed input, the regularizer without a weight. For a unit without gradient
    there the median over other units of the layer that have one counts, 0 if none has.

    Args:
        target: layer and objective.
        starts: seed inputs (S, *image shape), pixels 0..255.
        gradients: RMS over pixels of the objective's gradient there, (units, S).

    Returns:
        Of TV and of the LP norm, (units, S) float32 each.
    """
    objective = target.spec.activation_weight * _with_substitutes(target, starts, gradients)
    parts = (gradient_rms(regularizer, starts) for regularizer in (TotalVariation(1), LpNorm(1)))
    tv, lp = ((objective / part).astype("float32") for part in parts)
    return tv, lp


def gradient_rms(regularizer: Regularizer, images: np.ndarray) -> np.ndarray:
    """RMS over pixels of a regularizer's gradient, without its weight, at each image, (N,).

    Of an image where it has none (an even one has no variation) that of noise counts.
    """
    found = _gradient_rms(regularizer, images)
    if not (found > 0).all():
        noise = _gradient_rms(regularizer, start_noise(0, images.shape[1:])[None])
        found = np.where(found > 0, found, noise)
    return found


def _gradient_rms(regularizer: Regularizer, images: np.ndarray) -> np.ndarray:
    x = tf.constant(images, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        values = regularizer.values(x)
    gradient = tape.gradient(values, x).numpy()
    return np.sqrt((gradient**2).mean(tuple(range(1, gradient.ndim))))


def _with_substitutes(target: LayerTarget, starts, gradients: np.ndarray) -> np.ndarray:
    """The gradients, each 0 replaced by what is usual in the layer."""
    silent = gradients == 0
    filled = gradients.copy()
    for seed in np.flatnonzero(silent.any(0)):
        filled[silent[:, seed], seed] = _usual_gradient(target.network, starts[seed].tobytes())
    return filled


@lru_cache(maxsize=64)
def _usual_gradient(network: keras.Model, start: bytes) -> float:
    """The median over units of a layer that have a gradient at a seed input, 0 if none has."""
    count = network.output_shape[-1]
    spread = np.linspace(0, count - 1, min(count, MOST_COMPARED)).astype(int)
    image = np.frombuffer(start, "float32").reshape(1, *network.input_shape[1:])
    _, gradients = targets.scores_and_gradients(network, image, spread.tolist())
    alive = gradients[gradients > 0]
    return float(np.median(alive)) if alive.size else 0.0
