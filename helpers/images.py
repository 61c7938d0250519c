"""Labelled images, images fitted to a model's input, and raw maps as a person sees them.

Two ranges, and only these: `LabelledImages.images` hold 0..1, and what is called pixels holds
0..255. `as_pixels` leads from the first to the second.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm.auto import tqdm

EPSILON = 1e-7
SUFFIXES = (".png", ".jpg", ".jpeg", ".pgm", ".ppm", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images, each of one class.

    Attributes:
        images: (N, H, W, C) float32, 0..1.
        labels: (N,) int64, index into `class_names`.
        class_names: name of each label.
        groups: (N,) str, who or what an image belongs to (a person, a scene), so that images of
            one group are never counted as independent; None: each image is a group of its own.
        source: where the images come from.
        skipped: how many files were left out as damaged.

    Raises:
        ValueError: the arrays do not fit together, or the images leave 0..1.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    groups: np.ndarray | None = None
    source: str = ""
    skipped: int = 0

    def __post_init__(self):
        """Check lengths, labels and range."""
        if self.images.ndim != 4:
            raise ValueError(f"images must be (N, H, W, C), got shape {self.images.shape}")
        for name, array in self._arrays().items():
            if len(array) != len(self.images):
                raise ValueError(
                    f"{name} must have one entry per image, {len(self.images)}, got {len(array)}"
                )
        if not len(self.images):
            return
        low, high = self.images.min(), self.images.max()
        if low < 0 or high > 1:
            raise ValueError(
                f"images must lie in 0..1, got {low:g} to {high:g}; divide pixels 0..255 by 255"
            )
        if self.labels.min() < 0 or self.labels.max() >= len(self.class_names):
            raise ValueError(
                f"labels must be 0 to {len(self.class_names) - 1}, an index into class_names, got"
                f" {self.labels.min()} to {self.labels.max()}"
            )

    def __len__(self) -> int:
        """How many images."""
        return len(self.images)

    def __getitem__(self, which) -> Self:
        """The images that an index array, mask or slice picks."""
        return replace(self, **{name: array[which] for name, array in self._arrays().items()})

    @property
    def group_names(self) -> np.ndarray:
        """The group of each image, (N,) str; its number where `groups` is None."""
        return np.arange(len(self)).astype(str) if self.groups is None else self.groups

    def _arrays(self) -> dict[str, np.ndarray]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def load_folder(path: str | Path, size: tuple[int, int]) -> LabelledImages:
    """Load a folder of images: one sub-folder per class, class names sorted, source "folder".

    A further level of folders is read as groups; without it every image is a group of its own.
    Images become RGB and are resized by bilinear interpolation; files that Pillow cannot read are
    skipped and counted.

    Args:
        path: the folder.
        size: (height, width) of the images.

    Raises:
        ValueError: `path` is no folder with at least two sub-folders of images, or `size` is not
            two numbers of at least 1.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"path must be a folder with one sub-folder per class, got {path!r}")
    if size is None or np.shape(size) != (2,) or min(size) < 1:
        raise ValueError(f"size must be (height, width), each at least 1, got {size!r}")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [
        (label, file)
        for label, name in enumerate(classes)
        for file in sorted((folder / name).rglob("*"))
        if file.suffix.lower() in SUFFIXES
    ]
    if len(classes) < 2 or not files:
        raise ValueError(
            f"path must hold at least two sub-folders with images {SUFFIXES}, got"
            f" {len(classes)} sub-folders and {len(files)} images"
        )
    height, width = size
    images, labels, groups = [], [], []
    for label, file in tqdm(files, desc="images"):
        try:
            with Image.open(file) as image:
                resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        except OSError:
            continue
        images.append(np.asarray(resized, "float32") / 255)
        labels.append(label)
        inside = file.relative_to(folder / classes[label])
        has_group = len(inside.parts) > 1
        groups.append(inside.parts[0] if has_group else f"{classes[label]}/{inside.name}")
    skipped = len(files) - len(images)
    if not images:
        raise ValueError(
            f"path must hold images that Pillow can read, got {skipped} that it cannot"
        )
    return LabelledImages(
        np.stack(images),
        np.array(labels, "int64"),
        tuple(classes),
        np.array(groups),
        "folder",
        skipped,
    )


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Images in 0..1 as float32 pixels 0..255, of the same shape."""
    return np.asarray(images, "float32") * 255


def as_input(images: np.ndarray, input_shape: tuple[int, int, int]) -> np.ndarray:
    """Images (N, h, w, c) in 0..1 as a model's (N, H, W, C) pixels 0..255, by `fit`."""
    return fit(as_pixels(images), input_shape)


def fit(pixels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Bring pixels (N, h, w, c) to (N, H, W, C) float32 of the same range.

    RGB becomes gray by its mean over channels, gray becomes RGB by repetition; another size is
    reached by bilinear interpolation with antialiasing.
    """
    height, width, channels = shape
    pixels = np.asarray(pixels, "float32")
    if pixels.shape[-1] != channels:
        pixels = np.repeat(pixels.mean(-1, keepdims=True), channels, axis=-1)
    if pixels.shape[1:3] != (height, width):
        pixels = np.asarray(tf.image.resize(pixels, (height, width), antialias=True))
    return pixels


def display(raw: np.ndarray, rank: int = 3) -> np.ndarray:
    """The displayed map, pixels 0..255 uint8: z-score * 0.1 + 0.5, clipped to 0..1, times 255.

    keras-vis 0.4.1, `utils.deprocess_input`, each image on its own, but for one thing: mean and
    standard deviation are those of the pixels that the total variation holds. It leaves the last
    pixel of the last row free, which may run many standard deviations off and would flatten the
    others.

    Args:
        raw: raw maps (..., H, W, C), any range.
        rank: axes of an image: 2 for signals (T, C), 4 for volumes (D, H, W, C).
    """
    held = ~free_pixels(raw.shape[-rank:-1])
    pixels = raw[..., held, :]
    statistics = (f(pixels, axis=(-2, -1)) for f in (np.mean, np.std))
    mean, sd = (np.reshape(v, v.shape + (1,) * rank) for v in statistics)
    z_score = (raw - mean) / (sd + EPSILON)
    return (np.clip(z_score * 0.1 + 0.5, 0, 1) * 255).astype("uint8")


def free_pixels(size: tuple[int, ...]) -> np.ndarray:
    """Which pixels the total variation does not hold: those last along two axes or more.

    Args:
        size: of an image, (H, W), (T,) or (D, H, W).

    Returns:
        Of that size, bool; none where all would be.
    """
    last = np.reshape(np.subtract(size, 1), (-1, *[1] * len(size)))
    free = (np.indices(size) == last).sum(0) > 1
    return free & ~free.all()
