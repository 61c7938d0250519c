"""One map as a PNG of its own pixels, from which it can be made again."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from helpers.files import atomic_write
from helpers.maps.dataset import as_grid
from helpers.plots.images import raster
from helpers.plots.map_grids import grid_dims, label, numbers, remark
from helpers.plots.recipe import Recipe, png_text, recipe_of, with_channels


@dataclass(frozen=True)
class MapImage:
    """A displayed map, one pixel of the file per pixel of the map; a signal as lines.

    Attributes:
        pixels: (h, w) gray or (h, w, 3) RGB, uint8.
        alt: the map in words.
        recipe: what it follows from; None where the Dataset does not know.
    """

    pixels: np.ndarray
    alt: str
    recipe: Recipe | None

    def png(self) -> bytes:
        """The PNG file; its text chunks hold the description and the recipe."""
        file = io.BytesIO()
        height, width = self.pixels.shape[:2]
        text = png_text(self.recipe, self.alt, [(0, 0, width, height)])
        Image.fromarray(self.pixels).save(file, "png", optimize=True, pnginfo=text)
        return file.getvalue()

    def save(self, path: str | Path) -> "MapImage":
        """Write the PNG atomically."""
        with atomic_write(path) as part:
            part.write_bytes(self.png())
        return self


def map_image(dataset: xr.Dataset, *, channels: Sequence[int] | None = None) -> MapImage:
    """Take the one map of a Dataset.

    Args:
        dataset: a Dataset of one map.
        channels: as `raster` takes them.

    Raises:
        ValueError: the Dataset holds several maps, or `channels` are not one or three of theirs.
    """
    maps = as_grid(dataset)
    dims = grid_dims(maps)
    if long := {dim: maps.sizes[dim] for dim in dims if maps.sizes[dim] != 1}:
        raise ValueError(f"dataset must hold one map, got {long}: select one value of each")
    cell = maps.isel(dict.fromkeys(dims, 0))
    words = [maps.attrs["layer"], *(label(dim, cell[dim].item()) for dim in dims)]
    alt = ", ".join(part for part in (*words, numbers(cell), remark(cell)) if part)
    recipe = recipe_of(maps, "map_image", **with_channels(channels))
    return MapImage(raster(cell["display"].values, channels), alt, recipe)
