"""Whether maps mean to other models, and beside natural images, what they mean to their own."""

from collections.abc import Sequence

import keras
import numpy as np

from helpers.images import fit
from helpers.models.forward import Forward


def transfer(
    pixels: np.ndarray, classes: Sequence[int], judges: Sequence[keras.Model]
) -> np.ndarray:
    """Share of the judges that give a map to its class.

    Judges are models trained independently of the one that the maps are made on. A map that means
    something convinces them too; by chance they agree on one map in as many as there are classes,
    so compare it with maps of a model of random weights.

    Args:
        pixels: displayed maps (N, h, w, c), 0..255.
        classes: (N,) the class that each map is of, an index of the judges' outputs.
        judges: take pixels 0..255, put out one number for each class (N, classes); the largest
            is their choice.

    Returns:
        (N,) shares in 0..1.

    Raises:
        ValueError: there are no judges, or not as many classes as maps.
    """
    if not judges:
        raise ValueError("judges must be at least one model, got none")
    if len(classes) != len(pixels):
        raise ValueError(f"classes must be {len(pixels)}, one per map, got {len(classes)}")
    chosen = [Forward(judge)(fit(pixels, judge.input_shape[1:])).argmax(1) for judge in judges]
    return (np.array(chosen) == np.asarray(classes)).mean(0)


def distance_to_images(features: np.ndarray, reference_features: np.ndarray) -> np.ndarray:
    """How far maps are from natural images, in what a layer does: 1 is as far as natural images.

    The distance `1 - cosine` of a map to the nearest reference, over the median of the same
    distance of each reference to the nearest other one.

    Args:
        features: (N, ...) activations that the maps cause at a layer.
        reference_features: (M, ...) those of natural images, at least two.

    Returns:
        (N,); NaN for a map that leaves the layer silent.
    """
    if len(reference_features) < 2:
        raise ValueError(f"reference_features must be at least 2, got {len(reference_features)}")
    maps, references = _directions(features), _directions(reference_features)
    among = references @ references.T
    np.fill_diagonal(among, -np.inf)
    return (1 - (maps @ references.T).max(1)) / np.median(1 - among.max(1))


def _directions(features: np.ndarray) -> np.ndarray:
    flat = np.asarray(features, "float64").reshape(len(features), -1)
    with np.errstate(invalid="ignore"):
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)
