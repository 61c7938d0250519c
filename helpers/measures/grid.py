"""Maps with all the dims of their grid."""

import xarray as xr

from helpers.maps.dataset import GRID


def as_grid(maps: xr.Dataset) -> xr.Dataset:
    """The maps with the grid's dims, those selected by a scalar back at length 1.

    Args:
        maps: what `happy_maps` returns, or a selection of it such as `maps.sel(seed=0)`.
    """
    return maps.expand_dims([dim for dim in GRID if dim not in maps.dims and dim in maps.coords])
