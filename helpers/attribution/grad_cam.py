"""Grad-CAM: a layer's maps, weighted by the score's mean gradient by each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import xarray as xr

from helpers import models
from helpers.attribution.method import Method, Scorer, attribute, gradient_of, with_layer
from helpers.maps.objectives import Objective
from helpers.models.cutting import Tap

RESIZES = ("bilinear", "bicubic", "none")


@dataclass(frozen=True)
class GradCam(Method):
    """Heatmap = ReLU(sum_k a_k A^k), a_k = mean over positions of dS/dA^k.

    Selvaraju et al. 2017, 1610.02391, equations 1 and 2; A^k is map k of a layer. Before it is
    resized it is that of xplique and tf-keras-vis; keras-vis divides the gradient by its maximum
    first, which only scales the heatmap where that maximum is above 0. Resizing differs: xplique's
    is bicubic, tf-keras-vis's linear between the corners, keras-vis's Pillow's bicubic.

    Attributes:
        layer: the layer (N, h, w, k) whose maps are weighted; None for the last before the target
            that is image-like and no pooling.
        resize: to the image, "bilinear" or "bicubic" (half-pixel centres), or "none".
    """

    layer: str | None = None
    resize: str = "bilinear"

    def check(self):
        self.legal(resize=(self.resize in RESIZES, f"one of {RESIZES}"))

    @property
    def taps(self):
        return (Tap(self.layer),)

    def on(self, model, objective):
        if self.layer is not None:
            info = models.find_layer(model, self.layer)
            is_image_like = info.units is not None and len(info.output_shape) == 3
            self.legal(layer=(is_image_like, f"one of {image_like(model)}"))
            return self
        targets = {models.find_layer(model, tap.layer).name for tap in objective.taps}
        before = image_like(model, until=targets)
        if not before:
            raise ValueError(f"layer must be named: none before {sorted(targets)} is image-like")
        return with_layer(self, before[-1])

    def heat(self, scorer: Scorer, images, numbers):
        scores, maps, gradient = self.read(scorer, images, numbers)
        weights = self.weights(maps, gradient)
        heatmap = tf.nn.relu(tf.einsum("nhwk,nk->nhw", maps, weights))
        if self.resize != "none":
            size = images.shape[1:3]
            heatmap = tf.image.resize(heatmap[..., None], size, self.resize)[..., 0]
        return {"heatmap": heatmap, "score": scores}

    def read(self, scorer: Scorer, images, numbers) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Scores (N,), and of the layer A and dS/dA, both (N, h, w, k) float32."""
        scores, values = scorer.read(images, numbers)
        maps = _own(values[Tap(self.layer)])
        return scores, tf.cast(maps, tf.float32), gradient_of(scores, maps)

    def weights(self, maps: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """a_k, (N, k), from A and dS/dA, both (N, h, w, k)."""
        return tf.reduce_mean(gradient, axis=(1, 2))


def grad_cam(
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
    """Heatmaps by `GradCam`; the other arguments as `attribute`."""
    return attribute(
        GradCam(layer, resize),
        model,
        images,
        targets,
        names=names,
        preprocessing=preprocessing,
        batch_size=batch_size,
    )


def _own(value: tf.Tensor) -> tf.Tensor:
    """A layer's value as the layers after it take it: not yet cast to float32 for the reader."""
    return value.op.inputs[0] if value.op.type == "Cast" else value


def image_like(model: keras.Model, until: Collection[str] = ()) -> list[str]:
    """Names of the layers that are image-like and no pooling, up to the first of `until`."""
    names = []
    for info in models.layers(model):
        if info.name in until:
            break
        if len(info.output_shape) == 3 and "Pooling" not in info.kind:
            names.append(info.name)
    return names
