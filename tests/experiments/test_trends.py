"""Trends against SciPy, by hand, and on numbers that only a group's mean moves."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

from experiments.architectures import trends


def over_nets(values):
    values = np.asarray(values, float)
    return xr.DataArray(
        values, {"net": range(len(values)), "training": range(values.shape[1])},
        ("net", "training"), name="number",
    )  # fmt: skip


WIDTH = xr.DataArray([4, 8, 16, 32], {"net": range(4)}, ("net",))


def test_without_groups_it_is_spearmans():
    draw = np.random.default_rng(0)
    values = over_nets(draw.normal(size=(4, 3)) + np.arange(4)[:, None])
    found = trends.trend(xr.Dataset({"a": values}), WIDTH).loc["a"]
    expected = spearmanr(values.values.ravel(), np.repeat(WIDTH.values, 3))
    assert found["rho"] == pytest.approx(expected.statistic)
    assert found["p"] == pytest.approx(expected.pvalue, abs=0.02)
    assert found["nets"] == 12


def test_verdicts_are_rises_falls_and_cannot_tell():
    rising = over_nets(np.arange(12).reshape(4, 3))
    noise = over_nets(np.random.default_rng(1).normal(size=(4, 3)))
    measures = xr.Dataset({"up": rising, "down": -rising, "noise": noise, "same": 0 * rising})
    found = trends.trend(measures, WIDTH)
    assert found["verdict"].tolist() == ["rises", "falls", "cannot tell", "cannot tell"]
    assert np.isnan(found.loc["same", "rho"])


def test_a_difference_between_groups_is_no_trend_within_them():
    along = xr.DataArray([1, 2, 1, 2], {"net": range(4)}, ("net",))
    group = xr.DataArray([0, 0, 1, 1], {"net": range(4)}, ("net",))
    values = over_nets([[2, 2.1], [1, 1.1], [12, 12.1], [11, 11.1]])
    found = trends.trend(xr.Dataset({"a": values}), along, group).loc["a"]
    assert found["rho"] == pytest.approx(-np.sqrt(0.8))
    assert found["p"] == pytest.approx(2 / 6**2, abs=0.01)


def test_many_measures_need_smaller_p():
    values = over_nets([[1, 2], [3, 4], [5, 6.0]])
    alone = trends.trend(xr.Dataset({"a": values}), WIDTH[:3])
    assert alone.loc["a", "verdict"] == "rises"
    noise = over_nets([[1, 9], [5, 2], [4, 4.0]])
    many = xr.Dataset({"a": values} | {f"n{i}": noise for i in range(9)})
    assert trends.trend(many, WIDTH[:3]).loc["a", "verdict"] == "cannot tell"


def test_nan_is_left_out():
    values = over_nets([[1, 2], [3, 4], [5, np.nan]])
    assert trends.trend(xr.Dataset({"a": values}), WIDTH[:3]).loc["a", "nets"] == 5


def test_a_table_tells_mean_and_range():
    values = over_nets([[0.5, 0.7], [1, np.nan], [np.nan, np.nan], [-10, -20]])
    assert trends.over_trainings(values)["number"].tolist() == [
        "0.60 (0.50 to 0.70)", "1.00", "", "-15.00 (-20.00 to -10.00)",
    ]  # fmt: skip
    wide = xr.concat([values, 2 * values], "faces").assign_coords(faces=["known", "unseen"])
    table = trends.over_trainings(wide, 1)
    assert table.columns.tolist() == ["known", "unseen"]
    assert table.loc[0, "unseen"] == "1.2 (1.0 to 1.4)"
