"""Saliency: the gradient of a score by the pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import xarray as xr

from helpers.attribution.method import Method, Scorer, attribute, check_channels, reduced
from helpers.maps.objectives import Objective


@dataclass(frozen=True)
class Saliency(Method):
    """Heatmap = max over channels of |dS/dx| (Simonyan et al. 2013, 1312.6034, section 3.1).

    keras-vis's `visualize_saliency` is this before it stretches and colours, xplique's and
    tf-keras-vis's `Saliency` as well.

    Attributes:
        absolute: take |.| of the gradient; False keeps its sign.
        channels: "max", "mean", "sum" over the channels, or "none", which keeps them.
    """

    absolute: bool = True
    channels: str = "max"
    relu_gradient = None

    def check(self):
        check_channels(self)

    def heat(self, scorer: Scorer, images, numbers):
        gradient, scores = scorer.gradient(images, numbers, self.relu_gradient)
        return {"heatmap": reduced(gradient, self.absolute, self.channels), "score": scores}


def saliency(
    model: keras.Model | str | Path,
    images: np.ndarray,
    targets: Objective | Sequence[Objective],
    *,
    absolute: bool = True,
    channels: str = "max",
    names: Sequence[str | int] | None = None,
    preprocessing: str | tuple[float, float] | None = None,
    batch_size: int = 32,
) -> xr.Dataset:
    """Heatmaps by `Saliency`, in score per pixel value; the other arguments as `attribute`."""
    return attribute(
        Saliency(absolute, channels),
        model,
        images,
        targets,
        names=names,
        preprocessing=preprocessing,
        batch_size=batch_size,
    )
