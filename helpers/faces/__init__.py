"""The sample problem: face images, and models trained on them."""

from helpers.faces.dataset import (
    LEFT_OR_NOT,
    POSES,
    Faces,
    faces_by_left,
    load_faces,
    person_folds,
    split_by_person,
)
from helpers.faces.evaluation import Evaluation, evaluate

__all__ = [
    "Evaluation",
    "Faces",
    "LEFT_OR_NOT",
    "POSES",
    "evaluate",
    "faces_by_left",
    "load_faces",
    "person_folds",
    "split_by_person",
]
