"""SmoothGrad: the mean gradient of noisy copies of an image."""

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
class SmoothGrad(Method):
    """Heatmap = |mean over n of dS(x + e_n)/dx|, e_n normal noise of mean 0 and sd s.

    Smilkov et al. 2017, 1706.03825, section 3; s = noise * (max x - min x) of the image. All images
    get the same draws. tf-keras-vis takes the mean of the absolute gradients; xplique's noise is an
    sd in the model's own input range.

    Attributes:
        samples: noisy copies, at least 1.
        noise: sd by the image's range, 0 or more; the paper's 10 % to 20 %.
        seed: integer that makes the noise.
        absolute, channels: as `Saliency`, applied to the mean gradient.
    """

    samples: int = 50
    noise: float = 0.15
    seed: int = 0
    absolute: bool = True
    channels: str = "max"

    def check(self):
        self.legal(
            samples=(self.samples >= 1, "1 or more"),
            noise=(self.noise >= 0, "0 or more"),
            seed=(self.seed >= 0, "0 or more"),
        )
        check_channels(self)

    def heat(self, scorer: Scorer, images, numbers):
        axes = (1, 2, 3)
        spread = tf.reduce_max(images, axes, True) - tf.reduce_min(images, axes, True)

        def add(total, sample):
            draw = tf.random.stateless_normal((1, *images.shape[1:]), (self.seed, sample))
            return total + scorer.gradient(images + self.noise * spread * draw, numbers)[0]

        total = tf.foldl(add, tf.range(self.samples), tf.zeros_like(images))
        return {
            "heatmap": reduced(total / self.samples, self.absolute, self.channels),
            "score": scorer.read(images, numbers)[0],
        }


def smooth_grad(
    model: keras.Model | str | Path,
    images: np.ndarray,
    targets: Objective | Sequence[Objective],
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    absolute: bool = True,
    channels: str = "max",
    names: Sequence[str | int] | None = None,
    preprocessing: str | tuple[float, float] | None = None,
    batch_size: int = 32,
) -> xr.Dataset:
    """Heatmaps by `SmoothGrad`, in score per pixel value; the other arguments as `attribute`."""
    return attribute(
        SmoothGrad(samples, noise, seed, absolute, channels),
        model,
        images,
        targets,
        names=names,
        preprocessing=preprocessing,
        batch_size=batch_size,
    )
