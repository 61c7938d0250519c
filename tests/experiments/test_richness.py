"""Numbers of a model whose units are known: planted shares, scale, pruning, similarity."""

import numpy as np
import pytest
from planted import DEAD, bank, images

from experiments.architectures import richness
from helpers.measures import NO_MAP, REPEATABLE, VERDICTS
from helpers.units.responses import measure_responses

IMAGES, MODEL = images(), bank()
HOW = richness.MapSettings(units=6, seeds=(0, 1), steps=20, lp=0)


@pytest.fixture(scope="module")
def measured():
    maps = richness.optimize_maps(MODEL, IMAGES, HOW, progress=False)
    return richness.measure_layers(MODEL, IMAGES, maps), maps


def test_layers_are_called_by_their_role():
    assert richness.mapped_layers(MODEL) == {
        "bank": "bank", "last convolution": "bank", "output": "decide",
    }  # fmt: skip


def test_planted_units_are_counted(measured):
    rows, maps = measured
    bank_row = rows.sel(layer="bank")
    assert list(maps) == ["bank", "decide"]
    assert rows["layer"].values.tolist() == ["bank", "last convolution", "output"]
    assert float(bank_row["units"]) == 6
    assert float(bank_row["dead"]) == pytest.approx(1 / 6)
    assert float(bank_row["redundant"]) == pytest.approx(2 / 6)
    assert 1 < float(bank_row["effective_rank"]) < 5
    assert float(rows["units"].sel(layer="output")) == 2
    assert bank_row.drop_vars("layer").equals(rows.sel(layer="last convolution", drop=True))


def test_an_activation_counts_in_the_scale_of_its_layer(measured):
    rows, maps = measured
    deviation = measure_responses(MODEL, IMAGES, "bank", progress=False)["activation"].std("image")
    assert float(deviation[DEAD]) == 0
    scale = np.median(np.delete(deviation.values, DEAD))
    assert float(rows["scale"].sel(layer="bank")) == pytest.approx(scale)
    louder = bank()
    kernel, bias = louder.get_layer("bank").get_weights()
    louder.get_layer("bank").set_weights([8 * kernel, 8 * bias])
    of_louder = richness.optimize_maps(louder, IMAGES, HOW, progress=False)
    np.testing.assert_array_equal(of_louder["bank"]["display"], maps["bank"]["display"])


def test_shares_are_of_all_mapped_units(measured):
    rows, maps = measured
    for dim in ("appearance_class", "verdict"):
        name = f"{dim.removesuffix('_class')}_share"
        np.testing.assert_allclose(rows[name].sum(dim), 1)
    bank_row = rows.sel(layer="bank")
    assert float(bank_row["appearance_share"].sel(appearance_class=NO_MAP)) >= 1 / 6
    assert bank_row["verdict"].values.tolist() == list(VERDICTS)
    repeats = bank_row["verdict_share"].sel(verdict=list(REPEATABLE)).sum()
    clear = (
        bank_row["appearance_share"]
        .sel(appearance_class=list(richness.INTERPRETABLE_CLASSES))
        .sum()
    )
    assert 0 <= float(bank_row["interpretable"]) <= min(float(repeats), float(clear)) + 1e-9
    raised = maps["bank"]["activation_raw"] > maps["bank"]["activation_seed"]
    assert float(raised.mean()) <= float(bank_row["raised"]) <= 5 / 6


def test_pruning_by_cost_keeps_the_edge_longest_and_by_apoz_does_not():
    found = richness.prune(MODEL, IMAGES, IMAGES, shares=(0, 2 / 6, 5 / 6, 1), random=2)
    accuracy = found["pruned_accuracy"].sel(layer="bank")
    assert accuracy.sel(order="cost").values.tolist() == [1, 1, 1, 0.5]
    assert accuracy.sel(order="APoZ").values.tolist() == [1, 0.5, 0.5, 0.5]
    assert accuracy["order"].values.tolist() == ["cost", "APoZ", "random"]


def test_a_layer_without_a_live_unit_has_numbers_too():
    dead = bank()
    kernel, bias = dead.get_layer("bank").get_weights()
    dead.get_layer("bank").set_weights([0 * kernel, 0 * bias - 1])
    maps = richness.optimize_maps(dead, IMAGES, HOW, progress=False)
    row = richness.measure_layers(dead, IMAGES, maps).sel(layer="bank")
    assert float(row["dead"]) == 1 and float(row["effective_rank"]) == 0
    assert float(row["raised"]) == 0 and float(row["interpretable"]) == 0
    assert float(row["appearance_share"].sel(appearance_class=NO_MAP)) == 1
