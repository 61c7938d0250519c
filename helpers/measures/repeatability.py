"""Do a unit's maps repeat from seed to seed? More than different units' maps are alike?"""

import numpy as np
import xarray as xr
from scipy.cluster.hierarchy import average, fcluster
from scipy.spatial.distance import squareform

from helpers.maps import dataset
from helpers.maps.dataset import one_weight

VERDICTS = ("stable", "several facets", "not repeatable", "no map")
QUANTILE = 0.95
"""Of the likeness to other units' maps: what one pair in twenty reaches by chance."""
FACET, MOST = 0.25, 0.75
"""Shares of the seeds: what a facet holds at least, and what the facets must explain together."""


def activation_spread(maps: xr.Dataset) -> xr.DataArray:
    """Standard deviation over the seeds of the raw maps' activation, over the size of its mean.

    0: every seed reaches the same activation. NaN where the mean is 0.
    """
    activation = maps["activation_raw"].astype("float64")
    mean = np.abs(activation.mean("seed"))
    return (activation.std("seed") / mean.where(mean > 0)).rename("activation spread")


def repeatability(maps: xr.Dataset, likeness: xr.DataArray) -> xr.Dataset:
    """Judge every unit by how alike its maps are over the seeds, against other units' maps.

    A unit's null is the likeness of its maps to the maps that other units have from other seeds;
    its level is the null's 95 % quantile. The unit's maps are grouped by average linkage (Sokal &
    Michener 1958) as long as the groups are more alike than the level; a group of at least a
    quarter of the maps, and two, is a facet. The verdict is "stable" when one facet holds three
    quarters of the maps, "several facets" when two or more together do, else "not repeatable".
    Maps that found nothing (`kinds.found`) count nowhere; a unit with fewer than two others has
    "no map".

    So a verdict means "alike beyond what different units of this layer are": units that all look
    the same are not repeatable in this sense. Where a unit's maps are no more alike than others,
    one pair in twenty passes the level, and pairs enough for a verdict in about one unit of twenty
    (5 to 8 seeds), or fewer.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight, at least two units and two seeds.
        likeness: from a function of `helpers.measures.similarity`, of these maps.

    Returns:
        Over `unit`: `alike`, the mean over pairs of seeds; `null`, the median of the unit's null;
        `level`; `facets`, how many; `largest` (0..1), the share of the maps in the largest group;
        `verdict`; and `facet` (unit, seed), which facet a map is in, 1 the largest, 0 for none. NaN
        where there are no maps to compare.

    Raises:
        ValueError: fewer than two units or seeds, or more than one TV or LP weight.
    """
    one = one_weight(maps)
    for dim in ("unit", "seed"):
        if one.sizes[dim] < 2:
            raise ValueError(f"maps must have at least two of {dim}, got {one.sizes[dim]}")
    found = dataset.raised(one).transpose("unit", "seed").values
    values = likeness.transpose("unit", "seed", "other_unit", "other_seed").values
    values = np.where(found[:, :, None, None] & found[None, None], values, np.nan)
    rows = [_judge(values[:, :, u], u) for u in range(len(values))]
    facet = np.stack([row.pop("facet") for row in rows])
    columns = {name: ("unit", [row[name] for row in rows]) for name in rows[0]}
    return xr.Dataset(
        columns | {"facet": (("unit", "seed"), facet)},
        {"unit": one["unit"].values, "seed": one["seed"].values},
    )


def _judge(likeness: np.ndarray, unit: int) -> dict:
    """Judge one unit by its maps' likeness (units, seeds, seeds) to all maps."""
    facet = np.zeros(likeness.shape[-1], int)
    others = np.delete(likeness, unit, 0)[:, ~np.eye(len(facet), dtype=bool)]
    others = others[np.isfinite(others)]
    there = np.flatnonzero(np.isfinite(np.diag(likeness[unit])))
    if len(there) < 2 or not others.size:
        nothing = dict.fromkeys(("alike", "null", "level", "largest"), np.nan)
        return nothing | {"facets": 0, "verdict": "no map", "facet": facet}
    level = np.quantile(others, QUANTILE)
    square = likeness[unit][np.ix_(there, there)]
    distances = squareform(np.clip(1 - square, 0, None), checks=False)
    groups = fcluster(average(distances), 1 - level, "distance")
    counts = np.bincount(groups)
    order = np.argsort(-counts, kind="stable")
    facets = [group for group in order if counts[group] >= max(2, FACET * len(there))]
    for number, group in enumerate(facets, 1):
        facet[there[groups == group]] = number
    largest = counts.max() / len(there)
    verdict = "not repeatable"
    if counts[facets].sum() >= MOST * len(there):
        verdict = "stable" if largest >= MOST else "several facets"
    return {
        "alike": square[np.triu_indices(len(there), 1)].mean(),
        "null": np.median(others),
        "level": level,
        "facets": len(facets),
        "largest": largest,
        "verdict": verdict,
        "facet": facet,
    }
