"""Do a unit's maps repeat from seed to seed? More than different units' maps are alike?"""

import numpy as np
import xarray as xr
from scipy.cluster.hierarchy import average, fcluster
from scipy.spatial.distance import squareform

from helpers import kinds
from helpers.likeness import one_weight

VERDICTS = ("stable", "several facets", "not repeatable", "no map")
FACET, MOST = 0.25, 0.75
"""Shares of the seeds: what a facet holds at least, and what the facets must explain together."""
FALSE_ALARMS, DRAWS = 0.05, 400
"""Share of the pairs, and of the groups drawn, of different units' maps that may pass the level."""


def activation_spread(maps: xr.Dataset) -> xr.DataArray:
    """Standard deviation over the seeds of the raw maps' activation, over the size of its mean.

    0: every seed reaches the same activation. NaN where the mean is 0.
    """
    activation = maps["activation_raw"].astype("float64")
    mean = np.abs(activation.mean("seed"))
    return (activation.std("seed") / mean.where(mean > 0)).rename("activation spread")


def repeatability(maps: xr.Dataset, likeness: xr.DataArray, *, seed: int = 0) -> xr.Dataset:
    """Judge every unit by how alike its maps are over the seeds, against different units' maps.

    A unit's maps are grouped by average linkage (Sokal & Michener 1958) as long as the groups are
    more alike than the level; a group of at least a quarter of the maps, and two, is a facet. The
    verdict is "stable" when one facet holds three quarters of the maps, "several facets" when two
    or more together do, else "not repeatable". Maps that found nothing (`kinds.found`) count
    nowhere; a unit with fewer than two others has "no map".

    The null is the likeness of maps of two different units from two different seeds. The level is
    its 95 % quantile, raised where needed until the rule is wrong in at most one case of twenty:
    400 groups of as many maps, each of another unit and another seed, are drawn, and 5 % of them
    may pass. So a verdict means "alike beyond what different units of this layer are", and a layer
    whose units all look the same has no stable ones. With fewer units than seeds the drawn groups
    are smaller than the judged.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight, at least two units and two seeds.
        likeness: from a function of `helpers.likeness`, of these maps.
        seed: draws the groups.

    Returns:
        Over `unit`: `alike`, the mean over pairs of seeds; `percentile` (0..100), the share of the
        null below it; `facets`, how many; `largest` (0..1), the share of the maps in the largest
        group; `verdict`; and `facet` (unit, seed), which facet a map is in, 1 the largest, 0 for
        none. Attributes: `level`, and `null`, the median of the null; NaN where no two units have
        maps.

    Raises:
        ValueError: fewer than two units or seeds, or more than one TV or LP weight.
    """
    one = one_weight(maps)
    for dim in ("unit", "seed"):
        if one.sizes[dim] < 2:
            raise ValueError(f"maps must have at least two of {dim}, got {one.sizes[dim]}")
    found = kinds.found(one).transpose("unit", "seed").values
    values = likeness.transpose("unit", "seed", "other_unit", "other_seed").values
    values = np.where(found[:, :, None, None] & found[None, None], values, np.nan)
    unit, seed_number = np.indices(found.shape)
    different = (unit[..., None, None] != unit) & (seed_number[..., None, None] != seed_number)
    null = values[different]
    null = null[np.isfinite(null)]
    level = _level(values, null, np.random.default_rng(seed))

    rows = [_judge(values[u, :, u], level) for u in range(len(values))]
    alike = np.array([row[0] for row in rows])
    below = [100 * (null < a).mean() if null.size and np.isfinite(a) else np.nan for a in alike]
    return xr.Dataset(
        {
            "alike": ("unit", alike),
            "percentile": ("unit", below),
            "facets": ("unit", [row[1].max() for row in rows]),
            "largest": ("unit", [row[2] for row in rows]),
            "verdict": ("unit", [row[3] for row in rows]),
            "facet": (("unit", "seed"), [row[1] for row in rows]),
        },
        {"unit": one["unit"].values, "seed": one["seed"].values},
        {"level": level, "null": float(np.median(null)) if null.size else np.nan},
    )


def _judge(square: np.ndarray, level: float) -> tuple[float, np.ndarray, float, str]:
    """Mean likeness, facet of each seed, share in the largest group and verdict of (S, S)."""
    facet = np.zeros(len(square), int)
    there = np.flatnonzero(np.isfinite(np.diag(square)))
    if len(there) < 2:
        return np.nan, facet, np.nan, "no map"
    square = square[np.ix_(there, there)]
    alike = square[np.triu_indices(len(there), 1)].mean()
    groups = fcluster(_tree(square), 1 - level, "distance")
    counts = np.bincount(groups)
    order = np.argsort(-counts, kind="stable")
    facets = [group for group in order if counts[group] >= _least(len(there))]
    for number, group in enumerate(facets, 1):
        facet[there[groups == group]] = number
    held = counts[facets].sum() / len(there)
    largest = counts.max() / len(there)
    if held < MOST:
        return alike, facet, largest, "not repeatable"
    return alike, facet, largest, "stable" if largest >= MOST else "several facets"


def _level(values: np.ndarray, null: np.ndarray, draw: np.random.Generator) -> float:
    if not null.size:
        return np.nan
    there = np.argwhere(np.isfinite(np.einsum("usus->us", values)))
    reached = []
    for _ in range(DRAWS):
        group, units, seeds = [], set(), set()
        for u, s in draw.permutation(there):
            if u not in units and s not in seeds:
                group.append((u, s))
                units.add(u)
                seeds.add(s)
        u, s = np.array(group, int).reshape(-1, 2).T
        if len(u) >= 2:
            reached.append(_reached(values[u, s][:, u, s]))
    return float(max(np.quantile(sample, 1 - FALSE_ALARMS) for sample in (null, reached)))


def _reached(square: np.ndarray) -> float:
    """The highest level at which the facets of (n, n) hold what a verdict needs."""
    tree = _tree(square)
    for height in tree[:, 2]:
        counts = np.bincount(fcluster(tree, height, "distance"))
        if counts[counts >= _least(len(square))].sum() >= MOST * len(square):
            break
    return 1 - height


def _tree(square: np.ndarray) -> np.ndarray:
    return average(squareform(np.clip(1 - square, 0, None), checks=False))


def _least(count: int) -> float:
    return max(2, FACET * count)
