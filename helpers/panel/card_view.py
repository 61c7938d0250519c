"""The panel's unit card: what is known about the chosen unit, beside its maps."""

from collections.abc import Callable
from dataclasses import replace

import ipywidgets
import keras
import numpy as np

from helpers import models, plots
from helpers.images import LabelledImages
from helpers.maps.spec import MapSpec
from helpers.measures import report_layer
from helpers.panel.background import Newest
from helpers.panel.controls import Controls
from helpers.panel.elements import ImageView, Status, button
from helpers.plots import MapFigure
from helpers.plots.figure import DPI
from helpers.sweeps import optimize

OTHER_UNITS = 7
"""Units whose maps the chosen unit's are compared with."""
SEEDS = 4
SIZE = (900, 580)
"""Pixels of the card, and CSS pixels on the page: its text is displayed as it is drawn."""


class CardView(ipywidgets.VBox):
    """A button that draws the card of the unit that the panel's controls say.

    Attributes:
        start_button, stop_button: `click()` them.
        picture, status: the card, and what is going on.
    """

    def __init__(self, controls: Controls, search: Newest, images: LabelledImages):
        """Build the view.

        Args:
            controls: say layer, unit, weights and steps.
            search: where the maps are searched.
            images: labelled images that the unit is judged against.
        """
        super().__init__()
        self._controls, self._search, self._images = controls, search, images
        self._figure: MapFigure | None = None
        self.status, self.picture = Status(name="Card progress", max=2), ImageView()
        self.start_button, self.stop_button = button("Unit card"), button("Stop card")
        self.start_button.on_click(lambda _: self.status.attempt(self._start))
        self.stop_button.on_click(lambda _: self._search.stop())
        buttons = ipywidgets.HBox([self.start_button, self.stop_button])
        self.children = [buttons, self.status, self.picture]

    def render(self) -> None:
        """Draw the card and wait for it, as "Run all" needs it.

        Raises:
            ValueError: the layer has one unit only, or a value of the controls is not legal.
        """
        with self.status.announcing():
            self._start()
        self._search.result()

    def stopped(self) -> None:
        """Say that the search was stopped."""
        self.status.say("Stopped; the card is not drawn.")

    def figure(self) -> MapFigure:
        """The card, to stay in a file.

        Raises:
            ValueError: none is drawn yet.
        """
        if self._figure is None:
            raise ValueError("there is no card yet: press Unit card first")
        return self._figure

    def _start(self) -> None:
        model = self._controls.chosen_model
        spec = card_spec(model, self._controls.spec)
        unit = self._controls.spec.units[0]
        self.status.value = 0
        self.status.say(f"Optimizing maps of {len(spec.units)} units from {SEEDS} seeds ...")
        self._search.start(self, lambda check: self._announced(model, spec, unit, check))

    def _announced(self, model: keras.Model, spec: MapSpec, unit: int, check: Callable) -> None:
        with self.status.announcing():
            self._draw(model, spec, unit, check)

    def _draw(self, model: keras.Model, spec: MapSpec, unit: int, check: Callable) -> None:
        def on_step(step: int, image: np.ndarray) -> None:
            check()

        happy = optimize(model, spec, on_step)
        self.status.value += 1
        sad = optimize(model, replace(spec, sign="sad", objective="pre-activation"), on_step)
        self.status.value += 1
        report = report_layer(
            model, self._images, happy, sad, preprocessing=spec.preprocessing, progress=False
        )
        check()
        self._figure = plots.unit_card(report, unit)
        self._figure.set_size_inches(*(length / DPI for length in SIZE))
        verdict, *others = plots.describe(report, unit)
        with self.picture.hold_sync():
            self.picture.width, self.picture.alt = SIZE[0], self._figure.alt
            self.picture.png = self._figure.png()
            self.picture.caption, self.picture.details = verdict, "\n".join(others)
        self.status.say(f"Done: the card of {spec.layer} unit {unit}, by keras-vis's recipe.")


def card_spec(model: keras.Model, spec: MapSpec) -> MapSpec:
    """The HappyMaps that a card needs: the chosen unit and some others of its layer, four seeds.

    Raises:
        ValueError: the layer has one unit only, so that there is nothing to compare it with.
    """
    count, unit, seed = models.unit_count(model, spec.layer), spec.units[0], spec.seeds[0]
    if count < 2:
        raise ValueError(f"layer must have at least 2 units for a card, got 1 in {spec.layer!r}")
    spread = np.linspace(0, count - 1, min(count, OTHER_UNITS + 1)).astype(int).tolist()
    return replace(
        spec,
        units=tuple(sorted({unit, *spread})),
        seeds=tuple(range(seed, seed + SEEDS)),
        sign="happy",
        tv_weights=spec.tv_weights[:1],
        lp_weights=spec.lp_weights[:1],
    )
