"""Do numbers of models rise or fall with their shape, beyond what training runs differ by?"""

import numpy as np
import pandas as pd
import xarray as xr

from helpers.measures import significance


def over_runs(values: xr.DataArray, digits: int = 2) -> pd.DataFrame:
    """Each model's mean over its training runs with the smallest and the largest, as text.

    Args:
        values: (model, run) or (model, run, columns).
        digits: after the point.

    Returns:
        A table of "mean (smallest to largest)" per model; "mean" where there is one run, "" where
        there is none.
    """
    columns = [dim for dim in values.dims if dim not in ("model", "run")]
    flat = values.transpose("model", *columns, "run")
    names = flat[columns[0]].values if columns else [values.name]
    cells = flat.values.reshape(flat.sizes["model"], len(names), -1).astype("float64")
    texts = [[_text(cell, digits) for cell in row] for row in cells]
    return pd.DataFrame(texts, flat["model"].values, names)


def trend(
    measures: xr.Dataset,
    along: xr.DataArray,
    within: xr.DataArray | None = None,
    *,
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether each measure follows a number of the models' shape, by `significance.trend`.

    Args:
        measures: numbers over (model, run); NaN is left out.
        along: over model, the number of the shape (its depth, its width).
        within: over model, the group of equal models; one group of all when None.
        permutations: how many.
        seed: makes them.

    Returns:
        Per measure: `rho` (-1..1), `p`, `runs`, how many runs have a value, and `verdict`,
        "rises", "falls" or "inconclusive". `rho` and `p` are NaN where nothing varies.
    """
    within = xr.zeros_like(along) if within is None else within
    *values, along, within = xr.broadcast(*measures.data_vars.values(), along, within)
    *values, along, within = (
        part.transpose("model", "run").values.ravel() for part in (*values, along, within)
    )
    named = dict(zip(measures.data_vars, values, strict=True))
    table = significance.trend(named, along, within, permutations=permutations, seed=seed)
    return table.rename(columns={"values": "runs"})


def _text(values: np.ndarray, digits: int) -> str:
    there = values[np.isfinite(values)]
    if not there.size:
        return ""
    mean = f"{there.mean():.{digits}f}"
    if there.size == 1:
        return mean
    return f"{mean} ({there.min():.{digits}f} to {there.max():.{digits}f})"
