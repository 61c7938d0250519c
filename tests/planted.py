"""A net whose units are known, and images that they answer in a known way."""

import warnings
from functools import cache

import keras
import numpy as np
import xarray as xr
from keras import layers

from helpers import maps
from helpers.images import LabelledImages
from helpers.measures import LayerReport, report_layer

EDGE, DEAD, ALWAYS_ON, LIGHT, TWIN, RANDOM = range(6)
SIZE = 24
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")


def bank() -> keras.Model:
    """Pixels 0..255 -> six filters "bank" -> their means -> "left" when the edge unit fires."""
    x = pixels = keras.Input((SIZE, SIZE, 1), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescaling")(x)
    x = layers.Conv2D(6, 3, activation="relu", name="bank")(x)
    x = layers.GlobalAveragePooling2D(name="means")(x)
    x = layers.Dense(2, activation="softmax", name="decide")(x)
    model = keras.Model(pixels, x, name="planted")
    kernel, bias = np.zeros((3, 3, 1, 6), "float32"), np.zeros(6, "float32")
    kernel[..., 0, EDGE] = SOBEL
    kernel[..., 0, DEAD], bias[DEAD] = SOBEL, -100
    kernel[..., 0, ALWAYS_ON], bias[ALWAYS_ON] = -SOBEL / 100, 2
    kernel[..., 0, LIGHT] = kernel[..., 0, TWIN] = 1 / 9
    random = np.random.default_rng(0).normal(size=(3, 3))
    kernel[..., 0, RANDOM] = random - random.mean()
    model.get_layer("bank").set_weights([kernel, bias])
    decide = np.zeros((6, 2), "float32")
    decide[EDGE, 1] = 50
    model.get_layer("decide").set_weights([decide, np.array([2, 0], "float32")])
    return model


def images(count: int = 24) -> LabelledImages:
    """Alternately "not left" (even light) and "left" (an upright edge), each of its own light."""
    rng = np.random.default_rng(1)
    labels = np.arange(count) % 2
    light = rng.uniform(0.1, 0.4, count)
    values = np.ones((count, SIZE, SIZE, 1), "float32") * light[:, None, None, None]
    values[labels == 1, :, SIZE // 2 :] += 0.3
    groups = np.array([f"person{i // 4}" for i in range(count)])
    classes = ("not left", "left")
    return LabelledImages(values.astype("float32"), labels.astype("int64"), classes, groups)


def as_maps(planes: np.ndarray, raised=None) -> xr.Dataset:
    """Planes (unit, seed, H, W, 1) of mean 0 and sd 1 -> maps as `happy_maps` returns them."""
    shown = np.clip(127.5 + 25 * planes, 0, 255).astype("uint8")[:, None, None]
    units, seeds = planes.shape[:2]
    raised = np.ones((units, seeds)) if raised is None else raised
    grid = ("unit", "tv_weight", "lp_weight", "seed")
    return xr.Dataset(
        {
            "display": ((*grid, "height", "width", "channel"), shown),
            "activation_raw": (grid, np.asarray(raised, float)[:, None, None]),
            "activation_display": (grid, np.asarray(raised, float)[:, None, None]),
            "activation_seed": (("unit", "seed"), np.zeros((units, seeds))),
        },
        {"unit": range(units), "seed": range(seeds), "tv_weight": [1.0], "lp_weight": [1.0]},
        {"sign": "happy", "spec": maps.make_spec(bank(), "bank", range(3)).to_toml()},
    )


@cache
def reported() -> LayerReport:
    """The report on real, short optimizations on the bank, without an LP norm."""
    net, how = bank(), {"tv_weights": 1e-3, "lp_weights": 0, "steps": 30, "seeds": range(3)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no gradient")
        happy = maps.happy_maps(net, "bank", progress=False, **how)
    sad = maps.sad_maps(net, "bank", progress=False, **how)
    return report_layer(net, images(), happy, sad, progress=False)
