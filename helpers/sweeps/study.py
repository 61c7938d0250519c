"""Studies: grids of maps declared in TOML, optimized once, stored by digest, resumed.

`python -m helpers.sweeps experiments/experiment1/experiment.toml` makes what is not stored yet.
"""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

import keras
import xarray as xr

from helpers import maps, models
from helpers.maps.dataset import joined_attributes
from helpers.maps.spec import MapSpec
from helpers.sweeps import store
from helpers.sweeps.pieces import Piece, in_pieces
from helpers.sweeps.runner import optimize_missing

UNITS_PER_FILE = 8
FULL = "full"
OUTPUT = "output"
"""Folder, beside a TOML file or a notebook, of the figures and pages that a run makes."""


@dataclass(frozen=True)
class Declaration:
    """A study's TOML file, table by table.

    Attributes:
        models: name -> role -> file beside the TOML file, or a table with the keys `file` and
            `rescaling`; without rescaling the model is taken without the Rescaling that it begins
            with (`models.without_rescaling`). Every model has the role "main". The table may also
            be called `nets`.
        grids: name -> keys of a `MapSpec`, and `model`, the role of the model it is about.
        title: of the study.
        defaults: keys that every grid has unless it says otherwise.
        figures: name -> `title`, and `post`, the number it has in the post.
        sizes: name -> `at_most` (lists cut to a length) and `set` (keys replaced).
    """

    models: dict[str, dict[str, str | dict]]
    grids: dict[str, dict]
    title: str = ""
    defaults: dict = field(default_factory=dict)
    figures: dict[str, dict] = field(default_factory=dict)
    sizes: dict[str, dict] = field(default_factory=dict)


def read_study(path: str | Path) -> Declaration:
    """Read a study's TOML file.

    Raises:
        ValueError: there is no such file, it is no TOML, a table is missing or unknown, a model
            has no "main", or a role is no file.
    """
    try:
        content = tomllib.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"study must be a TOML file, and cannot be read: {error}") from error
    if "nets" in content:
        content.setdefault("models", content.pop("nets"))
    legal = list(Declaration.__dataclass_fields__)
    for table in ("models", "grids"):
        if table not in content:
            raise ValueError(f"{path} needs a table [{table}], got {sorted(content)}")
    if unknown := sorted(set(content) - set(legal)):
        raise ValueError(f"{path}: tables must be of {legal}, got {unknown}")
    for name, roles in content["models"].items():
        if "main" not in roles:
            raise ValueError(f"{path}: [models.{name}] needs the key 'main', got {sorted(roles)}")
        for role, source in roles.items():
            if not isinstance(source, str) and set(source) != {"file", "rescaling"}:
                raise ValueError(
                    f"{path}: {role} of [models.{name}] must be a file, or a table of the keys"
                    f" 'file' and 'rescaling', got {source}"
                )
    return Declaration(**content)


@dataclass(frozen=True)
class Study:
    """One study on one of its models, at one of its sizes.

    Attributes:
        path: the study's TOML file.
        name: of a model in its table `[models]`.
        size: "full", or a name under `[sizes]` that cuts the grids down.
        results: folder of the stored maps; `results` beside the TOML file when None.
    """

    path: Path
    name: str
    size: str = FULL
    results: Path | None = None

    @cached_property
    def declared(self) -> Declaration:
        """The TOML file's content.

        Raises:
            ValueError: as `read_study`, or `name` or `size` is not declared in it.
        """
        content = read_study(self.path)
        _check_declared("name", self.name, content.models)
        _check_declared("size", self.size, {FULL: {}} | content.sizes)
        return content

    @property
    def folder(self) -> Path:
        """Where the study lives: models, figures and results are beside its TOML file."""
        return Path(self.path).parent

    def model(self, grid: str | None = None) -> keras.Model:
        """The model that a grid is about (its key `model` names the role), or the main one."""
        role = self._grid(grid).get("model", "main") if grid else "main"
        roles = self.declared.models[self.name]
        _check_declared("model", role, roles)
        source = roles[role]
        if isinstance(source, str):
            return _load(self.folder / source)
        return _load(self.folder / source["file"], source["rescaling"])

    def spec(self, grid: str) -> MapSpec:
        """The maps that a grid asks for, cut down to this study's size."""
        values = {k: v for k, v in self._grid(grid).items() if k != "model"}
        layer, units = values.pop("layer"), values.pop("units", None)
        size = self.declared.sizes.get(self.size, {})
        spec = maps.make_spec(self.model(grid), layer, units, **(values | size.get("set", {})))
        cut = {key: getattr(spec, key)[:most] for key, most in size.get("at_most", {}).items()}
        return replace(spec, **cut)

    def pieces(self, grids: Sequence[str] | None = None) -> list[Piece]:
        """The pieces that the grids (None: all) are optimized and stored in."""
        return [
            piece
            for grid in grids or self.declared.grids
            for piece in in_pieces(self.model(grid), self.spec(grid), self._results, UNITS_PER_FILE)
        ]

    def maps(self, grid: str, *, progress: bool = True) -> xr.Dataset:
        """The maps of a grid: read from the store, optimized first where they are not there."""
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
                f"{missing} of {sum(piece.count for piece in pieces)} maps of grid {grid!r} of"
                f" {self.name!r} are not stored: python -m helpers.sweeps {self.path} makes them"
            )
        return store.open_together([piece.path for piece in pieces], "unit")

    def run(
        self,
        grids: Sequence[str] | None = None,
        *,
        workers: int = 1,
        scheduler: str | None = None,
        progress: bool = True,
    ) -> list[Piece]:
        """Optimize and store what is not stored of the grids (None: all); return all the pieces.

        Options and errors are those of `helpers.sweeps.optimize_missing`.
        """
        pieces = self.pieces(grids)
        optimize_missing(pieces, workers=workers, scheduler=scheduler, progress=progress)
        return pieces

    def figure_path(self, name: str) -> Path:
        """Where a declared figure is written: `output/figures` beside the TOML file.

        Git ignores that folder; `helpers.publish.notebooks.renew` copies figures from there to the
        committed `figures`. Those of a size other than "full" go beside the stored maps.

        Raises:
            ValueError: the study declares no figure of this name.
        """
        self._figure(name)
        folder = self.folder / OUTPUT if self.size == FULL else self._results
        return folder / "figures" / self.name / f"{name}.png"

    def figure_title(self, name: str) -> str:
        """Title of a declared figure, with the number it has in the post."""
        figure = self._figure(name)
        number = f" ({figure['post']} of the post)" if "post" in figure else ""
        return f"{figure['title']}{number}"

    def _figure(self, name: str) -> dict:
        _check_declared("figure", name, self.declared.figures)
        return self.declared.figures[name]

    def _grid(self, grid: str) -> dict:
        _check_declared("grid", grid, self.declared.grids)
        return self.declared.defaults | self.declared.grids[grid]

    @property
    def _results(self) -> Path:
        return Path(self.results) if self.results else self.folder / "results"


def open_results(
    path: str | Path, name: str | None = None, *, size: str = FULL, results: Path | None = None
) -> xr.DataTree:
    """Open the stored maps of a whole study, lazily.

    The grids of a study differ in layer, weights and seeds, and its models in image size: in one
    Dataset most of it would be padding, and uint8 images would turn to floats. So it is a tree with
    a Dataset, as `Study.maps` gives, for each model and grid: `tree["photos/conv2d_1"]`. What holds
    for all is asked of the tree at once: `tree.sel(seed=0)`, `tree.mean("seed")`.
    `helpers.maps.pool` makes one Dataset of grids that share weights and seeds.

    Args:
        path: the study's TOML file.
        name: of a model, whose grids are then at the top; None for all models.
        size: as `Study` takes it.
        results: as `Study` takes it.

    Returns:
        A DataTree of Dask arrays, one chunk a file; nothing is read before it is used.

    Raises:
        FileNotFoundError: not everything is stored; the message says what is not.
        ValueError: as `Study.declared`, or a file cannot be read.
    """
    content = read_study(path)
    studies = [Study(path, one, size, results) for one in ([name] if name else content.models)]
    datasets = {
        grid if name else f"{study.name}/{grid}": study.open(grid)
        for study in studies
        for grid in study.declared.grids
    }
    return xr.DataTree.from_dict(datasets, name=content.title)


@cache
def _load(path: Path, rescaling: bool = True) -> keras.Model:
    model = models.load_model(path)
    return model if rescaling else models.without_rescaling(model)


def _check_declared(what: str, name: str, table: dict) -> None:
    if name not in table:
        raise ValueError(f"{what} must be one of {sorted(table)}, got {name!r}")


def main(arguments: list[str] | None = None) -> int:
    """Run a study from the command line; 130 after an interrupt, as shells do."""
    parser = argparse.ArgumentParser(prog="python -m helpers.sweeps", description=__doc__)
    parser.add_argument("study", type=Path, help="the study's TOML file")
    parser.add_argument("--model", nargs="+", help="names under [models]; all when not given")
    parser.add_argument("--size", default=FULL, help="full, or a name under [sizes]")
    parser.add_argument("--results", type=Path, help="folder of the stored maps")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=1, help="processes on this machine")
    where.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler's address")
    chosen = parser.parse_args(arguments)
    try:
        names = chosen.model or read_study(chosen.study).models
        pieces = {
            name: Study(chosen.study, name, chosen.size, chosen.results).pieces() for name in names
        }
        every = [piece for part in pieces.values() for piece in part]
        optimize_missing(every, workers=chosen.workers, scheduler=chosen.scheduler)
    except KeyboardInterrupt:
        print("interrupted; what is stored stays, and the same command goes on", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"{error}; what is stored stays", file=sys.stderr)
        return 1
    for name, part in pieces.items():
        print(f"{name}: {sum(piece.count for piece in part)} maps in {len(part)} files")
    return 0
