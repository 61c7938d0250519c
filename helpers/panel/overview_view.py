"""The panel's overview of a layer: a small map of every unit, each to choose its unit."""

from collections.abc import Callable

import ipywidgets
import keras
import xarray as xr

from helpers import models, plots
from helpers.maps import dataset, targets
from helpers.models.cutting import Tap
from helpers.panel import parts, wanted
from helpers.panel.background import Newest
from helpers.panel.controls import Controls
from helpers.panel.elements import Status, Tiles, button
from helpers.panel.wanted import Wanted

BATCH = 8
"""Units whose maps appear at once."""
SIDE = 96
"""Pixels: the maps are as large at most, where the layer can be computed at that size."""


class OverviewView(ipywidgets.VBox):
    """All units of the chosen layer, by the recipe of the controls, as they come.

    Attributes:
        start_button, stop_button: `click()` them.
        tiles: the box of the maps, a `Tiles` for each batch.
        status: progress, and what is announced.
    """

    def __init__(self, controls: Controls, runner: Newest, choose: Callable[[int], None]):
        """Build the view.

        Args:
            controls: say everything but the unit.
            runner: where the maps are optimized.
            choose: called with the unit whose map is pressed.
        """
        super().__init__()
        self._controls, self._runner, self._choose = controls, runner, choose
        self._subject: tuple = ()
        self._done: list[xr.Dataset] = []
        self.start_button, self.stop_button = button("Show all units"), button("Stop overview")
        self.start_button.on_click(lambda _: self.status.attempt(self._start))
        self.stop_button.on_click(lambda _: self._stop())
        self.status = Status(name="Progress of the overview")
        wrap = ipywidgets.Layout(flex_flow="row wrap", grid_gap="6px", overflow="visible")
        self.tiles = ipywidgets.Box(layout=wrap)
        buttons = ipywidgets.HBox([self.start_button, self.stop_button])
        self.children = [buttons, self.status, self.tiles]

    @property
    def wanted(self) -> Wanted:
        """The small maps of all units of the layer.

        Raises:
            ValueError: a value of the controls is not legal.
        """
        model, asked = self._controls.chosen_model, self._controls.wanted
        asked = asked.with_values(units=tuple(range(models.unit_count(model, asked.spec.layer))))
        return asked.with_values(size=small_size(model, asked))

    def render(self) -> None:
        """Show all units and wait for them.

        Raises:
            ValueError: a value of the controls is not legal.
        """
        with self.status.announcing():
            self._start()
        self._runner.result()

    def stopped(self) -> None:
        """Announce that it was stopped; the maps that are done stay."""
        self.status.say(
            f"Stopped after {self.status.value} of {self.status.max} units."
            " Show all units goes on where it stopped."
        )

    def follow(self) -> None:
        """Mark the chosen unit, and the maps where they are of another model or layer."""
        is_stale = self._subject[:2] != self._subject_now()[:2]
        for tiles in self.tiles.children:
            tiles.is_stale, tiles.chosen = is_stale, int(self._controls.unit.value)

    @property
    def dataset(self) -> xr.Dataset:
        """The maps that are done, as one Dataset.

        Raises:
            ValueError: none is done yet.
        """
        if not self._done:
            raise ValueError("there is no map yet: press Show all units first")
        return xr.concat(self._done, "unit", combine_attrs=dataset.joined_attributes)

    def _subject_now(self) -> tuple:
        return self._controls.model.value, self._controls.layer.value

    def _start(self) -> None:
        model, asked = self._controls.chosen_model, self.wanted
        digest = targets.digest_of(model)
        subject = (*self._subject_now(), digest, asked)
        if subject != self._subject:
            self._subject, self._done, self.tiles.children = subject, [], ()
        done = self._done
        self.status.max = len(asked.spec.units)
        self.status.value = sum(maps.sizes["unit"] for maps in done)
        self.status.say(f"Optimizing maps of {len(asked.spec.units)} units of {subject[1]} ...")
        self._runner.start(self, lambda check: self._run(model, asked, done, check))

    def _stop(self) -> None:
        if self._runner.is_running_for(self):
            self._runner.stop()

    def _run(self, model: keras.Model, asked: Wanted, done: list, check: Callable) -> None:
        units = asked.spec.units
        with self.status.announcing():
            for start in range(BATCH * len(done), len(units), BATCH):
                batch = asked.with_values(units=units[start : start + BATCH])
                made = wanted.optimize(model, batch, lambda *_: check())
                check()
                done.append(made)
                tiles = Tiles(cells=_cells(made), chosen=int(self._controls.unit.value))
                tiles.on_choose(self._choose)
                self.tiles.children = [*self.tiles.children, tiles]
                self.status.value = start + len(batch.spec.units)
            few = any(not bool(dataset.raised(maps).all()) for maps in done)
            dashed = " Dashed: not raised." if few else ""
            size = " x ".join(map(str, parts.pixels(done[0]).shape[:-1]))
            self.status.say(
                f"Done: {len(units)} units of {asked.spec.layer}, maps of {size}."
                f" Choose one to see it large.{dashed}"
            )


def small_size(model: keras.Model, asked: Wanted) -> tuple[int, ...] | None:
    """The size of maps of at most `SIDE` pixels; that of `asked` where they are, or must be."""
    spec = asked.spec
    own = models.image_shape(model, spec.size, held=dict(spec.held or ()))[:-1]
    if len(own) != 2 or max(own) <= SIDE:
        return spec.size
    small = tuple(max(1, round(length * SIDE / max(own))) for length in own)
    tap = Tap(spec.layer, spec.objective != "activation")
    try:
        targets.cut_of(model, (tap,), spec.preprocessing, small, spec.held)
    except ValueError:
        return spec.size
    return small


def _cells(made: xr.Dataset) -> list[dict]:
    cells = []
    for i, unit in enumerate(made["unit"].values.tolist()):
        one = wanted.select(made, unit=i)
        name = f"{plots.label('unit', unit)}: {parts.reached(one)}"
        src = parts.data_url(parts.png(parts.pixels(one)))
        is_raised = bool(dataset.raised(one).all())
        cells.append({"unit": unit, "src": src, "name": name, "is_raised": is_raised})
    return cells
