import numpy as np
import pytest
import xarray as xr
from planted import ALWAYS_ON, DEAD, EDGE, LIGHT, bank, images
from scipy.stats import spearmanr

from helpers.faces import evaluation
from helpers.units import ablation

FACES, NET = images(), bank()
QUIET = {"progress": False}


def test_nothing_off_is_the_net_itself_and_the_edge_off_is_chance():
    found = ablation.without(NET, FACES, "bank", [(), (EDGE,), (DEAD, ALWAYS_ON)], **QUIET)
    assert found["accuracy"].values.tolist() == [1, 0.5, 1]
    evaluated = evaluation.evaluate(NET, FACES)
    right = evaluated.probabilities[np.arange(len(FACES)), FACES.labels]
    assert float(found["loss"][0]) == pytest.approx(-np.log(right).mean(), rel=1e-4)
    chance = -np.log(np.where(FACES.labels == 1, 1, np.e**2) / (1 + np.e**2)).mean()
    assert float(found["loss"][1]) == pytest.approx(chance, rel=1e-4)


def test_the_net_stays_as_it_is():
    before = [w.copy() for w in NET.get_weights()]
    ablation.without(NET, FACES, "bank", [(EDGE,)], **QUIET)
    for old, now in zip(before, NET.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    assert evaluation.evaluate(NET, FACES).accuracy == 1


def test_a_mean_fill_puts_the_units_mean_everywhere():
    found = ablation.without(NET, FACES, "bank", [(EDGE,)], fill="mean", **QUIET)
    mean = 0.5 * 2 * 4 * 0.3 / (FACES.images.shape[1] - 2)
    logits = np.array([2, 50 * mean])
    p = np.exp(logits) / np.exp(logits).sum()
    expected = -np.log(p[FACES.labels]).mean()
    assert float(found["loss"][0]) == pytest.approx(expected, rel=1e-4)


def test_one_by_one_finds_the_only_unit_that_matters():
    found = ablation.one_by_one(NET, FACES, "bank", **QUIET)
    assert found["accuracy_lost"].values.tolist() == [0.5, 0, 0, 0, 0, 0]
    assert float(found["loss_gained"].sel(unit=EDGE)) > 0.5
    np.testing.assert_allclose(found["loss_gained"].values[1:], 0, atol=1e-6)


def test_orders_switch_off_the_smallest_first():
    keeps, drops = np.zeros(6), np.ones(6)
    keeps[EDGE], drops[EDGE] = 1, np.nan
    measures = xr.Dataset({"keeps": ("unit", keeps), "drops": ("unit", drops)}, {"unit": range(6)})
    found = ablation.in_order(NET, FACES, "bank", measures, shares=(0, 0.5, 1), random=2, **QUIET)
    assert found["order"].values.tolist() == ["keeps", "drops", "random 1", "random 2"]
    assert found["accuracy"].sel(order="keeps").values.tolist() == [1, 1, 0.5]
    assert found["accuracy"].sel(order="drops").values.tolist() == [1, 0.5, 0.5]
    again = ablation.in_order(NET, FACES, "bank", measures, shares=(0, 0.5, 1), random=2, **QUIET)
    xr.testing.assert_identical(found, again)


def test_foreseen_is_spearmans_rho():
    lost = xr.DataArray([0.5, 0.1, 0.2, 0.0], {"unit": range(4)}, ("unit",))
    measures = xr.Dataset(
        {
            "same": ("unit", [9.0, 2, 3, 1]),
            "turned": ("unit", [1.0, 3, 2, 4]),
            "constant": ("unit", [1.0] * 4),
            "gap": ("unit", [5.0, np.nan, 2, 3]),
        },
        {"unit": range(4)},
    )
    found = ablation.foreseen(measures, lost)
    assert found["rho"].values[:2].tolist() == pytest.approx([1, -1])
    assert np.isnan(found["rho"].sel(measure="constant"))
    expected = spearmanr([5, 2, 3], [0.5, 0.2, 0.0]).statistic
    assert float(found["rho"].sel(measure="gap")) == pytest.approx(expected)
    assert found["units"].values.tolist() == [4, 4, 4, 3]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ablation.without(NET, FACES, "bank", [()], fill="noise"), "fill"),
        (lambda: ablation.without(NET, FACES, "bank", [(LIGHT, 9)]), "units of bank"),
        (lambda: ablation.without(NET, FACES, "means2", [()]), "layer"),
        (lambda: ablation.in_order(NET, FACES, "bank", xr.Dataset(coords={"unit": [0, 1]})),
         "cover units 0 to 5"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
