"""Experiments: grids of maps declared in TOML, run once, stored by digest, resumed.

`python -m helpers.sweep experiments/experiment1/experiment.toml --net photos` runs what is missing.
"""

import argparse
import os
import signal
import sys
import tomllib
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, cached_property
from multiprocessing import get_context
from pathlib import Path

import keras
import xarray as xr
from tqdm.auto import tqdm

from helpers import maps, models, store
from helpers.spec import MapSpec

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
            ValueError: the file lacks a table, or `net` or `size` is not declared in it.
        """
        content = tomllib.loads(Path(self.path).read_text())
        for table in ("nets", "grids", "figures"):
            if table not in content:
                raise ValueError(f"{self.path} needs a table [{table}], got {sorted(content)}")
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

    def statistics(self) -> xr.Dataset:
        """What every unit of the main net does on the pictures it was trained for."""
        main = self.folder / self.declared["nets"][self.net]["main"]
        return store.load(main.with_suffix(".statistics.nc"))

    def spec(self, grid: str) -> MapSpec:
        """The maps that a grid asks for, cut down to this study's size."""
        values = {k: v for k, v in self._grid(grid).items() if k != "model"}
        layer, units = values.pop("layer"), values.pop("units", None)
        size = self.declared.get("sizes", {}).get(self.size, {})
        spec = maps.make_spec(self.model(grid), layer, units, **(values | size.get("set", {})))
        cut = {key: getattr(spec, key)[:most] for key, most in size.get("at_most", {}).items()}
        return MapSpec.from_mapping(_plain(spec) | cut)

    def maps(self, grid: str, *, progress: bool = True) -> xr.Dataset:
        """The maps of a grid: read from the store, searched first where they are not there."""
        pieces = [store.load(piece.path) for piece in self.run((grid,), progress=progress)]
        return xr.concat(pieces, "unit", combine_attrs="drop_conflicts")

    def run(self, grids=None, *, workers: int = 1, progress: bool = True) -> list["Piece"]:
        """Search and store whatever of the grids (None: all) is not stored; return all the pieces.

        Each piece is written when its units are done, so that an interrupt costs at most the ones
        under way. A file that cannot be read is set aside as `*.unreadable` and made again.

        Args:
            grids: names under `[grids]`.
            workers: processes that search side by side; 1 searches in this one.
            progress: show a bar.

        Raises:
            KeyboardInterrupt: the run was interrupted; what is stored stays.
        """
        pieces = [
            Piece(self, grid, spec)
            for grid in grids or self.declared["grids"]
            for spec in self.spec(grid).chunks(UNITS_PER_FILE)
        ]
        missing = [piece for piece in pieces if not _readable(piece.path)]
        total = sum(piece.count for piece in missing)
        with tqdm(total=total, desc=f"{self.net} maps", disable=not (progress and total)) as bar:
            if workers == 1 or len(missing) < 2:
                for piece in missing:
                    bar.update(_search(piece))
            else:
                _search_side_by_side(missing, workers, bar)
        return pieces

    def figure_path(self, name: str) -> Path:
        """Where a declared figure is written.

        Raises:
            ValueError: the experiment declares no figure of this name.
        """
        _check_declared("figure", name, self.declared["figures"])
        folder = self.folder / "figures" / self.net
        if self.size != "full":
            folder = self._results / "figures" / self.net
        return folder / f"{name}.png"

    def figure_title(self, name: str) -> str:
        """Title of a declared figure, with the number it has in the post."""
        _check_declared("figure", name, self.declared["figures"])
        figure = self.declared["figures"][name]
        number = f" ({figure['post']} of the post)" if "post" in figure else ""
        return f"{figure['title']}{number}"

    def _grid(self, grid: str) -> dict:
        _check_declared("grid", grid, self.declared["grids"])
        return self.declared.get("defaults", {}) | self.declared["grids"][grid]

    @property
    def _results(self) -> Path:
        return Path(self.results) if self.results else self.folder / "results"


@dataclass(frozen=True)
class Piece:
    """The maps that one file holds: some units of a grid."""

    study: Study
    grid: str
    spec: MapSpec

    @property
    def path(self) -> Path:
        """The file, named by the digest of spec, weights and version of the maths."""
        digest = self.spec.digest(models.weight_digest(self.study.model(self.grid)), maps.NUMERICS)
        return self.study._results / f"{digest}.nc"

    @property
    def count(self) -> int:
        """How many maps it holds."""
        spec = self.spec
        return len(spec.units) * len(spec.tv_weights) * len(spec.lp_weights) * len(spec.seeds)


@cache
def _load(path: Path) -> keras.Model:
    return models.load_model(path)


def _search(piece: Piece) -> int:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no gradient")
        dataset = maps.compute(piece.study.model(piece.grid), piece.spec, progress=False)
    if not bool(dataset["done"].all()):
        raise KeyboardInterrupt
    store.save(dataset, piece.path)
    return piece.count


def _search_side_by_side(pieces: list[Piece], workers: int, bar: tqdm) -> None:
    """Each worker process on one core; after an interrupt they finish the pieces under way."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    with ProcessPoolExecutor(workers, get_context("spawn"), _ignore_interrupts) as pool:
        try:
            for future in as_completed([pool.submit(_search, piece) for piece in pieces]):
                bar.update(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _plain(spec: MapSpec) -> dict:
    return {name: getattr(spec, name) for name in MapSpec.__dataclass_fields__}


def _readable(path: Path) -> bool:
    try:
        store.load(path)
    except FileNotFoundError:
        return False
    except ValueError:
        path.rename(path.with_suffix(".unreadable"))
        return False
    return True


def _check_declared(what: str, name: str, table: dict) -> None:
    if name not in table:
        raise ValueError(f"{what} must be one of {sorted(table)}, got {name!r}")


def main(arguments: list[str] | None = None) -> int:
    """Run an experiment from the command line; 130 after an interrupt, as shells do."""
    parser = argparse.ArgumentParser(prog="python -m helpers.sweep", description=__doc__)
    parser.add_argument("experiment", type=Path, help="the experiment's TOML file")
    parser.add_argument("--net", nargs="+", required=True, help="names under [nets]")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--size", default="full", help="full, or a name under [sizes]")
    chosen = parser.parse_args(arguments)
    try:
        for net in chosen.net:
            study = Study(chosen.experiment, net, chosen.size)
            pieces = study.run(workers=chosen.workers)
            print(f"{net}: {sum(piece.count for piece in pieces)} maps in {len(pieces)} files")
    except KeyboardInterrupt:
        print("interrupted; what is stored stays, and the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
