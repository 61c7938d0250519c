"""Experiments: grids of maps declared in TOML, run once, stored by digest, resumed.

`python -m helpers.sweep experiments/experiment1/experiment.toml --net photos` runs what is missing.
"""

import argparse
import sys
import tomllib
from dataclasses import dataclass
from functools import cached_property
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

    @cached_property
    def _models(self) -> dict[str, keras.Model]:
        return {}

    def model(self, grid: str | None = None) -> keras.Model:
        """The net that a grid is about (its key `model`), or the main one of this net."""
        role = self._grid(grid).get("model", "main") if grid else "main"
        roles = self.declared["nets"][self.net]
        _check_declared("model", role, roles)
        if role not in self._models:
            self._models[role] = models.load_model(self.folder / roles[role])
        return self._models[role]

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
        chunks = [path for path, _ in self.run((grid,), progress=progress)]
        return xr.concat(
            [store.load(path) for path in chunks], "unit", combine_attrs="drop_conflicts"
        )

    def run(self, grids=None, *, progress: bool = True) -> list[tuple[Path, MapSpec]]:
        """Search and store whatever of the grids (None: all) is not stored; return all the files.

        Each file is written when its units are done, so that an interrupt costs at most one.
        A file that cannot be read is set aside as `*.unreadable` and made again.

        Raises:
            KeyboardInterrupt: the run was interrupted; what is stored stays.
        """
        pieces = [
            (self._file(grid, piece), piece, grid)
            for grid in grids or self.declared["grids"]
            for piece in self.spec(grid).chunks(UNITS_PER_FILE)
        ]
        missing = [piece for piece in pieces if not _readable(piece[0])]
        total = sum(_count(spec) for _, spec, _ in missing)
        with tqdm(total=total, desc=f"{self.net} maps", disable=not (progress and total)) as bar:
            for path, spec, grid in missing:
                dataset = maps.compute(self.model(grid), spec, progress=False)
                if not bool(dataset["done"].all()):
                    raise KeyboardInterrupt
                store.save(dataset, path)
                bar.update(_count(spec))
        return [(path, spec) for path, spec, _ in pieces]

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

    def _file(self, grid: str, spec: MapSpec) -> Path:
        digest = spec.digest(models.weight_digest(self.model(grid)), maps.NUMERICS)
        return self._results / f"{digest}.nc"


def _plain(spec: MapSpec) -> dict:
    return {name: getattr(spec, name) for name in MapSpec.__dataclass_fields__}


def _count(spec: MapSpec) -> int:
    return len(spec.units) * len(spec.tv_weights) * len(spec.lp_weights) * len(spec.seeds)


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
    parser.add_argument("--size", default="full", help="full, or a name under [sizes]")
    chosen = parser.parse_args(arguments)
    try:
        for net in chosen.net:
            files = Study(chosen.experiment, net, chosen.size).run()
            print(f"{net}: {sum(_count(spec) for _, spec in files)} maps in {len(files)} files")
    except KeyboardInterrupt:
        print("interrupted; what is stored stays, and the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
