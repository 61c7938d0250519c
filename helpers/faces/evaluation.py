"""How a net does on labelled images: what is right of what it says."""

from dataclasses import dataclass

import keras
import numpy as np

from helpers.faces import dataset as face_sets
from helpers.faces.dataset import POSES, Faces
from helpers.images import as_input


@dataclass(frozen=True)
class Evaluation:
    """How a net does on labelled images.

    Attributes:
        accuracy: share of the images that it gets right, 0..1.
        confusion: (classes, classes) counts; rows are the truth, columns what the net says.
        mistakes: indices of the images that it gets wrong, the most certain mistake first.
        probabilities: (N, classes).
    """

    accuracy: float
    confusion: np.ndarray
    mistakes: np.ndarray
    probabilities: np.ndarray


def truth(faces: Faces, *, poses: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels (N,) int64 and the names of the classes: the set's own, or the four poses."""
    if poses:
        return face_sets.pose_labels(faces), POSES
    return faces.labels, faces.class_names


def evaluate(model: keras.Model, faces: Faces, *, poses: bool = False) -> Evaluation:
    """Measure a net on faces, which may be of another size or number of channels (`as_input`)."""
    labels, classes = truth(faces, poses=poses)
    pixels = as_input(faces.images, model.input_shape[1:])
    probabilities = model.predict(pixels, verbose=0)
    said = probabilities.argmax(1)
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (labels, said), 1)
    wrong = np.flatnonzero(said != labels)
    mistakes = wrong[np.argsort(-probabilities.max(1)[wrong], kind="stable")]
    return Evaluation(float((said == labels).mean()), confusion, mistakes, probabilities)
