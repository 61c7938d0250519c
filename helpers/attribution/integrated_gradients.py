"""Integrated gradients: the gradient summed on the way from a baseline to the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import xarray as xr

from helpers.attribution.method import Method, Scorer, attribute, check_channels, reduced
from helpers.maps.objectives import Objective


@dataclass(frozen=True)
class IntegratedGradients(Method):
    """Heatmap = (x - x') * integral over t from 0 to 1 of dS(x' + t (x - x'))/dx.

    Sundararajan et al. 2017, 1703.01365, equation 1; the integral by the trapezoidal rule (Sotoudeh
    and Thakur 2019, 1908.06214), as xplique. Completeness: summed over pixels and channels it is
    S(x) - S(x'); both scores are in the result, so that the rule's error can be seen.

    Attributes:
        steps: points on the way, ends included, at least 2.
        baseline: x', one pixel value 0..255 for all.
        absolute, channels: as `Saliency`; by default signed and summed.
    """

    steps: int = 50
    baseline: float = 0.0
    absolute: bool = False
    channels: str = "sum"

    def check(self):
        self.legal(steps=(self.steps >= 2, "2 or more"))
        check_channels(self)

    def heat(self, scorer: Scorer, images, numbers):
        start = tf.fill(tf.shape(images), self.baseline)
        way = images - start
        weights = np.full(self.steps, 1 / (self.steps - 1), "float32")
        weights[[0, -1]] /= 2
        points = np.linspace(0, 1, self.steps, dtype="float32")

        def add(total, point):
            t, weight = point[0], point[1]
            return total + weight * scorer.gradient(start + t * way, numbers)[0]

        total = tf.foldl(add, np.stack([points, weights], 1), tf.zeros_like(images))
        return {
            "heatmap": reduced(way * total, self.absolute, self.channels),
            "score": scorer.read(images, numbers)[0],
            "score_baseline": scorer.read(start, numbers)[0],
        }


def integrated_gradients(
    model: keras.Model | str | Path,
    images: np.ndarray,
    targets: Objective | Sequence[Objective],
    *,
    steps: int = 50,
    baseline: float = 0.0,
    absolute: bool = False,
    channels: str = "sum",
    names: Sequence[str | int] | None = None,
    preprocessing: str | tuple[float, float] | None = None,
    batch_size: int = 32,
) -> xr.Dataset:
    """Heatmaps by `IntegratedGradients`, in units of the score; the others as `attribute`.

    The result also holds `score_baseline`, the objective on the baseline.
    """
    return attribute(
        IntegratedGradients(steps, baseline, absolute, channels),
        model,
        images,
        targets,
        names=names,
        preprocessing=preprocessing,
        batch_size=batch_size,
    )
