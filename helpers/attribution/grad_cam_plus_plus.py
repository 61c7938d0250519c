"""Grad-CAM++: Grad-CAM whose weights count each position by its share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import xarray as xr

from helpers.attribution.grad_cam import GradCam
from helpers.attribution.method import attribute
from helpers.maps.objectives import Objective


@dataclass(frozen=True)
class GradCamPlusPlus(GradCam):
    """Heatmap = ReLU(sum_k w_k A^k), w_k = sum_ij c_ij^k ReLU(g_ij^k), g = dS/dA.

    c_ij^k = g^2 / (2 g^2 + g^3 sum_ab A_ab^k), 0 where g = 0. Chattopadhyay et al. 2018,
    1710.11063, equations 5, 6 and 19; their score is exp(S), which only scales a heatmap, by
    exp(S), left out here. tf-keras-vis divides c by its sum over positions besides; xplique takes
    means in the place of both sums over positions.

    Attributes:
        layer, resize: as `GradCam`.
    """

    def weights(self, maps, gradient):
        total = tf.reduce_sum(maps, axis=(1, 2), keepdims=True)
        shares = tf.math.divide_no_nan(gradient**2, 2 * gradient**2 + gradient**3 * total)
        return tf.reduce_sum(shares * tf.nn.relu(gradient), axis=(1, 2))


def grad_cam_plus_plus(
    model: keras.Model | str | Path,
    images: np.ndarray,
    targets: Objective | Sequence[Objective],
    *,
    layer: str | None = None,
    resize: str = "bilinear",
    names: Sequence[str | int] | None = None,
    preprocessing: str | tuple[float, float] | None = None,
    batch_size: int = 32,
) -> xr.Dataset:
    """Heatmaps by `GradCamPlusPlus`; the other arguments as `attribute`."""
    return attribute(
        GradCamPlusPlus(layer, resize),
        model,
        images,
        targets,
        names=names,
        preprocessing=preprocessing,
        batch_size=batch_size,
    )
