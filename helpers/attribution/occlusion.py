"""Occlusion: how much a score falls when a patch of the image is covered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import xarray as xr

from helpers.attribution.method import Method, Scorer, attribute
from helpers.maps.objectives import Objective


@dataclass(frozen=True)
class Occlusion(Method):
    """Heatmap at a pixel = mean of S(x) - S(x covered) over the patches that cover it.

    Zeiler and Fergus 2014, 1311.2901, section 4.2, who show S(x covered) at each patch's place.
    Patches start at each multiple of `stride` and, so that every pixel is covered, at the far edge.
    xplique sums instead and leaves the far edge out: where patches neither overlap nor are cut off
    (stride equal to patch, a divisor of the size) both are one.

    Attributes:
        patch: rows and columns of a patch, at least 1.
        stride: from one patch to the next, 1 to `patch`.
        value: pixel value 0..255 of a covered pixel.
    """

    patch: int = 8
    stride: int = 4
    value: float = 127.5

    def check(self):
        self.legal(
            patch=(self.patch >= 1, "1 or more"),
            stride=(1 <= self.stride <= self.patch, f"1 to the patch, {self.patch}"),
        )

    def heat(self, scorer: Scorer, images, numbers):
        height, width = images.shape[1:3]
        self.legal(patch=(self.patch <= min(height, width), f"at most {min(height, width)}"))
        scores, _ = scorer.read(images, numbers)
        rows, columns = tf.range(height), tf.range(width)

        def add(total, corner):
            row, column = corner[0], corner[1]
            down = (rows >= row) & (rows < row + self.patch)
            across = (columns >= column) & (columns < column + self.patch)
            covered = tf.cast(down[:, None] & across[None, :], tf.float32)
            mask = covered[None, :, :, None]
            below, _ = scorer.read(images * (1 - mask) + self.value * mask, numbers)
            return total + (scores - below)[:, None, None] * covered

        corners = [(r, c) for r in self._starts(height) for c in self._starts(width)]
        total = tf.foldl(add, np.array(corners, "int32"), tf.zeros_like(images[..., 0]))
        times = np.zeros((height, width), "float32")
        for row, column in corners:
            times[row : row + self.patch, column : column + self.patch] += 1
        return {"heatmap": total / times, "score": scores}

    def _starts(self, size: int) -> list[int]:
        return sorted({*range(0, size - self.patch + 1, self.stride), size - self.patch})


def occlusion(
    model: keras.Model | str | Path,
    images: np.ndarray,
    targets: Objective | Sequence[Objective],
    *,
    patch: int = 8,
    stride: int = 4,
    value: float = 127.5,
    names: Sequence[str | int] | None = None,
    preprocessing: str | tuple[float, float] | None = None,
    batch_size: int = 32,
) -> xr.Dataset:
    """Heatmaps by `Occlusion`, in units of the score; the other arguments as `attribute`."""
    return attribute(
        Occlusion(patch, stride, value),
        model,
        images,
        targets,
        names=names,
        preprocessing=preprocessing,
        batch_size=batch_size,
    )
