import keras
import numpy as np
import pytest
from scipy.special import softmax

from experiments.experiment2 import outputs
from helpers import maps
from helpers.images import LabelledImages
from helpers.maps.spec import MINUS_OTHERS

SIZE = 8
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def net():
    """Three softmax outputs, each of which answers to its own third of the picture."""
    pixels = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Flatten()(x)
    model = keras.Model(pixels, keras.layers.Dense(3, activation="softmax", name="out")(x))
    model.layers[-1].set_weights([RNG.normal(size=(64, 3)), np.array([0.1, 0.2, 0.3])])
    return model


@pytest.fixture(scope="module")
def images():
    values = RNG.uniform(size=(12, SIZE, SIZE, 1)).astype("float32")
    return LabelledImages(values, np.arange(12) % 2, ("no", "yes"))


@pytest.fixture(scope="module")
def found(net):
    return maps.happy_maps(
        net, "out", tv_weights=[0.1, 1.0], seeds=[0, 1, 2], steps=3, progress=False
    )


def planted(found, pictures):
    """The Dataset with other maps as shown: (unit, seed, H, W)."""
    planted = found.copy(deep=True)
    planted["display"].values[:] = np.asarray(pictures)[:, None, None, ..., None]
    return planted


def logits(net, pictures):
    kernel, bias = net.layers[-1].get_weights()
    return pictures.reshape(len(pictures), -1) / 255 @ kernel + bias


def test_what_the_net_makes_of_the_displayed_maps(net, found):
    shown = outputs.displayed_outputs(found, net)
    at = {"tv_weight": 1.0, "lp_weight": 10.0, "seed": 2}
    z = logits(net, found["display"].sel(at).values.astype(float))
    for unit in range(3):
        here = shown.sel(unit=unit, **at)
        others = np.delete(z[unit], unit)
        assert float(here["margin"]) == pytest.approx(z[unit, unit] - others.mean(), rel=1e-4)
        expected = softmax(z[unit])[unit]
        assert float(here["probability"]) == pytest.approx(expected, rel=1e-4)


def test_scales_are_those_of_the_three_objectives(net, images):
    scales = outputs.scales(net, images, "out")
    z = logits(net, images.images.astype(float) * 255)
    expected = {
        "activation": softmax(z, 1),
        "pre-activation": z,
        MINUS_OTHERS: z - (z.sum(1, keepdims=True) - z) / 2,
    }
    for objective, values in expected.items():
        np.testing.assert_allclose(scales[objective]["std"].squeeze(), values.std(0), rtol=1e-4)


def test_measures_of_complements_that_repeat(net, found, images):
    plane = RNG.integers(30, 220, (SIZE, SIZE))
    same = np.stack([[p] * 3 for p in (plane, 250 - plane, plane)]).astype("uint8")
    measured = outputs.measure(planted(found, same), net, outputs.scales(net, images, "out"))
    assert dict(measured.sizes) == {"tv_weight": 2, "seed": 3}
    np.testing.assert_allclose(measured["similarity_over_seeds"], 1, atol=1e-5)
    np.testing.assert_allclose(measured["similarity_between_outputs"], (-1 - 1 + 1) / 3, atol=1e-5)
    gap = (found["activation_raw"] - found["activation_display"]).squeeze("lp_weight")
    sd = outputs.scales(net, images, "out")["activation"]["std"].squeeze(drop=True)
    np.testing.assert_allclose(measured["display_gap"], (gap / sd).mean("unit"), rtol=1e-4)
    assert float(measured["scale"]) == pytest.approx(float(sd.mean()))


def test_appearance_classes_are_counted(found, images):
    flat = np.full((3, 3, SIZE, SIZE), 90, "uint8")
    stripes = np.where(np.arange(SIZE) % 2, 90, 160) * np.ones((3, 3, SIZE, 1))
    flat[0] = stripes[0]
    table = outputs.class_shares({"here": planted(found, flat).sel(tv_weight=[1.0])}, images)
    assert table.loc["here"].sum() == pytest.approx(1)
    assert table.loc["here", "staticky"] == pytest.approx(1 / 3)
