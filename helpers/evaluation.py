"""How a net does on labelled images: what is right of what it says."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from helpers import faces as face_sets
from helpers.faces import POSES, Faces


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


def as_input(images: np.ndarray, input_shape: tuple[int, int, int]) -> np.ndarray:
    """Bring images (N, h, w, c) in 0..1 to a net's (N, H, W, C), pixels 0..255.

    RGB becomes gray by its mean over channels, gray becomes RGB by repetition; another size is
    reached by bilinear interpolation.
    """
    height, width, channels = input_shape
    pixels = as_pixels(images)
    if pixels.shape[-1] != channels:
        pixels = np.repeat(pixels.mean(-1, keepdims=True), channels, axis=-1)
    if pixels.shape[1:3] != (height, width):
        pixels = np.asarray(tf.image.resize(pixels, (height, width), antialias=True))
    return pixels


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Images in 0..1 as float32 pixels 0..255."""
    return np.asarray(images, "float32") * 255
