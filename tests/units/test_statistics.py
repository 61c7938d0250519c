import numpy as np

from helpers.faces import training
from helpers.models import cutting
from helpers.units.statistics import dead_units, unit_statistics


def test_unit_statistics_against_numpy():
    net = training.build_model((24, 24, 1), seed=0)
    images = np.random.default_rng(0).uniform(size=(40, 24, 24, 1)).astype("float32")
    dead = net.get_layer("conv2d_1")
    kernel, bias = dead.get_weights()
    kernel[..., 7], bias[7] = 0, -1
    dead.set_weights([kernel, bias])
    found = unit_statistics(net, images, batch=7, progress=False)

    raw = np.asarray(cutting.at_layer(net, "conv2d_1", pre_activation=True)(images * 255))
    for objective, values in {"pre-activation": raw, "activation": np.maximum(raw, 0)}.items():
        means = values.mean((1, 2))
        here = found.sel(layer="conv2d_1", objective=objective).isel(unit=slice(32))
        for name in ("mean", "std", "min", "max"):
            np.testing.assert_allclose(here[name], getattr(means, name)(0), rtol=1e-3, atol=1e-5)
        quantiles = np.quantile(means, [0.01, 0.05, 0.5, 0.95, 0.99], axis=0).T
        np.testing.assert_allclose(here["quantile"], quantiles, rtol=1e-3, atol=1e-5)
    silent = (raw.max((1, 2)) <= 0).mean(0)
    np.testing.assert_allclose(found["silent"].sel(layer="conv2d_1")[:32], silent)

    assert silent[7] == 1
    assert 7 in dead_units(found)["conv2d_1"]
    assert found["mean"].sel(layer="dense_3").notnull().sum("unit").values.tolist() == [2, 2]
    logits = cutting.at_layer(net, net.layers[-1].name, pre_activation=True)(images * 255).numpy()
    here = found["max"].sel(layer="dense_3", objective="pre-activation").values[:2]
    np.testing.assert_allclose(here, logits.max(0), rtol=1e-3)
