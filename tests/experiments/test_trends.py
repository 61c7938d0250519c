"""Trends against SciPy, by hand, and on numbers that only a group's mean moves."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

from experiments.architectures import trends


def over_models(values):
    values = np.asarray(values, float)
    return xr.DataArray(
        values, {"model": range(len(values)), "run": range(values.shape[1])},
        ("model", "run"), name="number",
    )  # fmt: skip


WIDTH = xr.DataArray([4, 8, 16, 32], {"model": range(4)}, ("model",))


def test_without_groups_it_is_spearmans():
    rng = np.random.default_rng(0)
    values = over_models(rng.normal(size=(4, 3)) + np.arange(4)[:, None])
    found = trends.trend(xr.Dataset({"a": values}), WIDTH).loc["a"]
    expected = spearmanr(values.values.ravel(), np.repeat(WIDTH.values, 3))
    assert found["rho"] == pytest.approx(expected.statistic)
    assert found["p"] == pytest.approx(expected.pvalue, abs=0.02)
    assert found["runs"] == 12


def test_verdicts_are_rises_falls_and_inconclusive():
    rising = over_models(np.arange(12).reshape(4, 3))
    noise = over_models(np.random.default_rng(1).normal(size=(4, 3)))
    measures = xr.Dataset({"up": rising, "down": -rising, "noise": noise, "same": 0 * rising})
    found = trends.trend(measures, WIDTH)
    assert found["verdict"].tolist() == ["rises", "falls", "inconclusive", "inconclusive"]
    assert np.isnan(found.loc["same", "rho"])


def test_a_difference_between_groups_is_no_trend_within_them():
    along = xr.DataArray([1, 2, 1, 2], {"model": range(4)}, ("model",))
    group = xr.DataArray([0, 0, 1, 1], {"model": range(4)}, ("model",))
    values = over_models([[2, 2.1], [1, 1.1], [12, 12.1], [11, 11.1]])
    found = trends.trend(xr.Dataset({"a": values}), along, group).loc["a"]
    assert found["rho"] == pytest.approx(-np.sqrt(0.8))
    assert found["p"] == pytest.approx(2 / 6**2, abs=0.01)


def test_many_measures_need_smaller_p():
    values = over_models([[1, 2], [3, 4], [5, 6.0]])
    alone = trends.trend(xr.Dataset({"a": values}), WIDTH[:3])
    assert alone.loc["a", "verdict"] == "rises"
    noise = over_models([[1, 9], [5, 2], [4, 4.0]])
    many = xr.Dataset({"a": values} | {f"n{i}": noise for i in range(9)})
    assert trends.trend(many, WIDTH[:3]).loc["a", "verdict"] == "inconclusive"


def test_nan_is_left_out():
    values = over_models([[1, 2], [3, 4], [5, np.nan]])
    assert trends.trend(xr.Dataset({"a": values}), WIDTH[:3]).loc["a", "runs"] == 5


def test_a_table_holds_mean_and_range():
    values = over_models([[0.5, 0.7], [1, np.nan], [np.nan, np.nan], [-10, -20]])
    assert trends.over_runs(values)["number"].tolist() == [
        "0.60 (0.50 to 0.70)", "1.00", "", "-15.00 (-20.00 to -10.00)",
    ]  # fmt: skip
    wide = xr.concat([values, 2 * values], "image_set").assign_coords(image_set=["train", "test"])
    table = trends.over_runs(wide, 1)
    assert table.columns.tolist() == ["train", "test"]
    assert table.loc[0, "test"] == "1.2 (1.0 to 1.4)"
