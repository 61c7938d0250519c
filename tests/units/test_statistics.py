import numpy as np

from helpers.faces import training
from helpers.images import LabelledImages
from helpers.models import cutting
from helpers.units.statistics import dead_units, unit_statistics


def test_unit_statistics_against_numpy():
    model = training.build_model((24, 24, 1), seed=0)
    pixels = np.random.default_rng(0).uniform(size=(40, 24, 24, 1)).astype("float32")
    images = LabelledImages(pixels, np.zeros(40, int), ("any",))
    first = model.get_layer("conv2d_1")
    kernel, bias = first.get_weights()
    kernel[..., 7], bias[7] = 0, -1
    first.set_weights([kernel, bias])
    statistics = unit_statistics(model, images, batch=7, progress=False)

    raw = np.asarray(cutting.at_layer(model, "conv2d_1", pre_activation=True)(pixels * 255))
    for objective, values in {"pre-activation": raw, "activation": np.maximum(raw, 0)}.items():
        means = values.mean((1, 2))
        here = statistics.sel(layer="conv2d_1", objective=objective).isel(unit=slice(32))
        for name in ("mean", "std", "min", "max"):
            np.testing.assert_allclose(here[name], getattr(means, name)(0), rtol=1e-3, atol=1e-5)
        quantiles = np.quantile(means, [0.01, 0.05, 0.5, 0.95, 0.99], axis=0).T
        quantile = here["quantile"].transpose("unit", "level")
        np.testing.assert_allclose(quantile, quantiles, rtol=1e-3, atol=1e-5)
    inactive = (raw.max((1, 2)) <= 0).mean(0)
    np.testing.assert_allclose(statistics["inactive"].sel(layer="conv2d_1")[:32], inactive)

    assert inactive[7] == 1
    assert 7 in dead_units(statistics)["conv2d_1"]
    counts = statistics["mean"].sel(layer="dense_3").notnull().sum("unit")
    assert counts.values.tolist() == [2, 2]
    logits = cutting.at_layer(model, "dense_3", pre_activation=True)(pixels * 255).numpy()
    here = statistics["max"].sel(layer="dense_3", objective="pre-activation").values[:2]
    np.testing.assert_allclose(here, logits.max(0), rtol=1e-3)
    assert statistics.attrs["images"] == 40
