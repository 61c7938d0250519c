"""Natural images: photographs that are installed with scikit-image, or a folder of the user's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from skimage import data

from helpers.images import SUFFIXES, LabelledImages

COLOUR_PHOTOGRAPHS = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "rocket",
    "stereo_motorcycle",
)
GRAY_PHOTOGRAPHS = ("brick", "camera", "coins", "grass", "gravel", "moon")
PHOTOGRAPHS = (*COLOUR_PHOTOGRAPHS, *GRAY_PHOTOGRAPHS)
"""Names in `skimage.data` of the photographs that need no download; "chelsea" is a cat."""

Size = int | tuple[int, int]


def photographs(size: Size = 224, names: Sequence[str] = PHOTOGRAPHS) -> LabelledImages:
    """Photographs that are installed with scikit-image, each a class of its own.

    Args:
        size: (height, width) or both as one, pixels; the middle of the image is resized to it.
        names: some of `PHOTOGRAPHS`; they become the class names.

    Returns:
        RGB images (N, height, width, 3) in 0..1; gray ones three times the same.

    Raises:
        ValueError: there is no photograph of this name.
    """
    unknown = [name for name in names if name not in PHOTOGRAPHS]
    if unknown:
        raise ValueError(f"names must be some of {PHOTOGRAPHS}, got {unknown[0]!r}")
    images = np.stack([_fitted(_photograph(name), size) for name in names])
    return LabelledImages(images, np.arange(len(names)), tuple(names), source="photographs")


def folder(path: str | Path, size: Size = 224) -> LabelledImages:
    """All images of a folder and of the folders in it, in the order of their names.

    Unlike `images.load_folder`, it needs no classes and cuts the middle out instead of distorting.

    Args:
        path: the folder.
        size: as `photographs` takes it.

    Returns:
        RGB images as those of `photographs`; each is a class of its own, named by its path in the
        folder without the suffix ("cats/tabby").

    Raises:
        ValueError: there is no such folder, it has no images, or one cannot be read.
    """
    path = Path(path)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"path must be a folder with images {SUFFIXES}, got {str(path)!r}")
    names = tuple(file.relative_to(path).with_suffix("").as_posix() for file in files)
    images = np.stack([_fitted(_opened(file), size) for file in files])
    return LabelledImages(images, np.arange(len(names)), names, source="folder")


def image_file(path: str | Path, size: Size = 224) -> np.ndarray:
    """One image file as `photographs` gives its images: RGB (height, width, 3) in 0..1.

    Raises:
        ValueError: it cannot be read as an image.
    """
    return _fitted(_opened(Path(path)), size)


def _photograph(name: str) -> Image.Image:
    loaded = getattr(data, name)()
    left = loaded[0] if isinstance(loaded, tuple) else loaded  # a stereo pair and its disparity
    return Image.fromarray(left)


def _opened(file: Path) -> Image.Image:
    try:
        with Image.open(file) as image:
            return ImageOps.exif_transpose(image)
    except OSError as error:
        raise ValueError(f"{file} cannot be read as an image: {error}") from error


def _fitted(image: Image.Image, size: Size) -> np.ndarray:
    height, width = (size, size) if isinstance(size, int) else size
    fitted = ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.BICUBIC)
    return np.asarray(fitted, "float32") / 255
