"""Maps with every dim of their grid."""

import xarray as xr

from helpers.maps.dataset import GRID

PER_SEED = {"activation_seed", "gradient_seed"}
"""Variables that follow from unit and seed alone."""


def as_grid(maps: xr.Dataset) -> xr.Dataset:
    """The maps with every dim of their grid: one that a scalar selection took is back at length 1.

    Args:
        maps: what `happy_maps` returns, or a selection of it such as `maps.sel(seed=0)`.
    """
    lost = [dim for dim in GRID if dim in maps.coords and dim not in maps.dims]

    def whole(name: str, values: xr.DataArray) -> xr.DataArray:
        own = ("unit", "seed") if name in PER_SEED else GRID
        values = values.expand_dims([dim for dim in own if dim in lost])
        return values.transpose(*[dim for dim in GRID if dim in values.dims], ...)

    arrays = {name: whole(name, values) for name, values in maps.data_vars.items()}
    return xr.Dataset(arrays, attrs=maps.attrs)
