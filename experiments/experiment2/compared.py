"""Which objective's maps are better: at which weight, by which measure, and whether seeds agree."""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd
import xarray as xr

from helpers.measures.columns import label
from helpers.measures.significance import INCONCLUSIVE, paired_p, verdict

BETTER = {
    "similarity_between_outputs": "higher",
    "similarity_over_seeds": "higher",
    "high_frequency_share": "lower",
    "displayed_z_score": "higher",
}
"""What better maps are, by each measure that has a better and a worse."""


def best_weight(measured: xr.Dataset) -> float:
    """The TV weight whose maps repeat best, among those whose maps are all recognised.

    Where all maps are recognised at no weight, every weight is a candidate.
    """
    similarity = measured["similarity_over_seeds"].mean("seed")
    return _most_similar(similarity, measured["recognised"])


def common_weight(measured: Mapping[str, xr.Dataset]) -> float:
    """`best_weight` for all objectives at once: by the mean of their similarity over seeds."""
    similarity = sum(each["similarity_over_seeds"].mean("seed") for each in measured.values())
    recognised = xr.concat([each["recognised"] for each in measured.values()], "objective")
    return _most_similar(similarity, recognised.all("objective"))


def compare(measured: Mapping[str, xr.Dataset], weights: Mapping[str, float]) -> pd.DataFrame:
    """Compare every two objectives by every measure, seed by seed.

    Args:
        measured: name -> from `outputs.measure`, the same seeds.
        weights: name -> the TV weight at which it is taken.

    Returns:
        Per (measure, first, second): `first value` and `second value`, means over the seeds; `p`,
        two-sided, of Wilcoxon's signed-rank test of the differences from the same seed inputs,
        which takes the seeds to be independent; `verdict`: "higher" or "lower", what the first is,
        over the number of rows, else "inconclusive".
    """
    at = {name: measured[name].sel(tv_weight=weight) for name, weight in weights.items()}
    pairs = [(name, a, b) for name in at[next(iter(at))] for a, b in combinations(at, 2)]
    rows = []
    for name, first, second in pairs:
        a, b = at[first][name].values, at[second][name].values
        p = paired_p(a, b)
        word = verdict(p, a.mean() - b.mean(), len(pairs), ("higher", "lower"))
        rows.append((name, first, second, a.mean(), b.mean(), p, word))
    columns = ["measure", "first", "second", "first value", "second value", "p", "verdict"]
    return pd.DataFrame(rows, columns=columns).set_index(["measure", "first", "second"])


def answer(table: pd.DataFrame, first: str, second: str) -> str:
    """Say by which measures the first maps are better than the second, and by which not.

    Args:
        table: from `compare`.
        first, second: names, in the order of the table.

    Returns:
        One phrase with the values: "better by similarity over seeds (0.61 against 0.52), ...; worse
        by ...; inconclusive by ...".
    """
    parts = {"better": [], "worse": [], INCONCLUSIVE: []}
    for measure, better in BETTER.items():
        row = table.loc[measure, first, second]
        word = row["verdict"]
        if word != INCONCLUSIVE:
            word = "better" if word == better else "worse"
        values = f"{row['first value']:.2f} against {row['second value']:.2f}"
        parts[word].append(f"{label(measure)} ({values})")
    return "; ".join(f"{word} by {', '.join(texts)}" for word, texts in parts.items() if texts)


def beside(common: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """Two tables of `compare` in short: per measure, a column per pair with values and verdict.

    The columns stand under "common weight" and "best weights".
    """
    return pd.concat({"common weight": _short(common), "best weights": _short(best)}, axis=1)


def weights(tasks: Mapping[str, Mapping[str, xr.Dataset]]) -> pd.DataFrame:
    """The TV weights that are compared, per task and objective.

    Args:
        tasks: task -> objective -> from `outputs.measure`.

    Returns:
        `scale`, the objective's standard deviation over the images, mean over the units; `common`
        and `best`, the weights; `common relative` and `best relative`, over the scale.
    """
    rows = {}
    for task, measured in tasks.items():
        common = common_weight(measured)
        for name, each in measured.items():
            scale, best = float(each["scale"]), best_weight(each)
            rows[task, name] = [scale, common, common / scale, best, best / scale]
    columns = ["scale", "common", "common relative", "best", "best relative"]
    index = pd.MultiIndex.from_tuples(rows, names=["task", "objective"])
    return pd.DataFrame(list(rows.values()), index, columns)


def over_weights(measured: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The measures over (objective, tv_weight), means over the seeds, for `plots.line_panels`."""
    means = [each.drop_vars(("recognised", "scale")).mean("seed") for each in measured.values()]
    joined = xr.concat(means, "objective").assign_coords(objective=list(measured))
    return joined.rename({name: label(name) for name in joined})


def at_weights(
    maps: Mapping[str, xr.Dataset], *weights: Mapping[str, float]
) -> dict[str, xr.Dataset]:
    """The maps of each name at each of its weights (name -> TV weight), named by both.

    For `plots.as_columns`.
    """
    return {
        f"{name}\nTV {each[name]:g}": maps[name].sel(tv_weight=[each[name]])
        for name in maps
        for each in weights
    }


def _short(table: pd.DataFrame) -> pd.DataFrame:
    cells = {
        (label(measure), f"{first} : {second}"): (
            f"{row['first value']:.2f} : {row['second value']:.2f}, {row['verdict']}"
        )
        for (measure, first, second), row in table.iterrows()
    }
    return pd.Series(cells).unstack(sort=False)


def _most_similar(similarity: xr.DataArray, recognised: xr.DataArray) -> float:
    candidates = similarity.where(recognised) if bool(recognised.any()) else similarity
    return float(candidates.idxmax("tv_weight"))
