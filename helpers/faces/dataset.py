"""The sample problem's pictures: rendered faces, the CMU Face Images, or a folder of your own.

Class 1 is "left": the subject's left, as in the CMU file names, which is the right-hand side of the
picture. Class 0 is "not left".
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from helpers.faces.cmu import load_cmu
from helpers.faces.renderer import SIZE, render_people

POSES = ("straight", "left", "right", "up")
SUFFIXES = (".png", ".jpg", ".jpeg", ".pgm", ".ppm", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Faces:
    """Labelled pictures.

    Attributes:
        images: (N, H, W, C) float32 in [0, 1].
        labels: (N,) int64, index into `class_names`.
        people: (N,) str, who is on each picture.
        poses: (N,) str, one of `POSES`; the class's name for a folder of your own.
        class_names: name of each label.
        source: "rendered", "cmu" or "folder".
        skipped: how many files were left out as damaged.
    """

    images: np.ndarray
    labels: np.ndarray
    people: np.ndarray
    poses: np.ndarray
    class_names: tuple[str, ...]
    source: str
    skipped: int = 0

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.images)

    def __getitem__(self, which) -> "Faces":
        """The pictures that an index array, mask or slice picks."""
        picked = {key: getattr(self, key)[which] for key in ("images", "labels", "people", "poses")}
        return replace(self, **picked)


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
    - "folder": your own pictures, one sub-folder a class, class names sorted. A further level of
      folders is read as people; without it every picture counts as a person of its own.

    Args:
        source: which.
        path: the folder of "folder"; for "cmu" a folder or an archive (zip or tar, also one inside
            another) in the published layout, or None to download it once.
        seed: of the rendered faces.
        size: (height, width) of the pictures. "cmu" has (120, 128), (60, 64), its default,
            and (30, 32). A folder needs it; "rendered" has (64, 64) only.
        all_sizes: of "cmu": the photographs of all three sizes, scaled to `size`.
        channels: 3 for RGB, 1 for gray; None for what the source has ("cmu" 1, the others 3).
        people: how many persons are rendered.
        per_person: pictures rendered of each, the poses taking turns.

    Raises:
        ValueError: an argument is not legal, or what was found is not such a set.
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


def split_by_person(faces: Faces, test_fraction: float = 0.2, *, seed: int) -> tuple[Faces, Faces]:
    """Split into train and test with nobody in both; at least one person in each.

    Raises:
        ValueError: `test_fraction` is not between 0 and 1, or there is one person only.
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must be between 0 and 1, got {test_fraction}")
    order = _shuffled_people(faces, 2, seed)
    count = min(max(1, round(len(order) * test_fraction)), len(order) - 1)
    test = np.isin(faces.people, order[:count])
    return faces[~test], faces[test]


def person_folds(faces: Faces, n_folds: int, *, seed: int) -> Iterator[tuple[Faces, Faces]]:
    """Yield `n_folds` pairs (train, test) in which every person is tested once.

    Raises:
        ValueError: fewer people than folds, or fewer than two folds.
    """
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2, got {n_folds}")
    order = _shuffled_people(faces, n_folds, seed)
    for fold in range(n_folds):
        test = np.isin(faces.people, order[fold::n_folds])
        yield faces[~test], faces[test]


def pose_labels(faces: Faces) -> np.ndarray:
    """(N,) int64, each picture's pose as an index into `POSES`.

    Raises:
        ValueError: a pose that is not one of them, as in a folder of your own.
    """
    unknown = sorted(set(faces.poses) - set(POSES))
    if unknown:
        raise ValueError(f"poses must be of {POSES}, got {unknown}")
    return np.array([POSES.index(pose) for pose in faces.poses], "int64")


def _load(source, path, seed, size, all_sizes, people, per_person) -> Faces:
    if source == "rendered":
        if size not in (None, (SIZE, SIZE)):
            raise ValueError(f"size of 'rendered' must be {(SIZE, SIZE)} or None, got {size!r}")
        return _left_or_not(*render_people(people, per_person, POSES, seed=seed), source, 0)
    if source == "cmu":
        images, names, poses, skipped = load_cmu(path, size or (60, 64), POSES, all_sizes=all_sizes)
        return _left_or_not(images, names, poses, source, skipped)
    if source == "folder":
        return _load_folder(path, size)
    raise ValueError(f"source must be 'rendered', 'cmu' or 'folder', got {source!r}")


def _left_or_not(images, people, poses, source, skipped) -> Faces:
    labels = (poses == "left").astype("int64")
    return Faces(images, labels, people, poses, ("not left", "left"), source, skipped)


def _shuffled_people(faces: Faces, at_least: int, seed: int) -> np.ndarray:
    people = np.unique(faces.people)
    if len(people) < at_least:
        raise ValueError(f"faces must show at least {at_least} people, got {len(people)}")
    return np.random.default_rng(seed).permutation(people)


def _load_folder(path: str | Path | None, size: tuple[int, int] | None) -> Faces:
    folder = Path(path) if path is not None else None
    if folder is None or not folder.is_dir():
        raise ValueError(f"path must be a folder with one sub-folder a class, got {path!r}")
    if size is None or len(size) != 2 or min(size) < 1:
        raise ValueError(f"size of 'folder' must be (height, width), at least 1, got {size!r}")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [
        (index, file)
        for index, name in enumerate(classes)
        for file in sorted((folder / name).rglob("*"))
        if file.suffix.lower() in SUFFIXES
    ]
    if len(classes) < 2 or not files:
        raise ValueError(
            f"path must hold at least two sub-folders with pictures {SUFFIXES}, got"
            f" {len(classes)} sub-folders and {len(files)} pictures"
        )
    height, width = size
    images, kept, skipped = [], [], 0
    for index, file in tqdm(files, desc="pictures"):
        try:
            with Image.open(file) as picture:
                scaled = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        except OSError:
            skipped += 1
            continue
        images.append(np.asarray(scaled, "float32") / 255)
        kept.append((index, file))
    if not images:
        raise ValueError(
            f"path must hold pictures that Pillow reads, got {skipped} that it does not"
        )
    labels = np.array([index for index, _ in kept], "int64")
    people = np.array([_person(file, folder / classes[index]) for index, file in kept])
    poses = np.array(classes)[labels]
    return Faces(np.stack(images), labels, people, poses, tuple(classes), "folder", skipped)


def _person(file: Path, class_folder: Path) -> str:
    inside = file.relative_to(class_folder)
    return inside.parts[0] if len(inside.parts) > 1 else f"{class_folder.name}/{inside.name}"
