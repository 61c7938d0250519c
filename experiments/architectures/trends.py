"""Do numbers of nets rise or fall with their shape, beyond what trainings differ by?"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import rankdata

from helpers.measures.significance import SIGNIFICANT

WORDS = {True: "rises", False: "falls"}
CANNOT_TELL = "cannot tell"


def over_trainings(values: xr.DataArray, digits: int = 2) -> pd.DataFrame:
    """Each net's mean over its trainings with the smallest and the largest, as text.

    Args:
        values: (net, training) or (net, training, columns).
        digits: after the point.

    Returns:
        A table of "mean (least to most)", one row a net; "mean" where there is one training, ""
        where there is none.
    """
    columns = [dim for dim in values.dims if dim not in ("net", "training")]
    flat = values.transpose("net", *columns, "training")
    names = flat[columns[0]].values if columns else [values.name]
    cells = flat.values.reshape(flat.sizes["net"], len(names), -1).astype("float64")
    texts = [[_text(cell, digits) for cell in row] for row in cells]
    return pd.DataFrame(texts, flat["net"].values, names)


def trend(
    measures: xr.Dataset,
    along: xr.DataArray,
    within: xr.DataArray | None = None,
    *,
    draws: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether each measure follows a number of the nets' shape, within groups of equal nets.

    Spearman's rank correlation: in each group the values and the numbers are ranked and centred,
    then correlated over all the groups. `p` is two-sided, from permutations of the values within
    the groups, (1 + as extreme) / (1 + draws) (Phipson & Smyth 2010, equation 2).

    Args:
        measures: numbers over (net, training); NaN is left out.
        along: over net, the number of the shape (its depth, its width).
        within: over net, the group; one group of all nets when None.
        draws: permutations.
        seed: makes them.

    Returns:
        One row a measure: `rho` (-1..1), `p`, `nets`, how many trainings have a value, and
        `verdict`, "rises" or "falls" where p is below 0.05 over the number of measures
        (Bonferroni), else "cannot tell". `rho` and `p` are NaN where nothing varies.
    """
    within = xr.zeros_like(along) if within is None else within
    rows = {}
    for name, values in measures.data_vars.items():
        flat = xr.broadcast(values, along, within)
        y, x, group = (part.transpose("net", "training").values.ravel() for part in flat)
        there = np.isfinite(y.astype("float64"))
        rho, p = _permuted(y[there], x[there], group[there], draws, np.random.default_rng(seed))
        is_clear = p < SIGNIFICANT / len(measures.data_vars)
        rows[name] = (rho, p, int(there.sum()), WORDS[rho > 0] if is_clear else CANNOT_TELL)
    return pd.DataFrame.from_dict(rows, "index", columns=["rho", "p", "nets", "verdict"])


def _permuted(y, x, group, draws: int, draw: np.random.Generator) -> tuple[float, float]:
    members = [np.flatnonzero(group == one) for one in np.unique(group)]
    ranked_y, ranked_x = (_ranked(values, members) for values in (y, x))
    size = np.linalg.norm(ranked_y) * np.linalg.norm(ranked_x)
    if size == 0:
        return np.nan, np.nan
    rho = ranked_y @ ranked_x / size
    shuffled = np.tile(ranked_y, (draws, 1))
    for at in members:
        shuffled[:, at] = draw.permuted(shuffled[:, at], axis=1)
    extreme = np.abs(shuffled @ ranked_x / size) >= abs(rho) - 1e-12
    return float(rho), float((1 + extreme.sum()) / (1 + draws))


def _ranked(values, members: list[np.ndarray]) -> np.ndarray:
    ranks = np.zeros(len(values))
    for at in members:
        own = rankdata(values[at])
        ranks[at] = own - own.mean()
    return ranks


def _text(values: np.ndarray, digits: int) -> str:
    there = values[np.isfinite(values)]
    if not there.size:
        return ""
    mean = f"{there.mean():.{digits}f}"
    if there.size == 1:
        return mean
    return f"{mean} ({there.min():.{digits}f} to {there.max():.{digits}f})"
