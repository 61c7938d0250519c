"""A grid in pieces: each a batch of maps, named by the digest of what determines it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import xarray as xr

from helpers import maps, models
from helpers.maps.dataset import FIELDS
from helpers.maps.provenance import NUMERICS
from helpers.maps.spec import MapSpec
from helpers.sweeps import store

OnStep = Callable[[int, np.ndarray], None]


@dataclass(frozen=True)
class Piece:
    """The maps that one file holds.

    Attributes:
        model: the model.
        spec: some units of a grid, with all weights and seeds.
        path: the file, named by the digest of spec, weights and version of the maths.
    """

    model: keras.Model
    spec: MapSpec
    path: Path

    @property
    def count(self) -> int:
        """How many maps it holds."""
        spec = self.spec
        return len(spec.units) * len(spec.tv_weights) * len(spec.lp_weights) * len(spec.seeds)

    def save(self, dataset: xr.Dataset) -> None:
        """Store its maps.

        Raises:
            ValueError: the maps are not those that its file is named for.
            OSError: as `store.save`.
        """
        made = dataset.attrs
        name = MapSpec.from_toml(made["spec"]).digest(made["weight_digest"], made["numerics"])
        if name != self.path.stem:
            raise ValueError(
                "a worker must have this machine's version of helpers, got maps of another spec,"
                f" model or numerics ({made['numerics']!r} there, {NUMERICS!r} here)"
            )
        store.save(dataset, self.path)


def in_pieces(
    model: keras.Model, spec: MapSpec, folder: Path, units_per_piece: int
) -> tuple[Piece, ...]:
    """Cut a grid into pieces of at most `units_per_piece` units, in order."""
    parts = split(model, spec, "unit", units_per_piece)
    return tuple(Piece(model, part, folder / f"{name}.nc") for name, part in parts.items())


def split(model: keras.Model, spec: MapSpec, dim: str, length: int = 1) -> dict[str, MapSpec]:
    """Cut a grid along a dim into parts of at most `length` values: digest -> spec, in order."""
    weights = models.weight_digest(model)
    values: Sequence = getattr(spec, FIELDS[dim])
    parts = (
        replace(spec, **{FIELDS[dim]: values[start : start + length]})
        for start in range(0, len(values), length)
    )
    return {part.digest(weights, NUMERICS): part for part in parts}


def optimize(model: keras.Model, spec: MapSpec, on_step: OnStep | None = None) -> xr.Dataset:
    """All maps of a spec, without a bar and without warnings.

    Raises:
        KeyboardInterrupt: an interrupt came before the last map was done.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no gradient|.* not raised")
        dataset = maps.compute(model, spec, progress=False, on_step=on_step)
    if not bool(dataset["done"].all()):
        raise KeyboardInterrupt
    return dataset
