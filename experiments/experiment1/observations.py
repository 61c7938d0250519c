"""The post's statements about its maps, as numbers with thresholds (`observations.toml`).

A measure takes `Evidence` and gives one number, NaN where there is no map of the kind it asks
for. Words (displayed, frame, alone, shows, even, static, pattern, silent) are those of
`observations.toml`.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import xarray as xr
from keras import layers
from scipy.ndimage import gaussian_filter

from helpers import maps as activation_maps
from helpers.maps.dataset import IMAGE
from helpers.maps.happy import start_noise
from helpers.measures import appearance
from helpers.measures import similarity as similarities

FILE = Path(__file__).with_name("observations.toml")
PLANE = ("height", "width")
ALONE = 0.5
"""Similarity to the regularizers' own map from which a map does not show its unit."""
PIXELS = "0..255"
"""What keras-vis's default range takes every model's input for."""


@dataclass(frozen=True)
class Grid:
    """Maps that decide: the first `units` of a layer at every TV weight, LP weight and seed."""

    layer: str
    units: int
    tv_weights: tuple[float, ...]
    lp_weights: tuple[float, ...] = (10,)
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Observation:
    """One statement of the post, and the number that decides whether it holds.

    Attributes:
        post: the statement.
        number: what the measure gives, in words.
        measure: name of a function of this module.
        at_least, at_most: the range in which the statement holds, ends included.
        arguments: what the measure takes beside the evidence.
    """

    post: str
    number: str
    measure: str
    at_least: float = -np.inf
    at_most: float = np.inf
    arguments: Mapping = field(default_factory=dict)

    def holds(self, values: Sequence[float]) -> bool:
        """Whether the mean of the trainings' numbers lies in the range; most of them must exist."""
        known = np.asarray(values, float)[~np.isnan(values)]
        return len(known) > len(values) / 2 and self.at_least <= known.mean() <= self.at_most


@dataclass(frozen=True)
class Evidence:
    """What the measures look at.

    Attributes:
        maps: by grid, as `happy_maps` returns them.
        looks: by grid, from `look`.
        camera_left, camera_right: mean photographs (H, W) of faces turned there, or None.
    """

    maps: Mapping[str, xr.Dataset]
    looks: Mapping[str, xr.Dataset]
    camera_left: np.ndarray | None = None
    camera_right: np.ndarray | None = None


def read(path: str | Path = FILE) -> tuple[dict[str, Grid], dict[str, Observation]]:
    """Read grids and observations, both by name.

    Raises:
        ValueError: a measure that this module does not have, or a grid that is not declared.
    """
    values = tomllib.loads(Path(path).read_text())
    grids = {
        name: Grid(**{k: tuple(v) if isinstance(v, list) else v for k, v in grid.items()})
        for name, grid in values["grids"].items()
    }
    named = {}
    for name, table in values["observations"].items():
        own = {key: table.pop(key) for key in list(table) if key in Observation.__annotations__}
        if own["measure"] not in MEASURES:
            raise ValueError(
                f"measure of {name} must be one of {list(MEASURES)}, got {own['measure']!r}"
            )
        used = [grid for key in ("grids", "filters", "dense") for grid in table.get(key, ())]
        if not set(used) <= set(grids):
            raise ValueError(f"grids of {name} must be of {list(grids)}, got {used}")
        named[name] = Observation(**own, arguments=table)
    return grids, named


def maps_of(
    model: keras.Model,
    grid: Grid,
    input_range: tuple[float, float] = (0, 255),
    *,
    steps: int = 200,
) -> xr.Dataset:
    """The maps of one grid (unit, tv_weight, lp_weight, seed), as keras-vis makes them.

    What the optimizer moves goes into the model as it is; nothing is rescaled.

    Args:
        model: the model.
        grid: which maps.
        input_range: keras-vis's `input_range`: seed inputs have the mean of its ends and 0.05 of
            its width as standard deviation.
        steps: of the optimization.
    """
    shape = model.input_shape[1:]
    starts = [seed_input(shape, seed, input_range) for seed in grid.seeds]
    return activation_maps.happy_maps(
        model,
        grid.layer,
        units=range(grid.units),
        tv_weights=grid.tv_weights,
        lp_weights=grid.lp_weights,
        seeds=grid.seeds,
        steps=steps,
        preprocessing=PIXELS,
        seed_input=np.stack(starts),
        progress=False,
    )


def seed_input(
    shape: tuple[int, int, int], seed: int, input_range: tuple[float, float] = (0, 255)
) -> np.ndarray:
    """Where keras-vis starts with an `input_range`: noise (H, W, C) float32."""
    low, high = input_range
    return low + (high - low) / 255 * start_noise(seed, shape)


def regularizers_alone(
    shape: tuple[int, int, int],
    grid: Grid,
    input_range: tuple[float, float] = (0, 255),
    *,
    steps: int = 200,
) -> xr.Dataset:
    """The maps that the regularizers make alone, at the weights and seeds of a grid.

    They are those of one unit that is 0 for every image (H, W, C), so that nothing else acts on the
    seed's noise.
    """
    alone = Grid("nothing", 1, grid.tv_weights, grid.lp_weights, grid.seeds)
    return maps_of(_nothing(tuple(shape)), alone, input_range, steps=steps)


@lru_cache(maxsize=4)
def _nothing(shape: tuple[int, int, int]) -> keras.Model:
    """A model of one unit that is 0 for every image (H, W, C)."""
    unit = layers.Conv2D(1, 1, kernel_initializer="zeros", activation="relu", name="nothing")
    return keras.Sequential([keras.Input(shape), unit])


def mean_face(images: np.ndarray) -> np.ndarray:
    """Mean (H, W) over images (N, H, W, C) and channels."""
    return images.mean((0, -1))


def look(maps: xr.Dataset, alone: xr.Dataset) -> xr.Dataset:
    """What each map looks like, over (unit, tv_weight, lp_weight, seed).

    Args:
        maps: as `happy_maps` returns them.
        alone: from `regularizers_alone`, at the same weights and seeds.

    Returns:
        `alone` (-1..1, similarity to the regularizers' own map), `edges` (strength, 0..1), `coarse`
        (share of energy at periods above 16 pixels), `period` (pixels), `blue` (pixel values; NaN
        for gray maps), and the booleans `shows`, `even`, `static`, `pattern`, `silent`, and
        `static_displayed`, static with the checkerboard.
    """
    smooth = without_checkerboard(maps["display"])
    inside = appearance.without_frame(smooth)
    reference = without_checkerboard(alone["display"]).isel(unit=0, drop=True)
    to_alone = _similarity_to(smooth, reference)
    shows = to_alone < ALONE
    even = appearance.spatial_share(smooth) < appearance.FLAT
    static = appearance.high_frequency_share(smooth) >= appearance.STATICKY
    displayed = appearance.high_frequency_share(maps["display"])
    return xr.Dataset(
        {
            "alone": to_alone,
            "edges": appearance.orientation(smooth)["edge_strength"],
            "coarse": appearance.coarse_share(smooth),
            "period": mean_period(inside),
            "blue": blueness(inside),
            "shows": shows,
            "even": even,
            "static": static,
            "static_displayed": displayed >= appearance.STATICKY,
            "pattern": shows & ~even & ~static,
            "silent": maps["gradient_seed"] == 0,
        }
    )


def without_checkerboard(images: xr.DataArray) -> xr.DataArray:
    """Images less the checkerboard that keras-vis's constant step leaves, float64.

    `x - c G(c (x - mean x))` with c = (-1)^(i + j) and G a Gaussian of standard deviation 1 pixel:
    what repeats every two pixels both ways, and about that frequency, is taken out.

    Args:
        images: (..., height, width, channel), any unit.
    """
    last = images.transpose(..., *IMAGE)
    values = last.values.astype("float64")
    rows, columns, _ = values.shape[-3:]
    checkerboard = (1 - 2 * (np.add.outer(np.arange(rows), np.arange(columns)) % 2))[..., None]
    varying = values - values.mean((-3, -2), keepdims=True)
    sigma = (0,) * (values.ndim - 3) + (1, 1, 0)
    oscillation = gaussian_filter(varying * checkerboard, sigma, mode="nearest")
    return last.copy(data=values - checkerboard * oscillation).transpose(*images.dims)


def similarity(images: xr.DataArray) -> xr.DataArray:
    """Similarity in place of every two maps (unit, seed, height, width, channel)."""
    return similarities.image_similarity(xr.Dataset({"display": images}), shifts=False)


def mean_period(images: xr.DataArray) -> xr.DataArray:
    """One over the energy-weighted mean radial frequency of images (..., H, W, C), in pixels."""
    planes = images.transpose(..., "channel", *PLANE).values.astype("float64")
    energy = np.abs(np.fft.fft2(planes - planes.mean((-2, -1), keepdims=True))) ** 2
    rows, columns = (np.fft.fftfreq(n) for n in energy.shape[-2:])
    radius = np.hypot(rows[:, None], columns)
    with np.errstate(invalid="ignore"):
        period = energy.sum((-3, -2, -1)) / (energy * radius).sum((-3, -2, -1))
    return images.isel(dict.fromkeys(IMAGE, 0), drop=True).copy(data=period)


def blueness(images: xr.DataArray) -> xr.DataArray:
    """Mean of blue less the larger mean of red and green; NaN for gray images (..., H, W, C)."""
    means = images.astype("float64").mean(PLANE)
    if images.sizes["channel"] != 3:
        return means.isel(channel=0, drop=True) * np.nan
    return means.isel(channel=2, drop=True) - means.isel(channel=[0, 1]).max("channel")


def share_that_shows(
    evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float]
) -> float:
    """Share of the maps of units that are not silent that show the unit, at the best weight."""
    looks = _pool(evidence, grids, tv_weights)
    awake = looks["shows"].where(~looks["silent"].astype(bool))
    return float(awake.mean("map").max())


def dense_less_filters(
    evidence: Evidence,
    filters: Sequence[str],
    dense: Sequence[str],
    tv_weights: Sequence[float],
) -> float:
    """`share_that_shows` of dense units less that of filters."""
    return share_that_shows(evidence, dense, tv_weights) - share_that_shows(
        evidence, filters, tv_weights
    )


def similarity_over_lp(evidence: Evidence, grids: Sequence[str]) -> float:
    """Median similarity of a unit's maps at neighbouring LP weights; silent units are left out."""
    values = []
    for name in grids:
        displayed = evidence.maps[name]["display"].isel(tv_weight=0, seed=0, drop=True)
        matrix = similarity(without_checkerboard(displayed.rename(lp_weight="seed"))).values
        silent = evidence.looks[name]["silent"].isel(seed=0).values
        for unit in np.flatnonzero(~silent):
            values += np.diag(matrix[unit, :, unit], k=1).tolist()
    return _median(values)


def share_static(evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float]) -> float:
    """Share of the units whose map, with the checkerboard, is static at every weight."""
    return float(_pool(evidence, grids, tv_weights)["static_displayed"].all("tv_weight").mean())


def share_even(evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float]) -> float:
    """Share of the units whose map shows the unit and is even at every weight."""
    looks = _pool(evidence, grids, tv_weights)
    return float((looks["shows"] & looks["even"]).all("tv_weight").mean())


def share_of_edges(
    evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float], edge_strength: float
) -> float:
    """Share of the units with a pattern whose edges run one way, at one weight at least."""
    looks = _pool(evidence, grids, tv_weights)
    edges = looks["pattern"] & (looks["edges"] >= edge_strength)
    return float(edges.any("tv_weight").mean())


def share_like_alone(evidence: Evidence, grids: Sequence[str]) -> float:
    """Share of the maps that do not show their unit."""
    return float((~_pool(evidence, grids)["shows"]).mean())


def blue_of_like_alone(evidence: Evidence, grids: Sequence[str]) -> float:
    """Median `blueness` of the maps that do not show their unit."""
    looks = _pool(evidence, grids)
    return float(looks["blue"].where(~looks["shows"]).median())


def coarse_share_of_like_alone(evidence: Evidence, grids: Sequence[str]) -> float:
    """Median share of energy at periods above 16 pixels of the maps that do not show their unit."""
    looks = _pool(evidence, grids)
    return float(looks["coarse"].where(~looks["shows"]).median())


def similarity_over_seeds_of_like_alone(evidence: Evidence, grids: Sequence[str]) -> float:
    """Median similarity over two seeds of the units that neither map shows."""
    chosen = {name: ~evidence.looks[name]["shows"] for name in grids}
    return _similarity_over_seeds(evidence, chosen)


def similarity_over_seeds_of_shown(
    evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float]
) -> float:
    """Median similarity over two seeds of the units that both maps show, none of them silent."""
    chosen = {
        name: (evidence.looks[name]["shows"] & ~evidence.looks[name]["silent"]).sel(
            tv_weight=list(tv_weights)
        )
        for name in grids
    }
    return _similarity_over_seeds(evidence, chosen)


def share_two_dimensional(
    evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float], edge_strength: float
) -> float:
    """Share of the patterns whose edges do not run one way."""
    looks = _pool(evidence, grids, tv_weights)
    return float((looks["edges"] < edge_strength).where(looks["pattern"]).mean())


def share_of_patterns(
    evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float]
) -> float:
    """Share of the units with a pattern at one weight at least."""
    return float(_pool(evidence, grids, tv_weights)["pattern"].any("tv_weight").mean())


def spread_of_periods(
    evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float]
) -> float:
    """90 % over 10 % quantile of the patterns' mean periods."""
    looks = _pool(evidence, grids, tv_weights)
    low, high = looks["period"].where(looks["pattern"]).quantile([0.1, 0.9]).values
    return float(high / low)


def share_of_twins(
    evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float], similarity: float
) -> float:
    """Share of the pairs of one layer's shown units whose maps from one seed are so similar."""
    pairs = []
    for name in grids:
        for weight in tv_weights:
            shows = evidence.looks[name]["shows"].sel(tv_weight=weight).isel(lp_weight=0)
            matrix = _matrix(evidence, name, weight)
            for seed in range(matrix.sizes["seed"]):
                chosen = np.flatnonzero(shows.isel(seed=seed).values)
                square = matrix.isel(seed=seed, other_seed=seed).values[np.ix_(chosen, chosen)]
                pairs += square[np.triu_indices(len(chosen), 1)].tolist()
    return float(np.mean(np.array(pairs) >= similarity)) if pairs else np.nan


def similarity_of_outputs(evidence: Evidence, grids: Sequence[str]) -> float:
    """Similarity of two units' maps from one seed, mean over seeds, at its lowest weight."""
    return float(_of_outputs(evidence, grids[0]).min())


def camera_left(evidence: Evidence, grids: Sequence[str]) -> float:
    """How much more unit 1's map correlates with faces turned to camera left than right."""
    if evidence.camera_left is None:
        return np.nan
    weight = _of_outputs(evidence, grids[0]).idxmin()
    displayed = evidence.maps[grids[0]]["display"].sel(unit=1, tv_weight=weight).isel(lp_weight=0)
    images = appearance.without_frame(without_checkerboard(displayed)).mean("channel")
    faces = [
        appearance.without_frame(xr.DataArray(face, dims=PLANE))
        for face in (evidence.camera_left, evidence.camera_right)
    ]
    left, right = (xr.corr(images.drop_vars(images.coords), face, PLANE).mean() for face in faces)
    return float(left - right)


MEASURES: dict[str, Callable[..., float]] = {
    measure.__name__: measure
    for measure in (
        share_that_shows,
        dense_less_filters,
        similarity_over_lp,
        share_static,
        share_even,
        share_of_edges,
        share_like_alone,
        blue_of_like_alone,
        coarse_share_of_like_alone,
        similarity_over_seeds_of_like_alone,
        share_two_dimensional,
        share_of_patterns,
        spread_of_periods,
        similarity_over_seeds_of_shown,
        share_of_twins,
        similarity_of_outputs,
        camera_left,
    )
}


def evaluate(evidence: Evidence, observations: Mapping[str, Observation]) -> dict[str, float]:
    """The number of every observation, by name."""
    return {
        name: MEASURES[one.measure](evidence, **one.arguments) for name, one in observations.items()
    }


def table(
    numbers: Mapping[str, Sequence[Mapping[str, float]]], observations: Mapping[str, Observation]
) -> pd.DataFrame:
    """Observations x set-ups: the mean number over the trainings, and whether the statement holds.

    Args:
        numbers: by set-up, for each training what `evaluate` returns.
        observations: by name.

    Returns:
        Rows (observation), columns (set-up, "number" or "holds").
    """
    columns = {}
    for setup, trainings in numbers.items():
        values = {name: [training[name] for training in trainings] for name in observations}
        columns[setup, "number"] = {name: _mean(each) for name, each in values.items()}
        columns[setup, "holds"] = {
            name: observations[name].holds(each) for name, each in values.items()
        }
    return pd.DataFrame(columns)


def _pool(
    evidence: Evidence, grids: Sequence[str], tv_weights: Sequence[float] | None = None
) -> xr.Dataset:
    """Looks of several grids over (tv_weight, map): a map is a unit, a seed and a grid."""
    parts = []
    for name in grids:
        looks = evidence.looks[name].isel(lp_weight=0, drop=True)
        if tv_weights is not None:
            looks = looks.sel(tv_weight=list(tv_weights))
        looks = looks.broadcast_like(looks["shows"]).stack(map=("unit", "seed"))
        parts.append(looks.drop_vars(["map", "unit", "seed"]).transpose("tv_weight", "map"))
    return xr.concat(parts, "map")


def _similarity_to(displayed: xr.DataArray, reference: xr.DataArray) -> xr.DataArray:
    """Similarity of each map to the reference at its weights and seed."""
    together = xr.concat([displayed, reference.expand_dims(unit=[-1])], "unit")
    values = xr.zeros_like(displayed.isel(dict.fromkeys(IMAGE, 0), drop=True), float)
    for tv_weight in range(displayed.sizes["tv_weight"]):
        for lp_weight in range(displayed.sizes["lp_weight"]):
            at = {"tv_weight": tv_weight, "lp_weight": lp_weight}
            matrix = similarity(together.isel(at, drop=True)).values[:-1, :, -1]
            values[at] = np.diagonal(matrix, axis1=1, axis2=2)
    return values


def _matrix(evidence: Evidence, grid: str, tv_weight: float) -> xr.DataArray:
    displayed = evidence.maps[grid]["display"].sel(tv_weight=tv_weight, drop=True)
    return similarity(without_checkerboard(displayed.isel(lp_weight=0, drop=True)))


def _similarity_over_seeds(evidence: Evidence, chosen: Mapping[str, xr.DataArray]) -> float:
    values = []
    for name, maps in chosen.items():
        maps = maps.isel(lp_weight=0).all("seed")
        for weight in maps["tv_weight"].values:
            matrix = _matrix(evidence, name, weight).values
            units = np.flatnonzero(maps.sel(tv_weight=weight).values)
            values += [matrix[unit, 0, unit, 1] for unit in units]
    return _median(values)


def _of_outputs(evidence: Evidence, grid: str) -> xr.DataArray:
    weights = evidence.maps[grid]["tv_weight"]
    values = []
    for weight in weights.values:
        matrix = _matrix(evidence, grid, weight).values[0, :, 1]
        values.append(np.diag(matrix).mean())
    return xr.DataArray(values, {"tv_weight": weights.values}, "tv_weight")


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan
