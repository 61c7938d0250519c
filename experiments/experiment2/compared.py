"""Which objective's maps are better: at which weight, by which measure, and whether seeds agree."""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd
import xarray as xr
from scipy.stats import wilcoxon

from helpers.measures.significance import SIGNIFICANT

CANNOT_TELL = "cannot tell"
BETTER = {
    "between outputs": "higher",
    "alike over seeds": "higher",
    "high-frequency share": "lower",
    "z-score as shown": "higher",
}
"""What better maps are, by each measure that has a better and a worse."""


def best_weight(measured: xr.Dataset) -> float:
    """The TV weight whose maps repeat best, among those whose maps the net all recognises.

    Where it recognises all maps of no weight, every weight is a candidate.
    """
    return _most_alike(measured["alike over seeds"].mean("seed"), measured["recognised"])


def common_weight(measured: Mapping[str, xr.Dataset]) -> float:
    """`best_weight` for all objectives at once: by the mean of their repeatability."""
    alike = sum(found["alike over seeds"].mean("seed") for found in measured.values())
    recognised = [found["recognised"] for found in measured.values()]
    return _most_alike(alike, xr.concat(recognised, "objective").all("objective"))


def compare(measured: Mapping[str, xr.Dataset], weights: Mapping[str, float]) -> pd.DataFrame:
    """Compare every two objectives by every measure, seed by seed.

    Args:
        measured: name -> from `measure`, the same seeds.
        weights: name -> the TV weight at which it is taken.

    Returns:
        A row for each (measure, first, second): `first value` and `second value`, means over the
        seeds; `p`, two-sided, of Wilcoxon's signed-rank test (1945) of the differences from the
        same seed inputs, which takes the seeds to be independent; `says`: "higher" or "lower", what
        the first is, where `p` is below 0.05 over the number of rows (Bonferroni), else "cannot
        tell".
    """
    at = {name: measured[name].sel(tv_weight=weight) for name, weight in weights.items()}
    pairs = [(name, a, b) for name in at[next(iter(at))] for a, b in combinations(at, 2)]
    rows = []
    for name, first, second in pairs:
        a, b = at[first][name].values, at[second][name].values
        p = wilcoxon(a, b).pvalue if (a != b).any() else 1.0
        told = "higher" if a.mean() > b.mean() else "lower"
        told = told if p < SIGNIFICANT / len(pairs) else CANNOT_TELL
        rows.append((name, first, second, a.mean(), b.mean(), p, told))
    columns = ["measure", "first", "second", "first value", "second value", "p", "says"]
    return pd.DataFrame(rows, columns=columns).set_index(["measure", "first", "second"])


def answer(table: pd.DataFrame, first: str, second: str) -> str:
    """Say by which measures the first maps are better than the second, and by which not.

    Args:
        table: from `compare`.
        first, second: names, in the order of the table.

    Returns:
        One phrase with the values: "better by alike over seeds (0.61 against 0.52), ...; worse by
        ...; cannot tell by ...".
    """
    parts = {"better": [], "worse": [], CANNOT_TELL: []}
    for measure, better in BETTER.items():
        row = table.loc[measure, first, second]
        told = row["says"]
        if told != CANNOT_TELL:
            told = "better" if told == better else "worse"
        values = f"{row['first value']:.2f} against {row['second value']:.2f}"
        parts[told].append(f"{measure} ({values})")
    return "; ".join(f"{told} by {', '.join(found)}" for told, found in parts.items() if found)


def beside(common: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """Two tables of `compare` in short: a row a measure, a column a pair, values and what is said.

    The columns stand under "common weight" and "best weights".
    """
    return pd.concat({"common weight": _short(common), "best weights": _short(best)}, axis=1)


def weights(tasks: Mapping[str, Mapping[str, xr.Dataset]]) -> pd.DataFrame:
    """The TV weights that are compared: a row for each task and objective.

    Args:
        tasks: task -> objective -> from `measure`.

    Returns:
        `scale`, the objective's standard deviation over the images, mean over the units; `common`
        and `best`, the weights; `common relative` and `best relative`, over the scale.
    """
    rows = {}
    for task, measured in tasks.items():
        common = common_weight(measured)
        for name, found in measured.items():
            scale, best = float(found["scale"]), best_weight(found)
            rows[task, name] = [scale, common, common / scale, best, best / scale]
    columns = ["scale", "common", "common relative", "best", "best relative"]
    index = pd.MultiIndex.from_tuples(rows, names=["task", "objective"])
    return pd.DataFrame(list(rows.values()), index, columns)


def over_weights(measured: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The measures over (objective, tv_weight), means over the seeds, for `charts.line_panels`."""
    plain = [found.drop_vars(("recognised", "scale")).mean("seed") for found in measured.values()]
    return xr.concat(plain, "objective").assign_coords(objective=list(measured))


def at_weights(
    maps: Mapping[str, xr.Dataset], *weights: Mapping[str, float]
) -> dict[str, xr.Dataset]:
    """The maps of each name at each of its weights (name -> TV weight), by a label that says both.

    For `charts.as_columns`.
    """
    return {
        f"{name}\nTV {each[name]:g}": maps[name].sel(tv_weight=[each[name]])
        for name in maps
        for each in weights
    }


def _cell(row: pd.Series) -> str:
    return f"{row['first value']:.2f} : {row['second value']:.2f}, {row['says']}"


def _short(table: pd.DataFrame) -> pd.DataFrame:
    cells = {
        (measure, f"{first} : {second}"): _cell(row)
        for (measure, first, second), row in table.iterrows()
    }
    return pd.Series(cells).unstack(sort=False)


def _most_alike(alike: xr.DataArray, recognised: xr.DataArray) -> float:
    candidates = alike.where(recognised) if bool(recognised.any()) else alike
    return float(candidates.idxmax("tv_weight"))
