"""Experiments: grids of maps declared in TOML, run once, stored by digest, resumed.

`python -m helpers.sweeps experiments/experiment1/experiment.toml` runs what is not stored yet.
"""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import keras
import xarray as xr

from helpers import maps, models
from helpers.maps.dataset import joined_attributes
from helpers.maps.spec import MapSpec
from helpers.sweeps import store
from helpers.sweeps.runner import Piece, in_pieces, search_missing

UNITS_PER_FILE = 8


@dataclass(frozen=True)
class Study:
    """One experiment on one of its nets, at one of its sizes.

    Attributes:
        path: the experiment's TOML file.
        net: a name under `[nets]`.
        size: "full", or a name under `[sizes]` that cuts the grids down.
        results: folder of the stored maps; beside the TOML file when None.
    """

    path: Path
    net: str
    size: str = "full"
    results: Path | None = None

    @cached_property
    def declared(self) -> dict:
        """The TOML file's content.

        Raises:
            ValueError: as `read_experiment`, or `net` or `size` is not declared in it.
        """
        content = read_experiment(self.path)
        _check_declared("net", self.net, content["nets"])
        _check_declared("size", self.size, {"full": {}} | content.get("sizes", {}))
        return content

    @property
    def folder(self) -> Path:
        """Where the experiment lives: nets, figures and results are beside its TOML file."""
        return Path(self.path).parent

    def model(self, grid: str | None = None) -> keras.Model:
        """The net that a grid is about (its key `model`), or the main one of this net."""
        role = self._grid(grid).get("model", "main") if grid else "main"
        roles = self.declared["nets"][self.net]
        _check_declared("model", role, roles)
        return _load(self.folder / roles[role])

    def spec(self, grid: str) -> MapSpec:
        """The maps that a grid asks for, cut down to this study's size."""
        values = {k: v for k, v in self._grid(grid).items() if k != "model"}
        layer, units = values.pop("layer"), values.pop("units", None)
        size = self.declared.get("sizes", {}).get(self.size, {})
        spec = maps.make_spec(self.model(grid), layer, units, **(values | size.get("set", {})))
        cut = {key: getattr(spec, key)[:most] for key, most in size.get("at_most", {}).items()}
        return MapSpec.from_mapping(_plain(spec) | cut)

    def pieces(self, grids: Sequence[str] | None = None) -> list[Piece]:
        """The pieces that the grids (None: all) are searched and stored in."""
        return [
            piece
            for grid in grids or self.declared["grids"]
            for piece in in_pieces(self.model(grid), self.spec(grid), self._results, UNITS_PER_FILE)
        ]

    def maps(self, grid: str, *, progress: bool = True) -> xr.Dataset:
        """The maps of a grid: read from the store, searched first where they are not there."""
        stored = [store.load(piece.path) for piece in self.run((grid,), progress=progress)]
        return xr.concat(stored, "unit", combine_attrs=joined_attributes)

    def open(self, grid: str) -> xr.Dataset:
        """The stored maps of a grid, opened and not read: values are read where they are used.

        Raises:
            FileNotFoundError: some of its maps are not stored; the message says how many.
            ValueError: a file cannot be read.
        """
        pieces = self.pieces((grid,))
        missing = sum(piece.count for piece in pieces if not piece.path.exists())
        if missing:
            raise FileNotFoundError(
                f"{missing} of {sum(piece.count for piece in pieces)} maps of grid {grid!r} of net"
                f" {self.net!r} are not stored: python -m helpers.sweeps {self.path} searches them"
            )
        return store.open_together([piece.path for piece in pieces], "unit")

    def run(self, grids: Sequence[str] | None = None, **options) -> list[Piece]:
        """Search and store whatever of the grids (None: all) is not stored; return all the pieces.

        `options` and errors are those of `helpers.sweeps.runner.search_missing`.
        """
        pieces = self.pieces(grids)
        search_missing(pieces, **options)
        return pieces

    def figure_path(self, name: str) -> Path:
        """Where a declared figure is written.

        Raises:
            ValueError: the experiment declares no figure of this name.
        """
        self._figure(name)
        folder = self.folder / "figures" / self.net
        if self.size != "full":
            folder = self._results / "figures" / self.net
        return folder / f"{name}.png"

    def figure_title(self, name: str) -> str:
        """Title of a declared figure, with the number it has in the post."""
        figure = self._figure(name)
        number = f" ({figure['post']} of the post)" if "post" in figure else ""
        return f"{figure['title']}{number}"

    def _figure(self, name: str) -> dict:
        figures = self.declared.get("figures", {})
        _check_declared("figure", name, figures)
        return figures[name]

    def _grid(self, grid: str) -> dict:
        _check_declared("grid", grid, self.declared["grids"])
        return self.declared.get("defaults", {}) | self.declared["grids"][grid]

    @property
    def _results(self) -> Path:
        return Path(self.results) if self.results else self.folder / "results"


def read_experiment(path: str | Path) -> dict:
    """Read an experiment's TOML file.

    Raises:
        ValueError: there is no such file, it is no TOML, or it lacks the nets or the grids.
    """
    try:
        content = tomllib.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"experiment must be a TOML file, and cannot be read: {error}") from error
    for table in ("nets", "grids"):
        if table not in content:
            raise ValueError(f"{path} needs a table [{table}], got {sorted(content)}")
    return content


def open_results(
    path: str | Path, net: str | None = None, *, size: str = "full", results: Path | None = None
) -> xr.DataTree:
    """Open the stored maps of a whole experiment, lazily.

    The grids of an experiment differ in layer, weights and seeds, and its nets in picture size: in
    one Dataset most of it would be padding, and uint8 pictures would turn to floats. So it is a
    tree with a Dataset, as `Study.maps` gives, for each net and grid: `tree["photos/conv2d_1"]`.
    What holds for all is asked of the tree at once: `tree.sel(seed=0)`, `tree.mean("seed")`.
    `analysis.pool` makes one Dataset of grids that share weights and seeds.

    Args:
        path: the experiment's TOML file.
        net: a name under `[nets]`, whose grids are then at the top; None for all nets.
        size: as `Study` takes it.
        results: as `Study` takes it.

    Returns:
        A DataTree of Dask arrays, one chunk a file; nothing is read before it is used.

    Raises:
        FileNotFoundError: not everything is stored; the message says what is not.
        ValueError: as `Study.declared`, or a file cannot be read.
    """
    content = read_experiment(path)
    studies = [Study(path, name, size, results) for name in ([net] if net else content["nets"])]
    found = {
        grid if net else f"{study.net}/{grid}": study.open(grid)
        for study in studies
        for grid in study.declared["grids"]
    }
    return xr.DataTree.from_dict(found, name=content.get("title"))


@cache
def _load(path: Path) -> keras.Model:
    return models.load_model(path)


def _plain(spec: MapSpec) -> dict:
    return {name: getattr(spec, name) for name in MapSpec.__dataclass_fields__}


def _check_declared(what: str, name: str, table: dict) -> None:
    if name not in table:
        raise ValueError(f"{what} must be one of {sorted(table)}, got {name!r}")


def main(arguments: list[str] | None = None) -> int:
    """Run an experiment from the command line; 130 after an interrupt, as shells do."""
    parser = argparse.ArgumentParser(prog="python -m helpers.sweeps", description=__doc__)
    parser.add_argument("experiment", type=Path, help="the experiment's TOML file")
    parser.add_argument("--net", nargs="+", help="names under [nets]; all when not given")
    parser.add_argument("--size", default="full", help="full, or a name under [sizes]")
    parser.add_argument("--results", type=Path, help="folder of the stored maps")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=1, help="processes on this machine")
    where.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler's address")
    chosen = parser.parse_args(arguments)
    try:
        nets = chosen.net or read_experiment(chosen.experiment)["nets"]
        pieces = {
            net: Study(chosen.experiment, net, chosen.size, chosen.results).pieces() for net in nets
        }
        every = [piece for part in pieces.values() for piece in part]
        search_missing(every, workers=chosen.workers, scheduler=chosen.scheduler)
    except KeyboardInterrupt:
        print("interrupted; what is stored stays, and the same command goes on", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"{error}; what is stored stays", file=sys.stderr)
        return 1
    for net, part in pieces.items():
        print(f"{net}: {sum(piece.count for piece in part)} maps in {len(part)} files")
    return 0
