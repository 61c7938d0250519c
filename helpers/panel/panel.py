"""The interactive panel: move a control, watch the map grow, sweep two axes, keep and compare."""

import time
import tomllib
from collections.abc import Callable

import ipywidgets
import keras
import numpy as np
import xarray as xr

from helpers import plots
from helpers.images import LabelledImages
from helpers.maps import dataset
from helpers.maps.spec import MapSpec
from helpers.models.preprocessing import Preprocessing
from helpers.panel import parts
from helpers.panel.background import Newest
from helpers.panel.card_view import CardView
from helpers.panel.controls import Controls
from helpers.panel.elements import Picture, SpecBox, Status, button
from helpers.panel.sources import Nets
from helpers.panel.sweep_view import SweepView

STEPS_PER_PICTURE = 20


class Panel(ipywidgets.VBox):
    """One map that grows at each move of a control, a sweep, and a strip of kept maps.

    A move starts the search in a thread of its own, and cancels the one before it.

    Attributes:
        controls: what map is asked for; set `controls.tv_weight.value`, `controls.unit.value` ...
        card: what is known about the unit, where the panel has faces to judge it against.
        sweep: the view of maps over two axes.
        render_button, stop_button, keep_button, clear_button: `click()` them.
        toml: text box with the spec, to copy or to paste one into.
        picture, status: what is found, and what is going on.
        results: Datasets of the kept maps, in order.
    """

    def __init__(
        self,
        nets: Nets,
        *,
        preprocessing: Preprocessing | None = None,
        faces: LabelledImages | None = None,
        **chosen,
    ):
        """Load the nets and set the controls; `render` or the first move starts a search.

        Args:
            nets: a Keras model, the path of one, or several under their names.
            preprocessing: what the nets expect, as `models.from_pixels` takes it.
            faces: labelled images to judge units against; with them the panel draws unit cards.
            **chosen: values of controls, by name: `layer`, `unit`, `tv_weight`, `lp_weight`,
                `activation_weight`, `seed`, `sign`, `objective`, `steps`, `engine`, `pixels`.

        Raises:
            ValueError: a net cannot be loaded, or an argument is not legal.
        """
        super().__init__()
        self.results: list[xr.Dataset] = []
        self._last: xr.Dataset | None = None
        self._shown: list[tuple[np.ndarray, str]] = []
        self._search = Newest()
        self.status, self.picture = Status(), Picture()
        self.controls = Controls(nets, preprocessing, self.status, self._moved, **chosen)
        self.sweep = SweepView(self.controls, self._search, self._keep)
        self.card = CardView(self.controls, self._search, faces) if faces else None
        self._build()

    @property
    def spec(self) -> MapSpec:
        """What the controls say now.

        Raises:
            ValueError: a value is not legal for the net.
        """
        return self.controls.spec

    def render(self) -> None:
        """Search the map and wait for it, as "Run all" needs it.

        Raises:
            ValueError: a value is not legal; the panel's status says so too.
        """
        if error := self._moved() or self._search.result():
            raise error

    def wait(self) -> None:
        """Wait until the search that was started last has ended."""
        self._search.result()

    def keep(self) -> None:
        """Put the finished map into the strip.

        Raises:
            ValueError: no map is finished, or it is in the strip already.
        """
        if self._last is None:
            raise ValueError("there is no finished map to keep: render one first")
        self._keep(self._last)

    def clear(self) -> None:
        """Empty the strip."""
        self.results.clear()
        self.strip.value = ""
        self.status.say("The strip is empty.")

    def apply(self, toml: str) -> None:
        """Move the controls, and the axes of the sweep, to a spec as TOML.

        Raises:
            ValueError: it is no spec, or asks for what the chosen model does not have.
        """
        try:
            spec = MapSpec.from_toml(toml)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"the spec must be TOML: {error}") from error
        self.controls.put(spec)
        if dataset.is_grid(spec):
            self.sweep.put(spec)

    def stopped(self) -> None:
        """Say that the search was stopped; the picture so far stays."""
        step, steps = self.status.value, self.status.max
        self.status.say(
            f"Stopped after step {step} of {steps}; the picture is of that step."
            if step
            else "Stopped before the first step."
        )

    def figure(self) -> plots.MapFigure:
        """Draw the kept maps, or the picture shown last where none is kept, to stay in a file.

        Raises:
            ValueError: nothing was rendered yet.
        """
        kept = [(parts.pixels(one), parts.caption(one)) for one in self.results]
        shown = kept or self._shown
        if not shown:
            raise ValueError("there is no picture yet: render a map first")
        figure = plots.contact_sheet(
            [pixels / 255 for pixels, _ in shown],
            [caption for _, caption in shown],
            title=f"{'Kept maps' if kept else 'The map shown last'}."
            " a → b: activation of the raw map → of the map as shown.",
            n_columns=4,
        )
        figure.alt = figure.alt.replace("\n", "; ")
        return figure

    def _build(self) -> None:
        buttons = {
            "Render": self._start,
            "Stop": self._search.stop,
            "Keep": self.keep,
            "Clear strip": self.clear,
        }
        made = [self._button(name, call) for name, call in buttons.items()]
        self.render_button, self.stop_button, self.keep_button, self.clear_button = made
        self.links, self.strip = ipywidgets.HTML(), ipywidgets.HTML()
        self.toml = SpecBox(name="Spec as TOML")
        self.toml.on_apply(lambda text: self.status.attempt(self.apply, text))
        self.status.attempt(self._show_spec)
        row = ipywidgets.HBox
        search = row([self.render_button, self.stop_button])
        keeping = row([self.keep_button, self.clear_button])
        columns = (
            ("25em", [self.controls]),
            ("20em", [search, self.status, self.picture, self.links, keeping]),
            ("17em", [self.toml]),
        )
        views = [self.card] if self.card else []
        self.children = [parts.side_by_side(columns), self.strip, *views, self.sweep]

    def _button(self, name: str, call: Callable[[], None]) -> ipywidgets.Button:
        made = button(name)
        made.on_click(lambda _: self.status.attempt(call))
        return made

    def _moved(self) -> Exception | None:
        return self.status.attempt(self._start)

    def _start(self) -> None:
        self._search.cancel(self)
        self._last = None
        net, spec = self.controls.net, self.spec
        self._show_spec()
        self.status.max, self.status.value = spec.steps, 0
        self.status.say("Searching ...")
        self._search.start(self, lambda check: self.status.attempt(self._find, net, spec, check))

    def _find(self, net: keras.Model, spec: MapSpec, check: Callable[[], None]) -> None:
        began = time.monotonic()
        self.links.value = ""
        shown = -1

        def on_step(step: int, picture: np.ndarray) -> None:
            nonlocal shown
            check()
            due = (step + 1) // STEPS_PER_PICTURE
            if due > shown:
                shown = due
                self.status.value = step + 1
                reached = f"step {step + 1} of {spec.steps}"
                text = f"{parts.describe(spec)}\n{reached}"
                self._shown = [(parts.growing(picture, spec), text)]
                parts.fill(self.picture, *self._shown[0])

        dataset = parts.find(net, spec, on_step)
        check()
        self._last = dataset
        self._shown = [(parts.pixels(dataset), parts.caption(dataset))]
        self.status.value = spec.steps
        parts.show(self.picture, self.links, dataset)
        self.status.say(
            f"Done in {time.monotonic() - began:.1f} s: activation {parts.reached(dataset)}."
        )

    def _show_spec(self) -> None:
        self.toml.value = self.spec.to_toml()

    def _keep(self, dataset: xr.Dataset) -> None:
        if any(kept is dataset for kept in self.results):
            raise ValueError("this map is kept already")
        self.results.append(dataset)
        self.strip.value = parts.strip(self.results)
        self.status.say(f"Kept: {len(self.results)} in the strip.")
