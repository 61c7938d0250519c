"""The sample problem: face images, and models trained on them."""

from helpers.faces.dataset import (
    POSES,
    Faces,
    load_faces,
    person_folds,
    pose_labels,
    split_by_person,
)

__all__ = [
    "Faces",
    "POSES",
    "load_faces",
    "person_folds",
    "pose_labels",
    "split_by_person",
]
