"""The sample problem's pictures: rendered faces, the CMU Face Images, or a folder of your own.

Class 1 is "left": the subject's left, as in the CMU file names, which is the right-hand side of the
picture. Class 0 is "not left".
"""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import keras
import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from helpers.renderer import render_people

POSES = ("straight", "left", "right", "up")
CMU_URL = "https://archive.ics.uci.edu/static/public/124/cmu+face+images.zip"
CMU_SUFFIXES = {(120, 128): "", (60, 64): "_2", (30, 32): "_4"}
CMU_CONTENT = {"people": 20, "pictures": 624}
PICTURE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".pgm",
    ".ppm",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
)


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
    people: int = 48,
    per_person: int = 56,
) -> Faces:
    """Load one of the three sources.

    - "rendered": 64x64 RGB faces drawn by `helpers.renderer`, the same for the same seed.
    - "cmu": the CMU Face Images (T. Mitchell, Machine Learning, McGraw-Hill 1997; UCI Machine
      Learning Repository, dataset 124), gray. A pixel's value is its gray level over the maximum
      that the file's header declares (about 156), so that each picture uses the whole of [0, 1];
      Pillow reads PGM so. The sixteen `.bad` files, damaged in the original, are skipped and
      counted.
    - "folder": your own pictures, one sub-folder a class, class names sorted. A further level of
      folders is read as people; without it every picture counts as a person of its own.

    Args:
        source: which.
        path: the folder of "folder"; for "cmu" a folder or an archive (zip or tar, also one inside
            another) in the published layout, or None to download it once.
        seed: of the rendered faces.
        size: (height, width) of the pictures. "cmu" has (120, 128), (60, 64), its default,
            and (30, 32). A folder needs it; "rendered" is always (64, 64).
        people: how many persons are rendered.
        per_person: pictures rendered of each, the poses taking turns.

    Raises:
        ValueError: an argument is not legal, or what was found is not such a set.
        OSError: "cmu" without a path, and it cannot be downloaded.
    """
    if source == "rendered":
        images, names, poses = render_people(people, per_person, POSES, seed=seed)
        return _left_or_not(images, names, poses, source, 0)
    if source == "cmu":
        return _load_cmu(path, size or (60, 64))
    if source == "folder":
        return _load_folder(path, size)
    raise ValueError(f"source must be 'rendered', 'cmu' or 'folder', got {source!r}")


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


def _left_or_not(images, people, poses, source, skipped) -> Faces:
    labels = (poses == "left").astype("int64")
    return Faces(images, labels, people, poses, ("not left", "left"), source, skipped)


def _shuffled_people(faces: Faces, at_least: int, seed: int) -> np.ndarray:
    people = np.unique(faces.people)
    if len(people) < at_least:
        raise ValueError(f"faces must show at least {at_least} people, got {len(people)}")
    return np.random.default_rng(seed).permutation(people)


def _load_cmu(path: str | Path | None, size: tuple[int, int]) -> Faces:
    if tuple(size) not in CMU_SUFFIXES:
        raise ValueError(f"size of 'cmu' must be one of {list(CMU_SUFFIXES)}, got {size}")
    downloaded = path is None
    path = Path(_download_cmu() if downloaded else path)
    if not path.exists():
        raise ValueError(f"path must be a folder or archive of the CMU pictures, got {str(path)!r}")
    suffix = CMU_SUFFIXES[tuple(size)]
    files, skipped = {}, 0
    for name, data in _walk(path):
        stem, extension = PurePosixPath(name).stem, PurePosixPath(name).suffix
        fields = stem.split("_")
        if len(fields) not in (4, 5) or fields[1] not in POSES:
            continue
        skipped += extension == ".bad"
        if extension == ".pgm" and stem == "_".join(fields[:4]) + suffix:
            files[stem] = data
    stems = sorted(files)
    people = np.array([stem.split("_")[0] for stem in stems])
    found = {"people": len(set(people)), "pictures": len(stems)}
    if not stems or (downloaded and found != CMU_CONTENT):
        raise ValueError(
            f"path must hold the CMU pictures (faces/<person>/<person>_<pose>_<expression>_<eyes>"
            f"{suffix}.pgm; all of them are {CMU_CONTENT}), got {found} in {path.name!r}"
        )
    pictures = [_gray(files[stem]) for stem in tqdm(stems, desc="CMU pictures")]
    poses = np.array([stem.split("_")[1] for stem in stems])
    return _left_or_not(np.stack(pictures), people, poses, "cmu", skipped)


def _download_cmu() -> str:
    try:
        return keras.utils.get_file("cmu_face_images.zip", CMU_URL, cache_subdir="datasets")
    except Exception as error:
        raise OSError(
            "the CMU Face Images cannot be downloaded; give the folder or archive that you have as"
            f" path=..., or use source='rendered' ({error})"
        ) from error


def _walk(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder or inside an archive, and inside archives in it."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield from _unpack(file.name, file.read_bytes())
    else:
        yield from _unpack(path.name, path.read_bytes())


def _unpack(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    file = io.BytesIO(data)
    if data.startswith(b"PK"):
        with zipfile.ZipFile(file) as archive:
            for inner in archive.infolist():
                if not inner.is_dir():
                    yield from _unpack(inner.filename, archive.read(inner))
    elif name.endswith((".tar", ".tar.gz", ".tgz")):
        with tarfile.open(fileobj=file) as archive:
            for inner in archive:
                if inner.isfile():
                    yield from _unpack(inner.name, archive.extractfile(inner).read())
    else:
        yield name, data


def _gray(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("L"), "float32")[..., None] / 255


def _load_folder(path: str | Path | None, size: tuple[int, int] | None) -> Faces:
    folder = Path(path) if path is not None else None
    if folder is None or not folder.is_dir():
        raise ValueError(f"path must be a folder with one sub-folder a class, got {path!r}")
    if size is None:
        raise ValueError("size must be (height, width) for source 'folder', got None")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [
        (index, file)
        for index, name in enumerate(classes)
        for file in sorted((folder / name).rglob("*"))
        if file.suffix.lower() in PICTURE_SUFFIXES
    ]
    if len(classes) < 2 or not files:
        raise ValueError(
            f"path must hold at least two sub-folders with pictures {PICTURE_SUFFIXES}, got"
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
