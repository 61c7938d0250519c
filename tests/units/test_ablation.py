import keras
import numpy as np
import pytest
import xarray as xr
from planted import ALWAYS_ON, DEAD, EDGE, LIGHT, bank, images

from helpers.faces import evaluation
from helpers.units import ablation

IMAGES, MODEL = images(), bank()
TWO = xr.Dataset(coords={"unit": [0, 1]})
QUIET = {"progress": False}


def test_nothing_off_is_the_net_itself_and_the_edge_off_is_chance():
    found = ablation.ablate(MODEL, IMAGES, "bank", [(), (EDGE,), (DEAD, ALWAYS_ON)], **QUIET)
    assert found["accuracy"].values.tolist() == [1, 0.5, 1]
    evaluated = evaluation.evaluate(MODEL, IMAGES)
    right = evaluated.probabilities[np.arange(len(IMAGES)), IMAGES.labels]
    assert float(found["loss"][0]) == pytest.approx(-np.log(right).mean(), rel=1e-4)
    chance = -np.log(np.where(IMAGES.labels == 1, 1, np.e**2) / (1 + np.e**2)).mean()
    assert float(found["loss"][1]) == pytest.approx(chance, rel=1e-4)


def test_a_layer_of_a_nested_model_is_switched_by_its_path():
    gray = keras.Input(IMAGES.images.shape[1:3])  # no axis of channels
    inner = bank()
    outer = keras.Model(gray, inner(keras.layers.Reshape((*gray.shape[1:], 1))(gray)))
    groups = [(), (EDGE,), (DEAD, ALWAYS_ON)]
    for fill in ablation.FILLS:
        plain = ablation.ablate(MODEL, IMAGES, "bank", groups, fill=fill, **QUIET)
        nested = ablation.ablate(outer, IMAGES, "planted/bank", groups, fill=fill, **QUIET)
        xr.testing.assert_allclose(nested, plain)


def test_of_several_outputs_none_is_guessed():
    model = keras.Model(MODEL.inputs, [MODEL.outputs[0], MODEL.get_layer("means").output])
    with pytest.raises(ValueError, match=r"one output, got \['decide', 'means'\]"):
        ablation.ablate(model, IMAGES, "bank", [()], **QUIET)


def test_the_net_stays_as_it_is():
    before = [w.copy() for w in MODEL.get_weights()]
    ablation.ablate(MODEL, IMAGES, "bank", [(EDGE,)], **QUIET)
    for old, now in zip(before, MODEL.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    assert evaluation.evaluate(MODEL, IMAGES).accuracy == 1


def test_a_mean_fill_puts_the_units_mean_everywhere():
    found = ablation.ablate(MODEL, IMAGES, "bank", [(EDGE,)], fill="mean", **QUIET)
    mean = 0.5 * 2 * 4 * 0.3 / (IMAGES.images.shape[1] - 2)
    logits = np.array([2, 50 * mean])
    p = np.exp(logits) / np.exp(logits).sum()
    expected = -np.log(p[IMAGES.labels]).mean()
    assert float(found["loss"][0]) == pytest.approx(expected, rel=1e-4)


def test_one_by_one_finds_the_only_unit_that_matters():
    found = ablation.ablate_each(MODEL, IMAGES, "bank", **QUIET)
    assert found["accuracy_lost"].values.tolist() == [0.5, 0, 0, 0, 0, 0]
    assert float(found["loss_gained"].sel(unit=EDGE)) > 0.5
    np.testing.assert_allclose(found["loss_gained"].values[1:], 0, atol=1e-6)


def test_orders_switch_off_the_smallest_first():
    keeps, drops = np.zeros(6), np.ones(6)
    keeps[EDGE], drops[EDGE] = 1, np.nan
    measures = xr.Dataset({"keeps": ("unit", keeps), "drops": ("unit", drops)}, {"unit": range(6)})
    found = ablation.ablation_curve(
        MODEL, IMAGES, "bank", measures, shares=(0, 0.5, 1), random=2, **QUIET
    )
    assert found["order"].values.tolist() == ["keeps", "drops", "random 1", "random 2"]
    assert found["accuracy"].sel(order="keeps").values.tolist() == [1, 1, 0.5]
    assert found["accuracy"].sel(order="drops").values.tolist() == [1, 0.5, 0.5]
    again = ablation.ablation_curve(
        MODEL, IMAGES, "bank", measures, shares=(0, 0.5, 1), random=2, **QUIET
    )
    xr.testing.assert_identical(found, again)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ablation.ablate(MODEL, IMAGES, "bank", [()], fill="noise"), "fill"),
        (lambda: ablation.ablate(MODEL, IMAGES, "bank", [(LIGHT, 9)]), "units of bank"),
        (lambda: ablation.ablate(MODEL, IMAGES, "means2", [()]), "layer"),
        (lambda: ablation.ablation_curve(MODEL, IMAGES, "bank", TWO), "cover units 0 to 5"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
