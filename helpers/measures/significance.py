"""Controls: does a measure of maps tell a trained net's units from those of a random one?"""

import numpy as np
import xarray as xr
from scipy.stats import mannwhitneyu

SIGNIFICANT = 0.05


def tell_apart(trained: xr.Dataset, control: xr.Dataset) -> xr.Dataset:
    """How well each measure tells units of a trained net from those of a random net.

    Args:
        trained: measures (numbers, one a unit, other dims pooled) of the trained net's maps.
        control: the same measures of a re-initialised net's maps.

    Returns:
        Over `measure`: `auc` (0..1), the probability that a trained unit's value is above a random
        unit's, ties half: U / (n1 n2), 0.5 tells nothing; `p`, two-sided, of the test of Mann &
        Whitney (1947), which takes the units to be independent; `trained` and `control`, the
        medians; `tells`, whether `p` is below 0.05 over the number of measures (Bonferroni). NaN
        values are left out; a measure without any has NaN.

    Raises:
        ValueError: the two do not hold the same measures.
    """
    if set(trained) != set(control):
        raise ValueError(f"control must hold {sorted(trained)}, got {sorted(control)}")
    rows = [_compare(_values(trained[name]), _values(control[name])) for name in trained]
    columns = dict(zip(("auc", "p", "trained", "control"), np.array(rows).T, strict=True))
    result = xr.Dataset(
        {name: ("measure", values) for name, values in columns.items()},
        {"measure": list(trained)},
    )
    return result.assign(tells=result["p"] < SIGNIFICANT / len(rows))


def _values(measure: xr.DataArray) -> np.ndarray:
    values = measure.values.astype("float64").ravel()
    return values[np.isfinite(values)]


def _compare(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float, float]:
    if not a.size or not b.size:
        return np.nan, np.nan, np.nan, np.nan
    test = mannwhitneyu(a, b)
    return test.statistic / (a.size * b.size), test.pvalue, np.median(a), np.median(b)
