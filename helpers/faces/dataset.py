"""The sample problem's images: rendered faces, the CMU Face Images, or a folder of your own.

Class 1 is "left": the subject's left, as in the CMU file names, which is the right-hand side of the
image. Class 0 is "not left". `Faces.by_pose` labels the same images by their four poses.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from helpers.faces.cmu import load_cmu
from helpers.faces.renderer import SIZE, render_people
from helpers.images import LabelledImages, load_folder

POSES = ("straight", "left", "right", "up")
LEFT_OR_NOT = ("not left", "left")

Images = TypeVar("Images", bound=LabelledImages)


@dataclass(frozen=True, eq=False)
class Faces(LabelledImages):
    """Labelled images of faces; a group is a person.

    Attributes:
        poses: (N,) str, one of `POSES`; the class's name for a folder of your own.
    """

    poses: np.ndarray = field(kw_only=True)

    @property
    def people(self) -> np.ndarray:
        """Who is on each image, (N,) str."""
        return self.group_names

    def by_pose(self) -> "Faces":
        """The same images, labelled by their poses: `class_names` is `POSES`.

        Raises:
            ValueError: a pose that is not one of them, as in a folder of your own.
        """
        return replace(self, labels=pose_labels(self.poses, POSES), class_names=POSES)


def faces_by_left(
    images: np.ndarray, people: np.ndarray, poses: np.ndarray, source: str, skipped: int = 0
) -> Faces:
    """Faces (N, H, W, C) in 0..1, labelled "left" or "not left" by their poses (N,)."""
    labels = pose_labels(poses, LEFT_OR_NOT)
    return Faces(images, labels, LEFT_OR_NOT, people, source, skipped, poses=poses)


def pose_labels(poses: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
    """Labels (N,) int64 of poses (N,) str, as an index into `POSES` or into `LEFT_OR_NOT`.

    Raises:
        ValueError: a pose that is not one of `POSES`, or other classes.
    """
    unknown = sorted(set(poses) - set(POSES))
    if unknown:
        raise ValueError(f"poses must be of {POSES}, got {unknown}")
    if tuple(class_names) == POSES:
        return np.array([POSES.index(pose) for pose in poses], "int64")
    if tuple(class_names) == LEFT_OR_NOT:
        return (poses == "left").astype("int64")
    raise ValueError(f"class_names must be {POSES} or {LEFT_OR_NOT}, got {class_names}")


def load_faces(
    source: str = "rendered",
    path: str | Path | None = None,
    *,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    all_sizes: bool = False,
    channels: int | None = None,
    people: int = 48,
    per_person: int = 56,
) -> Faces:
    """Load one of the three sources.

    - "rendered": 64x64 RGB faces drawn by `helpers.faces.renderer`, the same for the same seed.
    - "cmu": the CMU Face Images (T. Mitchell, Machine Learning, McGraw-Hill 1997; UCI Machine
      Learning Repository, dataset 124), gray; `helpers.faces.cmu.load_cmu` says what a
      pixel's value is. The sixteen `.bad` files, damaged in the original, are skipped and counted.
    - "folder": your own images, as `helpers.images.load_folder` reads them; groups are people.

    Args:
        source: which.
        path: the folder of "folder"; for "cmu" a folder or an archive (zip or tar, also one inside
            another) in the published layout, or None to download it once.
        seed: of the rendered faces.
        size: (height, width) of the images. "cmu" has (120, 128), (60, 64), its default,
            and (30, 32). A folder needs it; "rendered" has (64, 64) only.
        all_sizes: of "cmu": the photographs of all three sizes, scaled to `size`.
        channels: 3 for RGB, 1 for gray; None for what the source has ("cmu" 1, the others 3).
        people: how many people are rendered.
        per_person: images rendered of each, the poses taking turns.

    Raises:
        ValueError: an argument is not legal, or what was read is not such a set.
        OSError: "cmu" without a path, and it cannot be downloaded.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1, 3 or None, got {channels!r}")
    if all_sizes and source != "cmu":
        raise ValueError(f"all_sizes must be False for a source other than 'cmu', got {source!r}")
    size = None if size is None else tuple(np.atleast_1d(size).tolist())
    faces = _load(source, path, seed, size, all_sizes, people, per_person)
    if channels is None or channels == faces.images.shape[-1]:
        return faces
    gray = faces.images.mean(-1, keepdims=True)
    return replace(faces, images=np.repeat(gray, channels, axis=-1))


def split_by_person(
    images: Images, test_fraction: float = 0.2, *, seed: int
) -> tuple[Images, Images]:
    """Split into train and test images with nobody in both; at least one person in each.

    Raises:
        ValueError: `test_fraction` is not between 0 and 1, or there is one person only.
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must be between 0 and 1, got {test_fraction}")
    order = _shuffled_people(images, 2, seed)
    count = min(max(1, round(len(order) * test_fraction)), len(order) - 1)
    is_test = np.isin(images.group_names, order[:count])
    return images[~is_test], images[is_test]


def person_folds(images: Images, n_folds: int, *, seed: int) -> Iterator[tuple[Images, Images]]:
    """Yield `n_folds` pairs (train, test) in which every person is tested once.

    Raises:
        ValueError: fewer people than folds, or fewer than two folds.
    """
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2, got {n_folds}")
    order = _shuffled_people(images, n_folds, seed)
    for fold in range(n_folds):
        is_test = np.isin(images.group_names, order[fold::n_folds])
        yield images[~is_test], images[is_test]


def _load(source, path, seed, size, all_sizes, people, per_person) -> Faces:
    if source == "rendered":
        if size not in (None, (SIZE, SIZE)):
            raise ValueError(f"size of 'rendered' must be {(SIZE, SIZE)} or None, got {size!r}")
        return faces_by_left(*render_people(people, per_person, POSES, seed=seed), source)
    if source == "cmu":
        images, names, poses, skipped = load_cmu(path, size or (60, 64), POSES, all_sizes=all_sizes)
        return faces_by_left(images, names, poses, source, skipped)
    if source == "folder":
        if path is None:
            raise ValueError("path must be a folder with one sub-folder per class, got None")
        own = load_folder(path, size)
        poses = np.array(own.class_names)[own.labels]
        return Faces(
            own.images, own.labels, own.class_names, own.groups, source, own.skipped, poses=poses
        )
    raise ValueError(f"source must be 'rendered', 'cmu' or 'folder', got {source!r}")


def _shuffled_people(images: LabelledImages, at_least: int, seed: int) -> np.ndarray:
    people = np.unique(images.group_names)
    if len(people) < at_least:
        raise ValueError(f"images must show at least {at_least} people, got {len(people)}")
    return np.random.default_rng(seed).permutation(people)
