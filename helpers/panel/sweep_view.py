"""The panel's sweep: maps over two axes, filled in row by row, each to enlarge."""

from collections.abc import Callable, Sequence
from functools import partial

import ipywidgets
import xarray as xr

from helpers import models, plots
from helpers.maps import dataset
from helpers.maps.dataset import joined_attributes
from helpers.maps.spec import MapSpec
from helpers.panel import parts, sources, wanted
from helpers.panel.background import Newest
from helpers.panel.controls import Controls
from helpers.panel.elements import Grid, ImageView, Status, button, dropdown, text_box
from helpers.panel.wanted import Wanted
from helpers.plots.map_grids import NOT_RAISED

AXES = {"unit": "Unit", "tv_weight": "TV weight", "lp_weight": "LP weight", "seed": "Seed"}
FIRST_VALUES = {
    "unit": "0-3",
    "tv_weight": "1e-4, 1e-3, 1e-2, 1e-1, 1",
    "lp_weight": "0.1, 1, 10, 100",
    "seed": "0-3",
}
RELATIVE_VALUES = {"tv_weight": "0.01, 0.03, 0.1, 0.3, 1", "lp_weight": "0.01, 0.1, 1"}
"""First values where the weights are relative."""
CELL_WIDTH = 88


class SweepView(ipywidgets.VBox):
    """Choose two axes and their values; everything else is as in the panel's controls.

    Attributes:
        rows, row_values, columns, column_values: the axes.
        start_button, stop_button, keep_button, open_button: `click()` them.
        grid: the maps; `chosen` is the one enlarged in `image`.
        status: progress, and what is announced.
    """

    def __init__(self, controls: Controls, runner: Newest, keep: Callable[[xr.Dataset], None]):
        """Build the view.

        Args:
            controls: hold what is not on an axis.
            runner: where the sweep runs.
            keep: takes the Dataset of a map that is to be kept.
        """
        super().__init__()
        self._controls, self._runner, self._keep = controls, runner, keep
        self._memory: dict[str, xr.Dataset] = {}
        self._done: list[xr.Dataset] = []
        self._axes = ("unit", "seed")
        self._subject: tuple = ()
        self._build()

    @property
    def spec(self) -> MapSpec:
        """The spec of `wanted`."""
        return self.wanted.spec

    @property
    def wanted(self) -> Wanted:
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
        asked = self._controls.wanted.with_values(**values)
        models.check_units(self._controls.chosen_model, asked.spec.layer, asked.spec.units)
        return asked

    def choose(self, **axes: Sequence[float]) -> None:
        """Choose the axes and their values, rows first: `choose(unit=[0, 1], tv_weight=[0.1, 1])`.

        Raises:
            ValueError: there are not two, or one is no axis of the chosen recipe.
        """
        legal = wanted.dims_of(self._controls.preset.value)
        if len(axes) != 2 or not set(axes) <= set(legal):
            raise ValueError(f"axes must be two of {list(legal)}, got {list(axes)}")
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
        legal = wanted.dims_of(self._controls.preset.value)
        axes = [*long, *(dim for dim in legal if dim not in long)][:2]
        self.choose(**{dim: getattr(spec, dataset.FIELDS[dim]) for dim in axes})

    def render(self) -> None:
        """Optimize the whole sweep and wait for it, as "Run all" needs it.

        Raises:
            ValueError: a value is not legal; the status says so too.
        """
        with self.status.announcing():
            self._start()
        self._runner.result()

    def stopped(self) -> None:
        """Announce that the sweep was stopped; the rows that are done stay."""
        self.status.say(
            f"Stopped after {self.status.value} of {self.status.max} maps."
            " Start sweep goes on where it stopped."
        )

    def follow(self) -> None:
        """Mark the maps where the controls now ask for another model, layer or unit."""
        if self._done:
            is_stale = self._subject != self._subject_of(self._axes)
            self.grid.is_stale = self.image.is_stale = is_stale

    @property
    def dataset(self) -> xr.Dataset:
        """The rows that are done, as one Dataset as `helpers.maps.happy_maps` returns it.

        Raises:
            ValueError: no row is done yet.
        """
        if not self._done:
            raise ValueError("there is no map yet: start a sweep first")
        return xr.concat(self._done, self._axes[0], combine_attrs=joined_attributes)

    def figure(self) -> plots.MapFigure:
        """Draw the rows that are done, to stay in a file.

        Raises:
            ValueError: no row is done yet.
        """
        return plots.map_grid(self.dataset, *self._axes, title="Sweep.")

    def _build(self) -> None:
        self.rows, self.columns = dropdown("Rows"), dropdown("Columns")
        self.row_values, self.column_values = text_box("Row values"), text_box("Column values")
        self._axis_boxes = self.rows, self.columns
        self._value_boxes = self.row_values, self.column_values
        for axis, box in zip(self._axis_boxes, self._value_boxes, strict=True):
            axis.observe(partial(self._put_first_values, box), names="value")
            box.observe(lambda _: self.status.attempt(self._announce_size), names="value")
        self.start_button, self.stop_button = button("Start sweep"), button("Stop sweep")
        self.keep_button, self.open_button = button("Keep this map"), button("Open in the panel")
        self.keep_button.disabled = self.open_button.disabled = True
        self.status = Status(name="Progress of the sweep")
        self.grid, self.image = Grid(), ImageView()
        self.links, self.whole_links = ipywidgets.HTML(), ipywidgets.HTML()
        for control, call in (
            (self.start_button, self._start),
            (self.stop_button, self._stop),
            (self.keep_button, lambda: self._keep(self._chosen())),
            (self.open_button, self._open),
        ):
            control.on_click(lambda _, call=call: self.status.attempt(call))
        self.grid.observe(lambda _: self.status.attempt(self._enlarge), names="chosen")
        self._controls.weights.observe(lambda _: self._put_first_weights(), names="value")
        self._controls.preset.observe(lambda _: self._put_axes(), names="value")
        self._put_axes()
        row = ipywidgets.HBox
        axes = [self.rows, self.row_values, self.columns, self.column_values]
        run = [row([self.start_button, self.stop_button]), self.status]
        large = [self.image, self.links, row([self.keep_button, self.open_button])]
        self.children = [
            ipywidgets.VBox(axes, layout=ipywidgets.Layout(max_width="34em")),
            *run,
            parts.side_by_side([("0 1 auto", [self.grid, self.whole_links]), ("1 1 18em", large)]),
        ]

    def _put_axes(self) -> None:
        """Offer the axes that the recipe has, and go on with the first two where one is gone."""
        legal = wanted.dims_of(self._controls.preset.value)
        chosen = (self.rows.value, self.columns.value)
        kept = chosen if set(chosen) <= set(legal) and chosen[0] != chosen[1] else legal[:2]
        for axis, dim in zip(self._axis_boxes, kept, strict=True):
            axis.options, axis.value = [(AXES[name], name) for name in legal], dim

    def _open(self) -> None:
        self._controls.put(wanted.wanted_of(self._chosen()))

    def _first_values(self, dim: str) -> str:
        is_relative = self._controls.weights.value == "relative"
        return (FIRST_VALUES | (RELATIVE_VALUES if is_relative else {}))[dim]

    def _put_first_values(self, box: ipywidgets.Text, change: dict) -> None:
        if change["new"]:
            box.value = self._first_values(change["new"])

    def _put_first_weights(self) -> None:
        """Values of weights mean something else now: bring those on an axis to the first ones."""
        for axis, box in zip(self._axis_boxes, self._value_boxes, strict=True):
            if axis.value in RELATIVE_VALUES:
                box.value = self._first_values(axis.value)

    def _announce_size(self) -> None:
        """Announce what Start sweep would do, unless a sweep is running, which has its progress."""
        if not self._runner.is_running_for(self):
            spec = self.spec
            counts = [len(_values(axis.value, spec)) for axis in self._axis_boxes]
            self.status.say(f"{counts[0]} x {counts[1]} maps to optimize.")

    def _start(self) -> None:
        asked, model = self.wanted, self._controls.chosen_model
        spec = asked.spec
        self._axes = rows, columns = self.rows.value, self.columns.value
        self._done: list[xr.Dataset] = []
        with self.grid.hold_sync():
            self.grid.cells, self.grid.chosen = [], []
            self.grid.rows = _labels(rows, spec)
            self.grid.columns = _labels(columns, spec)
            self._subject = self._subject_of(self._axes)
            self.grid.caption = self._caption()
            self.grid.is_stale = False
        self.image.clear()
        self.links.value = self.whole_links.value = ""
        self.keep_button.disabled = self.open_button.disabled = True
        self.status.max, self.status.value = len(self.grid.rows) * len(self.grid.columns), 0
        self.status.say(f"Optimizing {self.status.max} maps ...")
        run = partial(self._run, model, asked, self._axes, self._done)
        self._runner.start(self, run)

    def _stop(self) -> None:
        if self._runner.is_running_for(self):
            self._runner.stop()

    def _run(self, model, asked: Wanted, axes, done: list[xr.Dataset], check: Callable) -> None:
        rows, _ = axes
        with self.status.announcing():
            maps = wanted.optimize_along(model, asked, rows, self._memory, lambda *_: check())
            check()
            cells = []
            for row in maps:
                check()
                done.append(row)
                cells.append(_cells(row, axes))
                image = parts.pixels(wanted.select(row))
                with self.grid.hold_sync():
                    self.grid.width = parts.whole_width(image, CELL_WIDTH)
                    self.grid.cells = list(cells)
                    if not all(cell["is_raised"] for line in cells for cell in line):
                        self.grid.caption = f"{self._caption()} Dashed: {NOT_RAISED}."
                self.status.value = len(cells) * len(cells[0])
                check()
            png = self.figure().png()
            name = f"sweep-{asked.spec.layer}"
            self.whole_links.value = parts.downloads(name, png, asked.to_toml(), " of the sweep")
            self.status.say(f"Done: {self.status.value} maps. Choose one to enlarge it.")

    def _caption(self) -> str:
        model, *others = self._subject
        return f"Of {', '.join([sources.label(model), *others])}."

    def _subject_of(self, axes: tuple[str, str]) -> tuple:
        """Model, layer and unit that the controls hold, the unit only where it is not an axis."""
        controls = self._controls
        unit = () if "unit" in axes else (f"unit {controls.unit.number}",)
        return controls.model.value, controls.layer.value, *unit

    def _chosen(self) -> xr.Dataset:
        i, j = self.grid.chosen
        return wanted.select(self._done[i], **{self._axes[1]: j})

    def _enlarge(self) -> None:
        if not self.grid.chosen:
            return
        parts.show(self.image, self.links, self._chosen(), " of this map")
        self.keep_button.disabled = self.open_button.disabled = False


def _cells(row: xr.Dataset, axes: tuple[str, str]) -> list[dict]:
    maps = [wanted.select(row, **{axes[1]: j}) for j in range(row.sizes[axes[1]])]
    return [
        {
            "src": parts.data_url(parts.png(parts.pixels(one))),
            "name": f"{', '.join(plots.label(dim, one[dim].item()) for dim in axes)}:"
            f" {parts.reached(one)}",
            "is_raised": bool(dataset.raised(one)),
        }
        for one in maps
    ]


def _values(dim: str, spec: MapSpec) -> tuple:
    return getattr(spec, dataset.FIELDS[dim])


def _labels(dim: str, spec: MapSpec) -> list[str]:
    return [plots.label(dim, value) for value in _values(dim, spec)]
