"""The interactive panel: move a control, watch the map grow, sweep two axes, keep and compare."""

import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import ipywidgets
import keras
import numpy as np
import xarray as xr

from helpers import plots
from helpers.images import LabelledImages
from helpers.maps import dataset
from helpers.maps.optimization import Optimization
from helpers.maps.spec import MapSpec
from helpers.models.preprocessing import Preprocessing
from helpers.panel import parts
from helpers.panel.background import Newest
from helpers.panel.card_view import CardView
from helpers.panel.controls import Controls
from helpers.panel.elements import ImageView, SpecBox, Status, Tabs, button
from helpers.panel.overview_view import OverviewView
from helpers.panel.sources import Models
from helpers.panel.sweep_view import SweepView
from helpers.panel.wanted import Wanted, optimize
from helpers.panel.why_view import WhyView

STEPS_PER_IMAGE = 20


class Panel(ipywidgets.VBox):
    """One map that grows at each move of a control, and further views of its unit and layer.

    A move starts the optimization in a thread of its own, and cancels the one before it.

    Attributes:
        controls: what determines the map; set `controls.tv_weight.value`, `controls.unit.value` ...
        overview: the view of all units of the layer.
        why: the view of where in an image the unit sees its reason.
        sweep: the view of maps over two axes.
        card: what is known about the unit, where the panel has labelled images to judge it by.
        tabs: choose the view that is seen, as `show` does.
        render_button, stop_button, keep_button, clear_button: `click()` them.
        toml: text box with the spec, to copy or to paste one into.
        image, status: the map as it grows, and what is announced.
        results: Datasets of the kept maps, in order.
    """

    def __init__(
        self,
        models: Models,
        *,
        preprocessing: Preprocessing | None = None,
        images: LabelledImages | None = None,
        layer: str | None = None,
        unit: int = 0,
        preset: str | None = None,
        weights: str | None = None,
        tv_weight: float | None = None,
        lp_weight: float | None = None,
        activation_weight: float | None = None,
        seed: int = 0,
        sign: str = "happy",
        objective: str | None = None,
        steps: int | None = None,
        engine: str | None = None,
        pixels: str | None = None,
        size: int | Sequence[int] | None = None,
        held: Mapping[str, object] | None = None,
    ):
        """Load the models and set the controls; `render` or the first move starts an optimization.

        Args:
            models: a Keras model, the path of one, or several under their names.
            preprocessing: what the models expect, as `maps.happy_maps` takes it; of those that are
                opened later it is read.
            images: labelled images to judge units by; with them the panel draws unit cards.
            layer: name of a layer of the first model; None for its first layer with units.
            unit: number of the unit.
            preset: the recipe, "robust", "maco" or "keras_vis"; None for "keras_vis" where weights,
                engine or pixels are given, which only it has, else "robust".
            weights: "absolute", as keras-vis, or "relative" to the objective; None for "absolute"
                where a weight is given, else "relative", which suits every model.
            tv_weight: weight of the total variation, at least 0; None for 10, relative 0.1.
            lp_weight: weight of the LP norm, likewise.
            activation_weight: weight of the objective, above 0; None for 1.
            seed: integer that makes the seed input.
            sign: "happy" or "sad".
            objective: "activation", "pre-activation" or "pre-activation minus others"; None for
                the first of keras-vis, else, and of a SadMap, the second.
            steps: gradient steps, at least 1; None for the preset's.
            engine: "batched" or "keras-vis"; None for the first.
            pixels: "free" or "bounded"; None for the first.
            size: of the maps of the first model, as `maps.happy_maps` takes it; None for its own.
            held: values of the inputs that are not the image, by name.

        Raises:
            ValueError: a model cannot be loaded, or an argument is not legal.
        """
        super().__init__()
        self.results: list[xr.Dataset] = []
        self._last: xr.Dataset | None = None
        self._drawn: list[tuple[np.ndarray, str]] = []
        self._subject: tuple = ()
        self._runner = Newest()
        self.status, self.image = Status(), ImageView()
        self.controls = Controls(
            models,
            preprocessing,
            self.status,
            self._start,
            layer=layer,
            unit=unit,
            preset=preset,
            tv_weight=tv_weight,
            lp_weight=lp_weight,
            weights=weights,
            activation_weight=activation_weight,
            seed=seed,
            sign=sign,
            objective=objective,
            steps=steps,
            engine=engine,
            pixels=pixels,
            size=size,
            held=held,
        )
        self.overview = OverviewView(self.controls, self._runner, self._show_unit)
        self.why = WhyView(self.controls, self.image, images)
        self.sweep = SweepView(self.controls, self._runner, self._keep)
        self.card = CardView(self.controls, self._runner, images) if images else None
        self._build()

    @property
    def spec(self) -> MapSpec | Optimization:
        """What the controls ask for now: what `maps.compute` takes, or `maps.maximize_spec`.

        Raises:
            ValueError: a value is not legal for the model.
        """
        return self.controls.wanted.request

    def render(self) -> None:
        """Optimize the map and wait for it, as "Run all" needs it.

        Raises:
            ValueError: a value is not legal; the panel's status says so too.
        """
        with self.status.announcing():
            self._start()
        self._runner.result()

    def wait(self) -> None:
        """Wait until the optimization that was started last has ended, however it did."""
        self._runner.wait()

    def show(self, name: str) -> None:
        """Turn to a view by the name of its tab: "Map", "All units", "Why", "Sweep", "Unit card".

        Raises:
            ValueError: there is no such view.
        """
        if name not in self._views:
            raise ValueError(f"name must be one of {list(self._views)}, got {name!r}")
        self.tabs.chosen = list(self._views).index(name)

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
            ValueError: it is not a spec, or asks for what the chosen model does not have.
        """
        try:
            wanted = Wanted.from_toml(toml)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"the spec must be TOML: {error}") from error
        self.controls.put(wanted)
        if dataset.is_grid(wanted.spec):
            self.sweep.put(wanted.spec)

    def stopped(self) -> None:
        """Announce that the optimization was stopped; the image so far stays."""
        step, steps = self.status.value, self.status.max
        self.status.say(
            f"Stopped after step {step} of {steps}; the image is of that step."
            if step
            else "Stopped before the first step."
        )

    def figure(self) -> plots.MapFigure:
        """Draw the kept maps, or the last map where none is kept, to stay in a file.

        Raises:
            ValueError: nothing was rendered yet.
        """
        kept = [(parts.pixels(dataset), parts.caption(dataset)) for dataset in self.results]
        drawn = kept or self._drawn
        if not drawn:
            raise ValueError("there is no map yet: render one first")
        figure = plots.contact_sheet(
            [pixels / 255 for pixels, _ in drawn],
            [caption for _, caption in drawn],
            title=f"{'Kept maps' if kept else 'The last map'}."
            " Activation of the raw map → of the displayed map.",
            n_columns=4,
        )
        figure.alt = figure.alt.replace("\n", "; ")
        return figure

    def _build(self) -> None:
        buttons = {
            "Render": self._start,
            "Stop": self._runner.stop,
            "Keep": self.keep,
            "Clear strip": self.clear,
        }
        made = [self._button(name, call) for name, call in buttons.items()]
        self.render_button, self.stop_button, self.keep_button, self.clear_button = made
        self.links, self.strip = ipywidgets.HTML(), ipywidgets.HTML()
        self.toml = SpecBox(name="Spec as TOML")
        self.toml.on_apply(lambda text: self.status.attempt(partial(self.apply, text)))
        self.status.attempt(self._show_spec)
        row = ipywidgets.HBox
        buttons = row([self.render_button, self.stop_button, self.keep_button, self.clear_button])
        large = [buttons, self.status, self.image, self.links, self.strip]
        self._views = {
            "Map": ipywidgets.VBox(large),
            "All units": self.overview,
            "Why": self.why,
            "Sweep": self.sweep,
        }
        if self.card:
            self._views["Unit card"] = self.card
        self.tabs = Tabs(names=list(self._views))
        self.tabs.observe(lambda _: self._show_view(), names="chosen")
        self._show_view()
        columns = (
            ("0 1 29em", [self.controls, self.toml]),
            ("1 1 30em", [self.tabs, *self._views.values()]),
        )
        self.children = [parts.side_by_side(columns)]

    def _show_view(self) -> None:
        for i, view in enumerate(self._views.values()):
            view.layout.display = "" if i == self.tabs.chosen else "none"
        self.why.show(self.tabs.names[self.tabs.chosen] == "Why")

    def _show_unit(self, unit: int) -> None:
        """Choose a unit and turn to its map."""
        self.show("Map")
        self.controls.unit.value = unit

    def _button(self, name: str, call: Callable[[], None]) -> ipywidgets.Button:
        made = button(name)
        made.on_click(lambda _: self.status.attempt(call))
        return made

    def _start(self) -> None:
        self._runner.cancel(self)
        self._last = None
        self._follow()
        model, wanted = self.controls.chosen_model, self.controls.wanted
        spec = wanted.spec
        self._show_spec()
        self.status.max, self.status.value = spec.steps, 0
        self.status.say("Optimizing ...")
        self._runner.start(self, partial(self._optimize, model, wanted))

    def _follow(self) -> None:
        """Clear or mark what is of another model, layer or unit than the controls now say."""
        controls = self.controls
        subject = controls.model.value, controls.layer.value, controls.unit.value
        self.sweep.follow()
        self.overview.follow()
        self.why.follow()
        if self._subject and subject != self._subject:
            self.image.is_stale = bool(self.image.png)
            self.links.value = ""
            if self.card:
                self.card.picture.clear()
                self.card.status.say("No card of this unit yet.")
        self._subject = subject

    def _optimize(self, model: keras.Model, wanted: Wanted, check: Callable[[], None]) -> None:
        began, steps = time.monotonic(), wanted.spec.steps
        self.links.value = ""
        images = -1

        def on_step(step: int, image: np.ndarray) -> None:
            nonlocal images
            check()
            due = (step + 1) // STEPS_PER_IMAGE
            if due > images:
                images = due
                self.status.value = step + 1
                text = f"{parts.describe(wanted)}\nstep {step + 1} of {steps}"
                self._drawn = [(parts.growing(image, wanted), text)]
                parts.fill(self.image, *self._drawn[0])

        with self.status.announcing():
            dataset = optimize(model, wanted, on_step)
            check()
            self._last = dataset
            self._drawn = [(parts.pixels(dataset), parts.caption(dataset))]
            self.status.value = steps
            parts.show(self.image, self.links, dataset)
            seconds = time.monotonic() - began
            reached = f"{wanted.spec.objective} {parts.reached(dataset)}"
            self.status.say(f"Done in {seconds:.1f} s: {reached}.")

    def _show_spec(self) -> None:
        self.toml.value = self.spec.to_toml()

    def _keep(self, dataset: xr.Dataset) -> None:
        if any(kept is dataset for kept in self.results):
            raise ValueError("this map is kept already")
        self.results.append(dataset)
        self.strip.value = parts.strip(self.results)
        self.status.say(f"Kept: {len(self.results)} in the strip.")
