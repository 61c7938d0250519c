import keras
import numpy as np
from keras import layers

from helpers.images import LabelledImages
from helpers.models import cutting
from helpers.units.statistics import dead_units, unit_statistics


def model_with_a_dead_unit(dead: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((10, 12, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(5, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax", name="dense"),
        ]
    )
    first = model.get_layer("conv")
    kernel, bias = first.get_weights()
    kernel[..., dead], bias[dead] = 0, -1
    first.set_weights([kernel, bias])
    return model


def test_unit_statistics_against_numpy():
    model = model_with_a_dead_unit(3)
    pixels = np.random.default_rng(0).uniform(size=(40, 10, 12, 1)).astype("float32")
    images = LabelledImages(pixels, np.zeros(40, int), ("any",))
    statistics = unit_statistics(model, images, batch=7, progress=False)

    raw = np.asarray(cutting.at_layer(model, "conv", pre_activation=True)(pixels * 255))
    for objective, values in {"pre-activation": raw, "activation": np.maximum(raw, 0)}.items():
        means = values.mean((1, 2))
        here = statistics.sel(layer="conv", objective=objective).isel(unit=slice(5))
        for name in ("mean", "std", "min", "max"):
            np.testing.assert_allclose(here[name], getattr(means, name)(0), rtol=1e-3, atol=1e-5)
        quantiles = np.quantile(means, [0.01, 0.05, 0.5, 0.95, 0.99], axis=0).T
        quantile = here["quantile"].transpose("unit", "level")
        np.testing.assert_allclose(quantile, quantiles, rtol=1e-3, atol=1e-5)
    inactive = (raw.max((1, 2)) <= 0).mean(0)
    np.testing.assert_allclose(statistics["inactive"].sel(layer="conv")[:5], inactive)

    assert inactive[3] == 1
    assert dead_units(statistics) == {"conv": [3], "pool": [3]}
    counts = statistics["mean"].sel(layer="dense").notnull().sum("unit")
    assert counts.values.tolist() == [2, 2]
    logits = cutting.at_layer(model, "dense", pre_activation=True)(pixels * 255).numpy()
    here = statistics["max"].sel(layer="dense", objective="pre-activation").values[:2]
    np.testing.assert_allclose(here, logits.max(0), rtol=1e-3)
    assert statistics.attrs["images"] == 40
