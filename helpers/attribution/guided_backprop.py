"""Guided backpropagation: the gradient, but only what raises the score passes a ReLU."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import xarray as xr

from helpers.attribution.method import attribute
from helpers.attribution.saliency import Saliency
from helpers.maps.objectives import Objective
from helpers.models.relu_gradients import RELU_GRADIENTS


@dataclass(frozen=True)
class GuidedBackprop(Saliency):
    """Saliency where a ReLU of output y passes g [y > 0] [g > 0] back instead of g [y > 0].

    Springenberg et al. 2015, 1412.6806, section 3.4. "rectified" passes g [g > 0], the deconvnet of
    Zeiler and Fergus 2014, 1311.2901. It reaches ReLU and ReLU6 as activation functions, as layers
    and as operations, in nested models too; other activation functions keep their gradient. By
    Adebayo et al. 2018 it shows edges of the image whatever the weights: see `trust.sanity_check`.

    Attributes:
        absolute, channels: as `Saliency`.
        relu_gradient: one of `models.relu_gradients.RELU_GRADIENTS`.
    """

    relu_gradient: str = "guided"

    def check(self):
        super().check()
        legal = self.relu_gradient in RELU_GRADIENTS
        self.legal(relu_gradient=(legal, f"one of {RELU_GRADIENTS}"))


def guided_backprop(
    model: keras.Model | str | Path,
    images: np.ndarray,
    targets: Objective | Sequence[Objective],
    *,
    absolute: bool = True,
    channels: str = "max",
    relu_gradient: str = "guided",
    names: Sequence[str | int] | None = None,
    preprocessing: str | tuple[float, float] | None = None,
    batch_size: int = 32,
) -> xr.Dataset:
    """Heatmaps by `GuidedBackprop`; the other arguments as `attribute`."""
    return attribute(
        GuidedBackprop(absolute, channels, relu_gradient),
        model,
        images,
        targets,
        names=names,
        preprocessing=preprocessing,
        batch_size=batch_size,
    )
