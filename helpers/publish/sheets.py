"""Stored maps as sheets of tiles, with the numbers that a page needs to browse them."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from helpers import models
from helpers.maps.dataset import FIELDS, GRID
from helpers.maps.provenance import NUMERICS
from helpers.maps.spec import MapSpec
from helpers.plots.images import raster
from helpers.sweeps import read_study, store

COLUMNS = 16
MAX_SIDE = 128
"""Pixels: a larger side of a map is scaled down to this."""
STUDY = "experiment.toml"
NUMBERS = ("activation_raw", "activation_display", "activation_seed", "gradient_seed")


@dataclass(frozen=True)
class Sheet:
    """Maps of one model that differ in unit, weights and seed only.

    Attributes:
        model: stem of the model's file.
        spec: of the maps, with one value of each dim of the grid: the first map's.
        tiles: each displayed map (height, width, channel) uint8 by (unit, TV, LP, seed), sorted.
        numbers: each map's `NUMBERS`, in the same order.
    """

    model: str
    spec: MapSpec
    tiles: dict[tuple, np.ndarray]
    numbers: dict[tuple, tuple[float, ...]]

    @property
    def title(self) -> str:
        """What is on it, in a few words."""
        units, *_ = (sorted(set(values)) for values in zip(*self.tiles, strict=True))
        what = f"{self.spec.layer}, {self.spec.objective}: {len(units)} units"
        sad = "" if self.spec.sign == "happy" else "SadMaps of "
        bounds = ", bounded pixels" if self.spec.pixels == "bounded" else ""
        how = f"{self.spec.engine}, {self.spec.steps} steps{bounds}"
        return f"{sad}{what}, {len(self.tiles)} maps by {how}"

    def image(self) -> Image.Image:
        """All tiles in rows of `COLUMNS`."""
        tiles = [_small(tile) for tile in self.tiles.values()]
        height, width, *colours = tiles[0].shape
        rows = math.ceil(len(tiles) / COLUMNS)
        blank = np.zeros((rows * COLUMNS - len(tiles), *tiles[0].shape), "uint8")
        grid = np.concatenate([np.stack(tiles), blank]).reshape(rows, COLUMNS, *tiles[0].shape)
        return Image.fromarray(
            grid.swapaxes(1, 2).reshape(rows * height, COLUMNS * width, *colours)
        )

    def description(self, address: str) -> dict:
        """What `browser.js` reads; JSON values. `address` is where the image is."""
        height, width, *_ = _small(next(iter(self.tiles.values()))).shape
        return {
            "model": self.model,
            "title": self.title,
            "name": "SadMap" if self.spec.sign == "sad" else "HappyMap",
            "layer": self.spec.layer,
            "objective": self.spec.objective,
            "sheet": address,
            "columns": COLUMNS,
            "height": height,
            "width": width,
            "fields": FIELDS,
            "maps": [[*key, *map(_plain, self.numbers[key])] for key in self.tiles],
            "toml": self.spec.to_toml(),
        }


def models_of(experiment: Path) -> list[Path]:
    """Files of an experiment's models: those in its folder, and those that its study declares."""
    study = experiment / STUDY
    declared = read_study(study).models.values() if study.is_file() else []
    files = [(experiment / file).resolve() for roles in declared for file in roles.values()]
    return sorted(
        path for path in {*experiment.resolve().glob("*.keras"), *files} if path.is_file()
    )


def stored_sheets(experiment: str | Path) -> Iterator[Sheet]:
    """Read the maps stored for the models of an experiment, a sheet at a time.

    Left out are maps by another version of the maths, maps of models that are not there and, with a
    warning, damaged files.

    Args:
        experiment: folder with `results/` and, in it or declared in its study, the models.
    """
    experiment = Path(experiment)
    stems = {
        models.weight_digest(models.load_model(path)): path.stem for path in models_of(experiment)
    }
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
    for (model, family), datasets in sorted(groups.items(), key=_order):
        cells = {key: cell for dataset in datasets for key, cell in _single_maps(dataset)}
        keys = sorted(cells)
        first = dict(zip(FIELDS.values(), keys[0], strict=True))
        yield Sheet(
            model,
            replace(family, **first),
            {key: cells[key]["display"].values for key in keys},
            {key: tuple(float(cells[key][name]) for name in NUMBERS) for key in keys},
        )


def _family(dataset: xr.Dataset) -> MapSpec:
    spec = MapSpec.from_toml(dataset.attrs["spec"])
    return replace(spec, **{field: (0,) for field in FIELDS.values()})


def _order(group: tuple) -> tuple:
    (model, family), (dataset, *_) = group
    layers = dataset.attrs["model_layers"].split(", ")
    return model, layers.index(family.layer), family.objective, family.to_toml()


def _single_maps(dataset: xr.Dataset) -> Iterator[tuple[tuple, xr.Dataset]]:
    for position in np.ndindex(*(dataset.sizes[dim] for dim in GRID)):
        cell = dataset.isel(dict(zip(GRID, position, strict=True)))
        yield tuple(cell[dim].item() for dim in GRID), cell


def _small(tile: np.ndarray) -> np.ndarray:
    pixels = raster(tile)
    height, width = pixels.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _plain(number: float) -> float | None:
    return float(f"{number:.3g}") if math.isfinite(number) else None
