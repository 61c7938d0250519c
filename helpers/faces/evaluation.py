"""How a model does on labelled images."""

from dataclasses import dataclass

import keras
import numpy as np

from helpers.images import LabelledImages, as_input
from helpers.models.forward import Forward


@dataclass(frozen=True)
class Evaluation:
    """How a model does on labelled images.

    Attributes:
        accuracy: share of the images whose most probable class is right, 0..1.
        confusion: (classes, classes) counts; rows are the labels, columns the predictions.
        mistakes: indices of the images whose prediction is wrong, the most certain first.
        probabilities: (N, classes).
    """

    accuracy: float
    confusion: np.ndarray
    mistakes: np.ndarray
    probabilities: np.ndarray


def evaluate(model: keras.Model, images: LabelledImages) -> Evaluation:
    """Evaluate a classifier on images, brought to its size and channels by `as_input`.

    Args:
        model: takes pixels 0..255, puts out probabilities (N, classes).
        images: labelled as the model's outputs are; faces by pose: `Faces.by_pose`.
    """
    pixels = as_input(images.images, model.input_shape[1:])
    probabilities = Forward(model)(pixels)
    predicted = probabilities.argmax(1)
    classes = len(images.class_names)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (images.labels, predicted), 1)
    wrong = np.flatnonzero(predicted != images.labels)
    mistakes = wrong[np.argsort(-probabilities.max(1)[wrong], kind="stable")]
    accuracy = float((predicted == images.labels).mean())
    return Evaluation(accuracy, confusion, mistakes, probabilities)
