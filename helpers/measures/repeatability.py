"""Do a unit's maps repeat from seed to seed, beyond how similar different units' maps are?"""

import numpy as np
import xarray as xr
from scipy.cluster.hierarchy import average, fcluster
from scipy.spatial.distance import squareform

from helpers.maps import dataset
from helpers.maps.dataset import as_grid, one_weight

STABLE, SEVERAL_FACETS, NOT_REPEATABLE = "stable", "several facets", "not repeatable"
NO_MAP = "no map"
"""Too few of the unit's maps were raised to judge it."""
VERDICTS = (STABLE, SEVERAL_FACETS, NOT_REPEATABLE, NO_MAP)
REPEATABLE = (STABLE, SEVERAL_FACETS)
"""Verdicts on units whose maps repeat."""
QUANTILE = 0.95
"""Of the similarity to other units' maps: what one pair in twenty reaches by chance."""
MIN_FACET, MIN_EXPLAINED = 0.25, 0.75
"""Shares of the seeds: what a facet holds at least, and what the facets must explain together."""


def activation_spread(maps: xr.Dataset) -> xr.DataArray:
    """Standard deviation over the seeds of the raw maps' activation, over the size of its mean.

    0: every seed reaches the same activation. NaN where the mean is 0.
    """
    activation = as_grid(maps)["activation_raw"].astype("float64")
    mean = np.abs(activation.mean("seed"))
    return (activation.std("seed") / mean.where(mean > 0)).rename("activation_spread")


def judge_repeatability(maps: xr.Dataset, similarity: xr.DataArray) -> xr.Dataset:
    """Judge every unit by how similar its maps are over the seeds, against other units' maps.

    A unit's null is the similarity of its maps to the maps that other units have from other seeds;
    its level is the null's 95 % quantile. The unit's maps are grouped by average linkage (Sokal &
    Michener 1958) as long as the groups are more similar than the level; a group of at least a
    quarter of the maps, and two, is a facet (as in Nguyen et al. 2016, 1602.03616). The verdict is
    "stable" when one facet holds three quarters of the maps, "several facets" when two or more
    together do, else "not repeatable". Maps that were not raised (`dataset.raised`) count nowhere;
    a unit with fewer than two others has "no map".

    So a verdict means "similar beyond what different units of this layer are": units that all look
    the same are not repeatable in this sense. Where a unit's maps are no more similar than others,
    one pair in twenty passes the level, and pairs enough for a verdict in about one unit of twenty
    (5 to 8 seeds), or fewer.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight, at least two units and two seeds.
        similarity: of these maps, from a function of `measures.similarity`: (unit, seed,
            other_unit, other_seed).

    Returns:
        Over `unit`: `similarity`, the mean over pairs of seeds; `null`, the median of the unit's
        null; `level`; `facets`, how many; `largest_facet` (0..1), the share of the maps in the
        largest group; `verdict`; and `facet` (unit, seed), which facet a map is in, 1 the largest,
        0 for none. NaN where there are no maps to compare.

    Raises:
        ValueError: fewer than two units or seeds, or more than one TV or LP weight.
    """
    maps = one_weight(as_grid(maps))
    for dim in ("unit", "seed"):
        if maps.sizes[dim] < 2:
            raise ValueError(f"maps must have at least two of {dim}, got {maps.sizes[dim]}")
    raised = dataset.raised(maps).transpose("unit", "seed").values
    values = similarity.transpose("unit", "seed", "other_unit", "other_seed").values
    values = np.where(raised[:, :, None, None] & raised[None, None], values, np.nan)
    rows = [_judge_unit(values[:, :, u], u) for u in range(len(values))]
    facet = np.stack([row.pop("facet") for row in rows])
    columns = {name: ("unit", [row[name] for row in rows]) for name in rows[0]}
    return xr.Dataset(
        columns | {"facet": (("unit", "seed"), facet)},
        {"unit": maps["unit"].values, "seed": maps["seed"].values},
    )


def _judge_unit(similarity: np.ndarray, unit: int) -> dict:
    """Judge one unit by its maps' similarity (units, seeds, seeds) to all maps."""
    facet = np.zeros(similarity.shape[-1], int)
    others = np.delete(similarity, unit, 0)[:, ~np.eye(len(facet), dtype=bool)]
    others = others[np.isfinite(others)]
    there = np.flatnonzero(np.isfinite(np.diag(similarity[unit])))
    if len(there) < 2 or not others.size:
        numbers = dict.fromkeys(("similarity", "null", "level", "largest_facet"), np.nan)
        return numbers | {"facets": 0, "verdict": NO_MAP, "facet": facet}
    level = np.quantile(others, QUANTILE)
    square = similarity[unit][np.ix_(there, there)]
    distances = squareform(np.clip(1 - square, 0, None), checks=False)
    groups = fcluster(average(distances), 1 - level, "distance")
    counts = np.bincount(groups)
    order = np.argsort(-counts, kind="stable")
    facets = [group for group in order if counts[group] >= max(2, MIN_FACET * len(there))]
    for number, group in enumerate(facets, 1):
        facet[there[groups == group]] = number
    largest = counts.max() / len(there)
    verdict = NOT_REPEATABLE
    if counts[facets].sum() >= MIN_EXPLAINED * len(there):
        verdict = STABLE if largest >= MIN_EXPLAINED else SEVERAL_FACETS
    return {
        "similarity": square[np.triu_indices(len(there), 1)].mean(),
        "null": np.median(others),
        "level": level,
        "facets": len(facets),
        "largest_facet": largest,
        "verdict": verdict,
        "facet": facet,
    }
