"""Reads the CMU Face Images in their published layout, from a folder, an archive or the network.

T. Mitchell, Machine Learning, McGraw-Hill 1997; UCI Machine Learning Repository, dataset 124.
"""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import keras
import numpy as np
from PIL import Image
from tqdm.auto import tqdm

URL = "https://archive.ics.uci.edu/static/public/124/cmu+face+images.zip"
SUFFIXES = {(120, 128): "", (60, 64): "_2", (30, 32): "_4"}
CONTENT = {"people": 20, "poses": 4, "pictures": 624}
LAYOUT = "faces/<person>/<person>_<pose>_<expression>_<eyes>"
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError)


def load_cmu(
    path: str | Path | None,
    size: tuple[int, int],
    poses: Sequence[str],
    *,
    all_sizes: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Read every image of one size, or of all three brought to one size; sorted by file name.

    A pixel's value is its gray level over the maxval of its file's header (119 to 159), rounded to
    a multiple of 1/255: what Pillow makes of such a PGM. Most pictures reach 0.9 or more; nothing
    stretches the darker ones further.

    Args:
        path: folder or archive (zip or tar, also one inside another), or None to download it once.
        size: (height, width), one of `SUFFIXES`.
        poses: the poses that a file name may state.
        all_sizes: also read the files of the other sizes, scaled to `size` (bilinear), so that
            each photograph is there three times.

    Returns:
        Images (N, height, width, 1) float32 in [0, 1], people (N,) str, poses (N,) str, and how
        many `.bad` files were skipped (the published set has sixteen, damaged in the original).

    Raises:
        ValueError: an argument is not legal, or what was found is not such a set; a download must
            hold `CONTENT`.
        OSError: it cannot be downloaded.
    """
    if size not in SUFFIXES:
        raise ValueError(f"size of 'cmu' must be one of {list(SUFFIXES)}, got {size!r}")
    sizes = list(SUFFIXES) if all_sizes else [size]
    if path is not None:
        return _read(Path(path), sizes, size, poses)
    path = _download()
    try:
        images, people, taken, skipped = _read(path, sizes, size, poses)
        content = {
            "people": len(set(people)),
            "poses": len(set(taken)),
            "pictures": len(images) // len(sizes),
        }
        if content != CONTENT:
            raise ValueError(f"the CMU Face Images are {CONTENT}, got {content}")
    except ValueError as error:
        raise ValueError(f"{error}; this was downloaded: delete {path} to try again") from error
    return images, people, taken, skipped


def _read(path, sizes, size, poses):
    size_of = {SUFFIXES[each]: each for each in sizes}
    if not path.exists():
        raise ValueError(f"path must be a folder or archive of the CMU pictures, got {str(path)!r}")
    files, bad = {}, set()
    try:
        for name, data in _walk(path):
            stem, extension = PurePosixPath(name).stem, PurePosixPath(name).suffix
            fields = stem.split("_")
            if len(fields) not in (4, 5) or fields[1] not in poses:
                continue
            suffix = "".join(f"_{field}" for field in fields[4:])
            if extension == ".bad":
                bad.add(stem)
            elif extension == ".pgm" and suffix in size_of:
                files[stem] = data, size_of[suffix]
    except DAMAGED as error:
        raise ValueError(
            f"path must hold undamaged archives, got {str(path)!r}: {error}"
        ) from error
    if not files:
        raise ValueError(
            f"path must hold the CMU pictures ({LAYOUT}{SUFFIXES[sizes[0]]}.pgm), got none of them"
            f" in {str(path)!r}"
        )
    stems = sorted(files)
    images = [_gray(stem, *files[stem], size) for stem in tqdm(stems, desc="CMU images")]
    people, taken = np.array([stem.split("_")[:2] for stem in stems]).T
    return np.stack(images), people, taken, len(bad)


def _download() -> Path:
    try:
        return Path(keras.utils.get_file("cmu_face_images.zip", URL, cache_subdir="datasets"))
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


def _gray(stem: str, data: bytes, stored: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as file:
            image = file.convert("L")
    except (OSError, ValueError) as error:
        raise ValueError(f"path must hold undamaged pictures, got {stem}.pgm: {error}") from error
    shape = image.height, image.width
    if shape != stored:
        raise ValueError(f"{stem}.pgm must be (height, width) {stored}, got {shape}")
    scaled = image if stored == size else image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(scaled, "float32")[..., None] / 255
