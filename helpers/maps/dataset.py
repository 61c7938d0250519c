"""The labelled Dataset of maps: its dims, its spec, selection, joining."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from helpers.maps.spec import MapSpec


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
    told = [MapSpec.from_toml(one["spec"]) for one in all_attributes if "spec" in one]
    if told and "spec" not in kept and len({_family(spec) for spec in told}) == 1:
        grid = {
            name: _union(getattr(spec, name) for spec in told)
            for name in ("units", "tv_weights", "lp_weights", "seeds")
        }
        layer = ", ".join(_union([spec.layer] for spec in told))
        kept["spec"] = replace(told[0], layer=layer, **grid).to_toml()
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
    named = [
        maps.assign_coords(unit=[f"{maps.attrs['layer']} {unit}" for unit in maps["unit"].values])
        for maps in layers
    ]
    pooled = xr.concat(named, "unit", combine_attrs=joined_attributes)
    return pooled.assign_attrs(layer=", ".join(maps.attrs["layer"] for maps in layers))


def raised(maps: xr.Dataset) -> xr.DataArray:
    """Whether the search found anything: the map, raw or as shown, drives its unit beyond the seed.

    False where the regularizers won, or there was no gradient to follow: such a map says nothing
    about its unit, whatever it looks like. The map as shown counts because the regularizers may
    leave so little contrast in the raw one that it does not reach the seed input's noise.
    """
    sign = 1 if maps.attrs["sign"] == "happy" else -1
    reached = np.fmax(sign * maps["activation_raw"], sign * maps["activation_display"])
    return reached > sign * maps["activation_seed"]


FIELDS = {"unit": "units", "tv_weight": "tv_weights", "lp_weight": "lp_weights", "seed": "seeds"}
"""Dim of a Dataset -> the spec's name of its values."""


def select(dataset: xr.Dataset, **position: int) -> xr.Dataset:
    """Take one map out of a Dataset, dims of length 1, with the spec that asks for it alone.

    Args:
        dataset: what `happy_maps` returns.
        **position: index along each dim that is longer than 1.
    """
    one = dataset.isel({dim: [position.get(dim, 0)] for dim in GRID})
    values = {field: tuple(one[dim].values.tolist()) for dim, field in FIELDS.items()}
    spec = replace(MapSpec.from_toml(dataset.attrs["spec"]), **values)
    return one.assign_attrs(spec=spec.to_toml())


def is_grid(spec: MapSpec) -> bool:
    """Whether a spec asks for several maps."""
    return any(len(getattr(spec, field)) > 1 for field in FIELDS.values())


def spec_of(dataset: xr.Dataset) -> MapSpec:
    """The spec that a Dataset was made from."""
    return MapSpec.from_toml(dataset.attrs["spec"])


GRID = ("unit", "tv_weight", "lp_weight", "seed")
"""Dims of the grid of maps that a spec asks for, in the order they are stored."""


PICTURE = ("height", "width", "channel")
