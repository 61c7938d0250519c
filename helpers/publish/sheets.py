"""Stored maps as sheets of tiles, with the numbers that a page needs to browse them."""

import math
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from helpers import models
from helpers.maps.dataset import GRID
from helpers.maps.provenance import NUMERICS
from helpers.maps.spec import MapSpec
from helpers.sweeps import store

COLUMNS = 16
MOST_PIXELS = 128
"""A larger side of a map is scaled down to this."""
NUMBERS = ("activation_raw", "activation_display", "activation_seed", "gradient_seed")


@dataclass(frozen=True)
class Sheet:
    """Maps of one net that differ in unit, weights and seed only.

    Attributes:
        net: stem of the net's file.
        spec: of the maps, with one value of each dim of the grid: the first map's.
        tiles: each map's picture (height, width, channel) uint8 by (unit, TV, LP, seed), sorted.
        numbers: each map's `NUMBERS`, in the same order.
    """

    net: str
    spec: MapSpec
    tiles: dict[tuple, np.ndarray]
    numbers: dict[tuple, tuple[float, ...]]

    @property
    def title(self) -> str:
        """What is on it, in a few words."""
        units, *_ = (sorted(set(values)) for values in zip(*self.tiles, strict=True))
        what = f"{self.spec.layer}, {self.spec.objective}: {len(units)} units"
        kind = "" if self.spec.sign == "happy" else "SadMaps of "
        bounds = ", bounded pixels" if self.spec.pixels == "bounded" else ""
        how = f"{self.spec.engine}, {self.spec.steps} steps{bounds}"
        return f"{kind}{what}, {len(self.tiles)} maps by {how}"

    def picture(self) -> Image.Image:
        """All tiles in rows of `COLUMNS`."""
        tiles = [_small(tile) for tile in self.tiles.values()]
        height, width, channels = tiles[0].shape
        rows = math.ceil(len(tiles) / COLUMNS)
        blank = np.zeros((rows * COLUMNS - len(tiles), height, width, channels), "uint8")
        grid = np.concatenate([np.stack(tiles), blank]).reshape(rows, COLUMNS, *tiles[0].shape)
        whole = grid.swapaxes(1, 2).reshape(rows * height, COLUMNS * width, channels)
        return Image.fromarray(whole[..., 0] if channels == 1 else whole)

    def description(self, address: str) -> dict:
        """What `browser.js` reads; JSON values. `address` is where the picture is."""
        height, width, _ = _small(next(iter(self.tiles.values()))).shape
        return {
            "net": self.net,
            "title": self.title,
            "kind": "SadMap" if self.spec.sign == "sad" else "HappyMap",
            "layer": self.spec.layer,
            "objective": self.spec.objective,
            "sheet": address,
            "columns": COLUMNS,
            "height": height,
            "width": width,
            "maps": [[*key, *map(_plain, self.numbers[key])] for key in self.tiles],
            "toml": self.spec.to_toml(),
        }


def nets(experiment: Path) -> list[Path]:
    """Files of the nets of an experiment: those in its folder, and those that its TOML declares."""
    tables = [
        table
        for toml in experiment.glob("*.toml")
        for table in tomllib.loads(toml.read_text()).get("nets", {}).values()
    ]
    files = [file for table in tables for file in table.values() if isinstance(file, str)]
    declared = [(experiment / file).resolve() for file in files]
    found = {*experiment.resolve().glob("*.keras"), *declared}
    return sorted(path for path in found if path.is_file())


def stored_sheets(experiment: str | Path) -> Iterator[Sheet]:
    """Read the maps stored for the nets in an experiment's folder, a sheet at a time.

    Maps by another version of the maths, maps of nets that are not there and damaged files (with a
    warning) are left out.

    Args:
        experiment: folder with `results/` and, in it or declared in its TOML, the nets.
    """
    experiment = Path(experiment)
    stems = {models.weight_digest(models.load_model(path)): path.stem for path in nets(experiment)}
    groups: dict[tuple[str, MapSpec], list[xr.Dataset]] = {}
    for path in sorted((experiment / "results").glob("*.nc")):
        try:
            dataset = store.load(path)
        except ValueError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            continue
        digest = dataset.attrs["weight_digest"]
        if digest in stems and dataset.attrs["numerics"] == NUMERICS:
            groups.setdefault((stems[digest], _family(dataset)), []).append(dataset)
    for (net, family), datasets in sorted(groups.items(), key=_order):
        found = {key: one for dataset in datasets for key, one in _single_maps(dataset)}
        keys = sorted(found)
        first = dict(zip(("units", "tv_weights", "lp_weights", "seeds"), keys[0], strict=True))
        yield Sheet(
            net,
            replace(family, **first),
            {key: found[key]["display"].values for key in keys},
            {key: tuple(float(found[key][name]) for name in NUMBERS) for key in keys},
        )


def _family(dataset: xr.Dataset) -> MapSpec:
    spec = MapSpec.from_toml(dataset.attrs["spec"])
    return replace(spec, units=(0,), tv_weights=(0,), lp_weights=(0,), seeds=(0,))


def _order(group: tuple) -> tuple:
    (net, family), (dataset, *_) = group
    layers = dataset.attrs["model_layers"].split(", ")
    return net, layers.index(family.layer), family.objective, family.to_toml()


def _single_maps(dataset: xr.Dataset) -> Iterator[tuple[tuple, xr.Dataset]]:
    for position in np.ndindex(*(dataset.sizes[dim] for dim in GRID)):
        one = dataset.isel(dict(zip(GRID, position, strict=True)))
        yield tuple(one[dim].item() for dim in GRID), one


def _small(tile: np.ndarray) -> np.ndarray:
    height, width, channels = tile.shape
    scale = MOST_PIXELS / max(height, width)
    if scale >= 1:
        return tile
    image = Image.fromarray(tile[..., 0] if channels == 1 else tile)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(image.resize(size, Image.Resampling.BOX)).reshape(size[1], size[0], channels)


def _plain(number: float) -> float | None:
    return float(f"{number:.3g}") if math.isfinite(number) else None
