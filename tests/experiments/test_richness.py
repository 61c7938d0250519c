"""Numbers of a net whose units are known: planted shares, scale, pruning, likeness."""

import numpy as np
import pytest
from planted import DEAD, bank, images

from experiments.architectures import richness
from helpers.measures.repeatability import VERDICTS
from helpers.units.responses import measure_responses

FACES, NET = images(), bank()
HOW = richness.MapSettings(units=6, seeds=(0, 1), steps=20, lp=0)


@pytest.fixture(scope="module")
def measured():
    maps = richness.search(NET, FACES, HOW, progress=False)
    return richness.of_net(NET, FACES, maps), maps


def test_layers_are_called_by_their_role():
    assert richness.mapped_layers(NET) == {
        "bank": "bank", "last convolution": "bank", "output": "decide",
    }  # fmt: skip


def test_planted_units_are_counted(measured):
    rows, maps = measured
    bank_row = rows.sel(layer="bank")
    assert list(maps) == ["bank", "decide"]
    assert rows["layer"].values.tolist() == ["bank", "last convolution", "output"]
    assert float(bank_row["units"]) == 6
    assert float(bank_row["dead"]) == pytest.approx(1 / 6)
    assert float(bank_row["twins"]) == pytest.approx(2 / 6)
    assert 1 < float(bank_row["effective_rank"]) < 5
    assert float(rows["units"].sel(layer="output")) == 2
    assert bank_row.drop_vars("layer").equals(rows.sel(layer="last convolution", drop=True))


def test_an_activation_counts_in_the_scale_of_its_layer(measured):
    rows, maps = measured
    deviation = measure_responses(NET, FACES, "bank", progress=False)["activation"].std("image")
    assert float(deviation[DEAD]) == 0
    scale = np.median(np.delete(deviation.values, DEAD))
    assert float(rows["scale"].sel(layer="bank")) == pytest.approx(scale)
    louder = bank()
    kernel, bias = louder.get_layer("bank").get_weights()
    louder.get_layer("bank").set_weights([8 * kernel, 8 * bias])
    of_louder = richness.search(louder, FACES, HOW, progress=False)
    np.testing.assert_array_equal(of_louder["bank"]["display"], maps["bank"]["display"])


def test_shares_are_of_all_mapped_units(measured):
    rows, maps = measured
    for name in ("kind_share", "verdict_share"):
        dim = name.removesuffix("_share")
        np.testing.assert_allclose(rows[name].sum(dim), 1)
    bank_row = rows.sel(layer="bank")
    assert float(bank_row["kind_share"].sel(kind="no map")) >= 1 / 6
    assert bank_row["verdict"].values.tolist() == list(VERDICTS)
    repeats = bank_row["verdict_share"].sel(verdict=list(richness.INTERPRETABLE_VERDICTS)).sum()
    clear = bank_row["kind_share"].sel(kind=list(richness.INTERPRETABLE_KINDS)).sum()
    assert 0 <= float(bank_row["interpretable"]) <= min(float(repeats), float(clear)) + 1e-9
    raised = maps["bank"]["activation_raw"] > maps["bank"]["activation_seed"]
    assert float(raised.mean()) <= float(bank_row["found"]) <= 5 / 6


def test_pruning_by_cost_keeps_the_edge_longest_and_by_apoz_does_not():
    found = richness.pruned(NET, FACES, FACES, shares=(0, 2 / 6, 5 / 6, 1), random=2)
    accuracy = found["pruned_accuracy"].sel(layer="bank")
    assert accuracy.sel(order="cost").values.tolist() == [1, 1, 1, 0.5]
    assert accuracy.sel(order="APoZ").values.tolist() == [1, 0.5, 0.5, 0.5]
    assert accuracy["order"].values.tolist() == ["cost", "APoZ", "random"]


def test_a_layer_without_a_live_unit_has_numbers_too():
    silent = bank()
    kernel, bias = silent.get_layer("bank").get_weights()
    silent.get_layer("bank").set_weights([0 * kernel, 0 * bias - 1])
    maps = richness.search(silent, FACES, HOW, progress=False)
    row = richness.of_net(silent, FACES, maps).sel(layer="bank")
    assert float(row["dead"]) == 1 and float(row["effective_rank"]) == 0
    assert float(row["found"]) == 0 and float(row["interpretable"]) == 0
    assert float(row["kind_share"].sel(kind="no map")) == 1
