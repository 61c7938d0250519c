"""Tests and verdicts: whether a difference, a change or a trend is more than chance.

A verdict is one word, or `INCONCLUSIVE` unless p lies below 0.05 over the number of comparisons
that are made together (Bonferroni).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import binomtest, fisher_exact, mannwhitneyu, rankdata, spearmanr, wilcoxon

SIGNIFICANT = 0.05
INCONCLUSIVE = "inconclusive"


def verdict(p: float, effect: float, comparisons: int, words: tuple[str, str]) -> str:
    """The first word for an effect above 0, the second for one below; or `INCONCLUSIVE`.

    Args:
        p: of the test, 0..1; NaN where there was nothing to test.
        effect: what the test is about, of either sign.
        comparisons: how many tests are judged together.
        words: what a significant effect above 0 and one below 0 are called.
    """
    if not p < SIGNIFICANT / comparisons:
        return INCONCLUSIVE
    return words[0] if effect > 0 else words[1]


def separability(trained: xr.Dataset, control: xr.Dataset) -> pd.DataFrame:
    """How well each measure separates units of a trained model from those of a random one.

    Args:
        trained: measures, one number per unit (other dims pooled), of the trained model's maps.
        control: the same measures of a re-initialised model's maps.

    Returns:
        Per measure: `auc` (0..1), the probability that a trained unit's value is above a random
        unit's, ties half: U / (n1 n2), 0.5 for no difference; `p`, two-sided, of the test of Mann &
        Whitney (1947), which takes the units to be independent; `trained` and `control`, the
        medians; and `verdict`, "higher" or "lower", what the trained units' values are. NaN values
        are left out; a measure without any has NaN.

    Raises:
        ValueError: the two do not hold the same measures.
    """
    if set(trained) != set(control):
        raise ValueError(f"control must hold {sorted(trained)}, got {sorted(control)}")
    rows = {}
    for name in trained:
        a, b = _finite(trained[name]), _finite(control[name])
        auc, p, medians = np.nan, np.nan, (np.nan, np.nan)
        if a.size and b.size:
            test = mannwhitneyu(a, b)
            auc, p = test.statistic / (a.size * b.size), test.pvalue
            medians = np.median(a), np.median(b)
        rows[name] = (auc, p, *medians, verdict(p, auc - 0.5, len(trained), ("higher", "lower")))
    columns = ["auc", "p", "trained", "control", "verdict"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns)


def rank_agreement(measures: xr.Dataset, reference: xr.DataArray) -> pd.DataFrame:
    """How far each measure ranks the units as a reference does: Spearman's rank correlation.

    Args:
        measures: numbers over `unit`.
        reference: numbers over `unit`, such as what each unit's absence costs (`ablate_each`).

    Returns:
        Per measure: `rho` (-1..1), its two-sided `p`, `units`, how many have a value, and
        `verdict`, "agrees" or "opposes". NaN where all values of a measure are equal.
    """
    rows = {}
    for name, values in measures.data_vars.items():
        a, b = xr.align(values.astype("float64").dropna("unit"), reference)
        is_constant = a.size < 3 or a.std() == 0 or b.std() == 0
        rho, p = (np.nan, np.nan) if is_constant else spearmanr(a, b)
        word = verdict(p, rho, len(measures.data_vars), ("agrees", "opposes"))
        rows[name] = (float(rho), float(p), a.size, word)
    return pd.DataFrame.from_dict(rows, "index", columns=["rho", "p", "units", "verdict"])


def paired_p(a: np.ndarray, b: np.ndarray) -> float:
    """p, two-sided, of the signed-rank test of Wilcoxon (1945) of pairs (N,); 1 where all equal."""
    return float(wilcoxon(a, b).pvalue) if (a != b).any() else 1.0


def change_p(before: np.ndarray, after: np.ndarray, *, paired: bool) -> float:
    """p, two-sided, of a change in how many units are so.

    The exact test of McNemar (1947) of the units that changed where they are the same units, else
    the exact test of Fisher (1922) of the counts. 1 where nothing changed.

    Args:
        before, after: (N,) bool, whether each unit is so; of one length when paired.
        paired: whether the units after are those before.
    """
    if paired:
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    counts = [[int(units.sum()), int((~units).sum())] for units in (before, after)]
    return float(fisher_exact(counts).pvalue)


def trend(
    measures: Mapping[str, np.ndarray],
    along: np.ndarray,
    within: np.ndarray,
    *,
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether each measure rises or falls along a number, within groups.

    Spearman's rank correlation: in each group the values and the numbers are ranked and centred,
    then correlated over all the groups. `p` is two-sided, from permutations of the values within
    the groups, (1 + as extreme) / (1 + permutations) (Phipson & Smyth 2010, equation 2).

    Args:
        measures: name -> (N,) numbers; NaN is left out.
        along: (N,) numbers.
        within: (N,) the group of each.
        permutations: how many.
        seed: makes them.

    Returns:
        Per measure: `rho` (-1..1), `p`, `values`, how many are no NaN, and `verdict`, "rises" or
        "falls". `rho` and `p` are NaN where nothing varies.
    """
    rows = {}
    for name, values in measures.items():
        y = np.asarray(values, "float64")
        there = np.isfinite(y)
        rng = np.random.default_rng(seed)
        rho, p = _permuted(y[there], along[there], within[there], permutations, rng)
        word = verdict(p, rho, len(measures), ("rises", "falls"))
        rows[name] = (rho, p, int(there.sum()), word)
    return pd.DataFrame.from_dict(rows, "index", columns=["rho", "p", "values", "verdict"])


def proportion(count: int, total: int) -> str:
    """A count in words: "3 of 12 (25 %, 95 % interval 5 to 57 %)".

    The interval is that of Clopper & Pearson (1934), for units drawn at random from many.
    """
    low, high = binomtest(count, total).proportion_ci(0.95)
    share, low, high = (round(100 * value) for value in (count / total, low, high))
    return f"{count} of {total} ({share} %, 95 % interval {low} to {high} %)"


def _finite(measure: xr.DataArray) -> np.ndarray:
    values = measure.values.astype("float64").ravel()
    return values[np.isfinite(values)]


def _permuted(y, x, group, permutations: int, rng: np.random.Generator) -> tuple[float, float]:
    members = [np.flatnonzero(group == value) for value in np.unique(group)]
    ranked_y, ranked_x = (_ranked(values, members) for values in (y, x))
    size = np.linalg.norm(ranked_y) * np.linalg.norm(ranked_x)
    if size == 0:
        return np.nan, np.nan
    rho = ranked_y @ ranked_x / size
    shuffled = np.tile(ranked_y, (permutations, 1))
    for at in members:
        shuffled[:, at] = rng.permuted(shuffled[:, at], axis=1)
    extreme = np.abs(shuffled @ ranked_x / size) >= abs(rho) - 1e-12
    return float(rho), float((1 + extreme.sum()) / (1 + permutations))


def _ranked(values: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    ranks = np.zeros(len(values))
    for at in members:
        own = rankdata(values[at])
        ranks[at] = own - own.mean()
    return ranks
