import numpy as np
import pytest
import xarray as xr

from experiments.experiment2 import compared

RNG = np.random.default_rng(0)


def of_seeds(recognised=(True, True, True), **values):
    """Measured values (tv_weight, seed) of three weights."""
    data = {name: (("tv_weight", "seed"), np.asarray(v, float)) for name, v in values.items()}
    weights = [0.1, 1.0, 10.0]
    return xr.Dataset(data, {"tv_weight": weights}).assign_coords(
        recognised=("tv_weight", list(recognised)), scale=2.0
    )


def test_the_best_weight_repeats_most_among_the_recognised():
    alike = {"similarity_over_seeds": [[0.2, 0.3], [0.5, 0.6], [0.9, 0.9]]}
    unsure = of_seeds((True, True, False), **alike)
    assert compared.best_weight(of_seeds(**alike)) == 10
    assert compared.best_weight(unsure) == 1
    assert compared.best_weight(of_seeds((False,) * 3, **alike)) == 10
    low = of_seeds(**{"similarity_over_seeds": [[1.0, 0.9], [0.1, 0.1], [0.9, 0.9]]})
    assert compared.common_weight({"a": unsure, "b": low}) == 0.1
    table = compared.weights({"task": {"a": unsure, "b": low}})
    assert table.loc["task", "a"].tolist() == [2, 0.1, 0.05, 1, 0.5]


def test_objectives_are_compared_seed_by_seed():
    base = RNG.normal(size=(3, 12))
    a = of_seeds(better=base + 0.1, same=base)
    b = of_seeds(better=base, same=base + RNG.normal(size=(3, 12)))
    table = compared.compare({"a": a, "b": b}, {"a": 1.0, "b": 1.0})
    assert table["verdict"].tolist() == ["higher", "inconclusive"]
    assert table.loc["better", "p"].item() == pytest.approx(2 / 2**12)
    short = compared.beside(table, table)
    mean = base[1].mean()
    cell = f"{mean + 0.1:.2f} : {mean:.2f}, higher"
    assert short.loc["better"].tolist() == [cell, cell]
    assert short.columns.tolist() == [("common weight", "a : b"), ("best weights", "a : b")]


def test_an_answer_knows_what_is_better():
    base = RNG.uniform(0, 0.1, (3, 12))
    low = of_seeds(**dict.fromkeys(compared.BETTER, base))
    high = of_seeds(**dict.fromkeys(compared.BETTER, base + 0.5))
    high["displayed_z_score"] = low["displayed_z_score"]
    table = compared.compare({"high": high, "low": low}, {"high": 0.1, "low": 0.1})
    text = compared.answer(table, "high", "low")
    better, worse, unclear = text.split("; ")
    mean = base[0].mean()
    values = f"({mean + 0.5:.2f} against {mean:.2f})"
    assert better.startswith(f"better by similarity between outputs {values}")
    assert "similarity over seeds" in better
    assert worse.startswith("worse by high-frequency share (")
    assert unclear.startswith("inconclusive by displayed z-score (")


def test_maps_are_labelled_by_objective_and_weight():
    found = of_seeds(similarity=[[0.1], [0.2], [0.3]])
    labelled = compared.at_weights({"p": found}, {"p": 0.1}, {"p": 1.0})
    assert list(labelled) == ["p\nTV 0.1", "p\nTV 1"]
    assert labelled["p\nTV 1"]["tv_weight"].item() == 1


def test_measures_over_the_weights_are_means_over_the_seeds():
    lines = compared.over_weights({"a": of_seeds(m=[[1, 2], [3, 4], [5, 6]])})
    assert lines["m"].sel(objective="a").values.tolist() == [1.5, 3.5, 5.5]
    assert set(lines.coords) == {"objective", "tv_weight"}
