"""The labelled Dataset of maps, the one module that knows its dims: selection, joining."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import dask.array  # noqa: F401 - with the first Dataset xarray would import it, 0.15 s
import numpy as np
import xarray as xr

from helpers.maps.spec import MapSpec

GRID = ("unit", "tv_weight", "lp_weight", "seed")
"""Dims of the grid of maps that `happy_maps` makes, in the order they are stored."""
AXES = ("objective", "parametrization", "transforms", "regularizers", "optimizer", "seed")
"""Dims of the grid of maps that `maximize` makes, in the order they are stored."""
IMAGE = ("height", "width", "channel")
"""Dims of an image; of a signal and of a volume see `image_dims`."""
LOSS_PARTS = ("activation", "lp_norm", "tv")
"""Parts of the loss of `happy_maps`."""
PER_SEED = {"activation_seed", "gradient_seed"}
"""Variables of `happy_maps` that follow from unit and seed alone."""
FIELDS = {"unit": "units", "tv_weight": "tv_weights", "lp_weight": "lp_weights", "seed": "seeds"}
"""Dim of a Dataset -> the spec's name of its values."""


@dataclass(frozen=True)
class ActivationMap:
    """One map of one unit, as an engine of `happy_maps` gives it.

    Attributes:
        raw: (H, W, C) float32, the image after the step whose loss was the lowest.
        display: (H, W, C) uint8, what is shown of it.
        loss: (steps,) float32, the weighted sum before each step.
        parts: (steps,) float32 each, weighted: "activation" (minus the unit's mean), "lp_norm",
            "tv"; zeros where the weight is 0.
    """

    raw: np.ndarray
    display: np.ndarray
    loss: np.ndarray
    parts: dict[str, np.ndarray]


def image_dims(shape: Sequence[int]) -> tuple[str, ...]:
    """Dims of one map by its rank: of an image, a signal (T, C) or a volume (D, H, W, C).

    Raises:
        ValueError: the shape has another rank.
    """
    dims = {2: ("time", "channel"), 3: IMAGE, 4: ("depth", *IMAGE)}
    if len(shape) not in dims:
        raise ValueError(f"shape of a map must be (H, W, C), (T, C) or (D, H, W, C), got {shape}")
    return dims[len(shape)]


def grid_dims(maps: xr.Dataset) -> tuple[str, ...]:
    """Dims of the grid that the maps come from, also those that a selection has taken away."""
    return AXES if "objective" in maps.coords else GRID


def as_grid(maps: xr.Dataset) -> xr.Dataset:
    """The maps with every dim of their grid, as they were made; `maps.sel(seed=0)` becomes whole.

    A dim that a selection took (its coordinate is a scalar) comes back with length 1, and all dims
    are in the order in which they are stored.
    """
    grid = grid_dims(maps)
    lost = [dim for dim in grid if dim in maps.coords and maps[dim].ndim == 0]

    def whole(name: str, values: xr.DataArray) -> xr.DataArray:
        own = ("unit", "seed") if grid == GRID and name in PER_SEED else grid
        values = values.expand_dims([dim for dim in own if dim in lost])
        return values.transpose(*[dim for dim in grid if dim in values.dims], ...)

    arrays = {name: whole(name, values) for name, values in maps.data_vars.items()}
    return xr.Dataset(arrays, attrs=maps.attrs)


def empty(
    grid: dict[str, Sequence], shape: tuple[int, ...], steps: int, parts: Sequence[str]
) -> xr.Dataset:
    """A Dataset of maps that are not made yet: images and losses NaN, `done` False.

    Args:
        grid: labels along each dim of the grid.
        shape: of a map, (H, W, C), (T, C) or (D, H, W, C).
        steps: gradient steps.
        parts: parts of the loss.
    """
    dims, sizes = tuple(grid), tuple(len(labels) for labels in grid.values())
    image = image_dims(shape)

    def nan(*size: int) -> np.ndarray:
        return np.full((*sizes, *size), np.nan, "float32")

    variables = {
        "raw": ((*dims, *image), nan(*shape)),
        "display": ((*dims, *image), np.zeros((*sizes, *shape), "uint8")),
        "activation_raw": (dims, nan()),
        "activation_display": (dims, nan()),
        "done": (dims, np.zeros(sizes, bool)),
        "loss": ((*dims, "step"), nan(steps)),
        **{f"loss_{part}": ((*dims, "step"), nan(steps)) for part in parts},
    }
    return xr.Dataset(variables, {**grid, "step": np.arange(steps)})


def put(maps: xr.Dataset, at: tuple[int, ...], image, display, loss, parts: dict) -> None:
    """Put one map at its place in the grid; parts of the loss that it lacks are 0."""
    maps["raw"].values[at] = image
    maps["display"].values[at] = display
    maps["loss"].values[at] = loss
    for name in [name for name in maps.data_vars if name.startswith("loss_")]:
        maps[name].values[at] = parts.get(name.removeprefix("loss_"), 0)
    maps["done"].values[at] = True


def joined_attributes(all_attributes: Sequence[dict], context=None) -> dict:
    """Attributes of Datasets that are joined, for `combine_attrs` of xarray.

    What they agree on stays. Specs that differ in layer and grid only become one that names all
    layers and holds all values; other differences are dropped.
    """
    kept: dict = {}
    for attributes in all_attributes:
        kept = attributes | kept
    for attributes in all_attributes:
        for name in [n for n in kept if n in attributes]:
            if not np.array_equal(kept[name], attributes[name]):
                del kept[name]
    specs = [MapSpec.from_toml(one["spec"]) for one in all_attributes if "spec" in one]
    if specs and "spec" not in kept and len({_family(spec) for spec in specs}) == 1:
        grid = {field: _union(getattr(spec, field) for spec in specs) for field in FIELDS.values()}
        layer = ", ".join(_union([spec.layer] for spec in specs))
        kept["spec"] = replace(specs[0], layer=layer, **grid).to_toml()
    return kept


def _family(spec: MapSpec) -> MapSpec:
    return replace(spec, layer="", units=0, tv_weights=0, lp_weights=0, seeds=0)


def _union(lists) -> list:
    return list(dict.fromkeys(value for values in lists for value in values))


def one_weight(maps: xr.Dataset) -> xr.Dataset:
    """The maps without their weights' dims.

    Raises:
        ValueError: more than one TV or LP weight.
    """
    for dim in ("tv_weight", "lp_weight"):
        if maps.sizes.get(dim, 1) != 1:
            raise ValueError(f"maps must have one {dim}, got {maps[dim].values.tolist()}")
    return maps.squeeze([dim for dim in ("tv_weight", "lp_weight") if dim in maps.dims])


def pool(layers: Sequence[xr.Dataset]) -> xr.Dataset:
    """The maps of several layers as one Dataset, whose `unit` labels read "conv2d_1 5"."""
    layers = [as_grid(maps) for maps in layers]
    named = [
        maps.assign_coords(unit=[f"{maps.attrs['layer']} {unit}" for unit in maps["unit"].values])
        for maps in layers
    ]
    pooled = xr.concat(named, "unit", combine_attrs=joined_attributes)
    return pooled.assign_attrs(layer=", ".join(maps.attrs["layer"] for maps in layers))


def raised(maps: xr.Dataset) -> xr.DataArray:
    """Whether the optimization raised the objective: the map, raw or displayed, beats its seed.

    For a SadMap: whether it lowered it. False where the regularizers won, or there was no gradient
    to follow: such a map says nothing about its unit, whatever it looks like. The displayed map
    counts because the regularizers may leave so little contrast in the raw one that it does not
    reach the seed input's noise.
    """
    sign = 1 if maps.attrs["sign"] == "happy" else -1
    reached = np.fmax(sign * maps["activation_raw"], sign * maps["activation_display"])
    return reached > sign * maps["activation_seed"]


def select(maps: xr.Dataset, **position: int) -> xr.Dataset:
    """Take one map out of a Dataset, dims of length 1, with the spec that asks for it alone.

    Args:
        maps: what `happy_maps` returns, or a selection of it.
        **position: index along each dim that is longer than 1.
    """
    one = as_grid(maps).isel({dim: [position.get(dim, 0)] for dim in GRID})
    values = {field: tuple(one[dim].values.tolist()) for dim, field in FIELDS.items()}
    spec = replace(MapSpec.from_toml(maps.attrs["spec"]), **values)
    return one.assign_attrs(spec=spec.to_toml())


def is_grid(spec: MapSpec) -> bool:
    """Whether a spec asks for several maps."""
    return any(len(getattr(spec, field)) > 1 for field in FIELDS.values())


def spec_of(maps: xr.Dataset) -> MapSpec:
    """The spec that a Dataset was made from."""
    return MapSpec.from_toml(maps.attrs["spec"])
