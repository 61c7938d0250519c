"""The panel's sweep: maps over two axes, filled in row by row, each to enlarge."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import ipywidgets
import keras
import xarray as xr

from helpers import models, plots
from helpers.maps import dataset
from helpers.maps.dataset import joined_attributes
from helpers.maps.provenance import NUMERICS
from helpers.maps.spec import MapSpec
from helpers.panel import parts
from helpers.panel.background import Newest
from helpers.panel.controls import Controls
from helpers.panel.elements import Grid, Picture, Status, button, dropdown, heading, text_box

AXES = (("Unit", "unit"), ("TV weight", "tv_weight"), ("LP weight", "lp_weight"), ("Seed", "seed"))
FIRST_VALUES = {
    "unit": "0-3",
    "tv_weight": "1e-4, 1e-3, 1e-2, 1e-1, 1",
    "lp_weight": "0.1, 1, 10, 100",
    "seed": "0-3",
}
CELL_WIDTH = 72


class SweepView(ipywidgets.VBox):
    """Choose two axes and their values; everything else is as the panel's controls say.

    Attributes:
        rows, row_values, columns, column_values: the axes.
        start_button, stop_button, keep_button, open_button: `click()` them.
        grid: the maps found; `chosen` is the one enlarged in `picture`.
        status: what is going on.
    """

    def __init__(self, controls: Controls, search: Newest, keep: Callable[[xr.Dataset], None]):
        """Build the view.

        Args:
            controls: say what is not on an axis.
            search: where the sweep runs.
            keep: takes the Dataset of a map that is to be kept.
        """
        super().__init__()
        self._controls, self._search, self._keep = controls, search, keep
        self._found: dict[str, xr.Dataset] = {}
        self._done: list[xr.Dataset] = []
        self._axes = ("unit", "tv_weight")
        self._build()

    @property
    def spec(self) -> MapSpec:
        """All the maps that the axes and the controls ask for.

        Raises:
            ValueError: a value is not legal, or both axes are the same.
        """
        rows, columns = self.rows.value, self.columns.value
        if rows == columns:
            raise ValueError(f"columns must be another axis than rows, got {rows!r} for both")
        values = {
            dataset.FIELDS[dim]: parts.parse_values(dim, box.value)
            for dim, box in ((rows, self.row_values), (columns, self.column_values))
        }
        spec = replace(self._controls.spec, **values)
        models.check_units(self._controls.net, spec.layer, spec.units)
        return spec

    def choose(self, **axes: Sequence[float]) -> None:
        """Choose the axes and their values, rows first: `choose(unit=[0, 1], tv_weight=[0.1, 1])`.

        Raises:
            ValueError: there are not two, or one is no axis.
        """
        if len(axes) != 2 or not set(axes) <= set(dataset.FIELDS):
            raise ValueError(f"axes must be two of {list(dataset.FIELDS)}, got {list(axes)}")
        for axis, box, dim in zip(self._axis_boxes, self._value_boxes, axes, strict=True):
            axis.value = dim
            box.value = ", ".join(f"{value:g}" for value in axes[dim])

    def put(self, spec: MapSpec) -> None:
        """Choose the axes that a spec of several maps has.

        Raises:
            ValueError: more than two of its lists hold several values.
        """
        long = [dim for dim, field in dataset.FIELDS.items() if len(getattr(spec, field)) > 1]
        if len(long) > 2:
            raise ValueError(f"a sweep has two axes, got several values of each of {long}")
        axes = [*long, *(dim for dim in dataset.FIELDS if dim not in long)][:2]
        self.choose(**{dim: getattr(spec, dataset.FIELDS[dim]) for dim in axes})

    def render(self) -> None:
        """Search the whole sweep and wait for it, as "Run all" needs it.

        Raises:
            ValueError: a value is not legal; the status says so too.
        """
        if error := self.status.attempt(self._start) or self._search.result():
            raise error

    def stopped(self) -> None:
        """Say that the sweep was stopped; the rows that are done stay."""
        self.status.say(
            f"Stopped after {self.status.value} of {self.status.max} maps."
            " Start sweep goes on where it stopped."
        )

    @property
    def dataset(self) -> xr.Dataset:
        """The rows found so far, as one Dataset as `helpers.maps.happy_maps` returns it.

        Raises:
            ValueError: no row is done yet.
        """
        if not self._done:
            raise ValueError("there is no map yet: start a sweep first")
        return xr.concat(self._done, self._axes[0], combine_attrs=joined_attributes)

    def figure(self) -> plots.MapFigure:
        """Draw the rows found so far, to stay in a file.

        Raises:
            ValueError: no row is done yet.
        """
        return plots.map_grid(self.dataset, *self._axes, title="Sweep.")

    def _build(self) -> None:
        self.rows, self.columns = dropdown("Rows", AXES), dropdown("Columns", AXES)
        self.row_values, self.column_values = text_box("Row values"), text_box("Column values")
        self._axis_boxes = self.rows, self.columns
        self._value_boxes = self.row_values, self.column_values
        for axis, box, dim in zip(self._axis_boxes, self._value_boxes, self._axes, strict=True):
            axis.value, box.value = dim, FIRST_VALUES[dim]
            axis.observe(partial(_first_values, box), names="value")
            box.observe(lambda _: self.status.attempt(self._tell), names="value")
        self.start_button, self.stop_button = button("Start sweep"), button("Stop sweep")
        self.keep_button, self.open_button = button("Keep this map"), button("Open in the panel")
        self.keep_button.disabled = self.open_button.disabled = True
        self.status = Status(name="Progress of the sweep")
        self.grid, self.picture = Grid(), Picture()
        self.links, self.whole_links = ipywidgets.HTML(), ipywidgets.HTML()
        for one, call in (
            (self.start_button, self._start),
            (self.stop_button, self._stop),
            (self.keep_button, lambda: self._keep(self._chosen())),
            (self.open_button, lambda: self._controls.put(dataset.spec_of(self._chosen()))),
        ):
            one.on_click(lambda _, call=call: self.status.attempt(call))
        self.grid.observe(lambda _: self.status.attempt(self._enlarge), names="chosen")
        row = ipywidgets.HBox
        axes = [self.rows, self.row_values, self.columns, self.column_values]
        run = [row([self.start_button, self.stop_button]), self.status]
        large = [self.picture, self.links, row([self.keep_button, self.open_button])]
        self.children = [
            heading("Sweep over two axes"),
            parts.side_by_side([("25em", axes), ("25em", run)]),
            parts.side_by_side([("auto", [self.grid, self.whole_links]), ("20em", large)]),
        ]

    def _tell(self) -> None:
        """Say what Start sweep would do, unless a sweep is running, which has more to say."""
        if not self._search.is_running_for(self):
            spec = self.spec
            counts = [len(_values(axis.value, spec)) for axis in self._axis_boxes]
            self.status.say(f"{counts[0]} x {counts[1]} maps to search.")

    def _start(self) -> None:
        spec, net = self.spec, self._controls.net
        self._axes = rows, columns = self.rows.value, self.columns.value
        self._done: list[xr.Dataset] = []
        with self.grid.hold_sync():
            self.grid.cells, self.grid.chosen = [], []
            self.grid.rows = _labels(rows, spec)
            self.grid.columns = _labels(columns, spec)
        self.keep_button.disabled = self.open_button.disabled = True
        self.status.max, self.status.value = len(self.grid.rows) * len(self.grid.columns), 0
        self.status.say(f"Searching {self.status.max} maps ...")
        run = partial(self._run, net, spec, self._axes, self._done)
        self._search.start(self, lambda check: self.status.attempt(run, check))

    def _stop(self) -> None:
        if self._search.is_running_for(self):
            self._search.stop()

    def _run(self, net: keras.Model, spec: MapSpec, axes, done: list[xr.Dataset], check) -> None:
        rows, columns = axes
        weights = models.weight_digest(net)
        pieces = [replace(spec, **{dataset.FIELDS[rows]: (v,)}) for v in _values(rows, spec)]
        names = [piece.digest(weights, NUMERICS) for piece in pieces]
        self._found = {name: self._found[name] for name in names if name in self._found}
        cells = []
        for name, piece in zip(names, pieces, strict=True):
            check()
            if name not in self._found:
                self._found[name] = parts.find(net, piece, lambda *_: check())
            check()
            done.append(self._found[name])
            cells.append(_cells(done[-1], axes))
            with self.grid.hold_sync():
                self.grid.width = parts.whole_width(parts.pixels(done[-1]), CELL_WIDTH)
                self.grid.cells = list(cells)
            self.status.value = len(cells) * len(cells[0])
        png = self.figure().png()
        self.whole_links.value = parts.downloads(
            f"sweep-{spec.layer}", png, spec.to_toml(), " of the sweep"
        )
        self.status.say(f"Done: {self.status.value} maps. Choose one to enlarge it.")

    def _chosen(self) -> xr.Dataset:
        i, j = self.grid.chosen
        return dataset.select(self._done[i], **{self._axes[1]: j})

    def _enlarge(self) -> None:
        if not self.grid.chosen:
            return
        parts.show(self.picture, self.links, self._chosen(), " of this map")
        self.keep_button.disabled = self.open_button.disabled = False


def _cells(row: xr.Dataset, axes: tuple[str, str]) -> list[dict[str, str]]:
    ones = [dataset.select(row, **{axes[1]: j}) for j in range(row.sizes[axes[1]])]
    return [
        {
            "src": parts.data_url(parts.png(parts.pixels(one))),
            "name": f"{', '.join(plots.label(dim, one[dim].item()) for dim in axes)}:"
            f" {parts.reached(one)}",
        }
        for one in ones
    ]


def _values(dim: str, spec: MapSpec) -> tuple:
    return getattr(spec, dataset.FIELDS[dim])


def _labels(dim: str, spec: MapSpec) -> list[str]:
    return [plots.label(dim, value) for value in _values(dim, spec)]


def _first_values(box: ipywidgets.Text, change: dict) -> None:
    box.value = FIRST_VALUES[change["new"]]
