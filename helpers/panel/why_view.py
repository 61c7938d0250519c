"""The panel's view "Why": where in an image the chosen unit sees its reason, beside its map."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import ipywidgets
import keras
import numpy as np
import traitlets

from helpers import attribution, images, models, natural, plots
from helpers.attribution import Method
from helpers.images import LabelledImages
from helpers.maps.objectives import Objective
from helpers.panel import parts
from helpers.panel.background import Newest
from helpers.panel.controls import Controls
from helpers.panel.elements import ImageView, Status, dropdown, text_box
from helpers.panel.wanted import Wanted, objective_of

OWN_FILE = "a file of yours"
MOST_GIVEN = 48
"""Of the panel's own images, the choice holds as many at most, evenly spread."""
FIRST_PHOTOGRAPH = "chelsea"
METHODS = {
    "SmoothGrad": attribution.SmoothGrad(),
    "Grad-CAM": attribution.GradCam(),
    "Grad-CAM++": attribution.GradCamPlusPlus(),
    "Saliency": attribution.Saliency(),
    "Guided backprop": attribution.GuidedBackprop(),
    "Integrated gradients": attribution.IntegratedGradients(),
    "Occlusion": attribution.Occlusion(),
}
PATCHES = 8
"""Patches of an occlusion along the image's shorter side."""
COLOURS = {
    False: "yellow to red: how much",
    True: "red raises the score, blue lowers it",
}


@dataclass(frozen=True, eq=False)
class Why:
    """One explanation.

    Attributes:
        pixels: the image, (H, W, C) of 0..255.
        overlay: the heatmap over it, (H, W, 3) uint8.
        caption: of the overlay.
    """

    pixels: np.ndarray
    overlay: np.ndarray
    caption: str


class WhyView(ipywidgets.VBox):
    """An image, the heatmap of the chosen unit over it, and the unit's map.

    Attributes:
        source, file, method: choose the image and how it is explained.
        photo, heat, map: what is shown, side by side.
        status: what is going on.
    """

    def __init__(self, controls: Controls, map_view: ImageView, given: LabelledImages | None):
        """Build the view.

        Args:
            controls: say the target: model, layer, unit and objective.
            map_view: shows the map of the same target.
            given: labelled images to choose from, beside photographs and files.
        """
        super().__init__()
        self._controls, self._given, self._runner = controls, given, Newest()
        self._is_shown, self._is_due = False, True
        self.source = dropdown("Image", _choices(given))
        self.file = text_box("Your image", "path of an image file")
        self.method = dropdown("Method", list(METHODS))
        self.status = Status(name="Progress of the heatmap")
        self.photo, self.heat, self.map = ImageView(), ImageView(), ImageView()
        for name in ("png", "alt", "caption", "is_stale"):
            traitlets.dlink((map_view, name), (self.map, name))
        if given is None:
            self.source.value = FIRST_PHOTOGRAPH
        self._show_file()
        self.source.observe(lambda _: self._show_file(), names="value")
        for control in (self.source, self.file, self.method):
            control.observe(lambda _: self.status.attempt(self.start), names="value")
        each = ipywidgets.Layout(flex="1 1 0", min_width="0")
        for view in (self.photo, self.heat, self.map):
            view.layout = each
        row = ipywidgets.Layout(grid_gap="1em", align_items="flex-start")
        pictures = ipywidgets.Box([self.photo, self.heat, self.map], layout=row)
        choice = ipywidgets.VBox(
            [self.source, self.file, self.method], layout=ipywidgets.Layout(max_width="34em")
        )
        self.children = [choice, self.status, pictures]

    def show(self, is_shown: bool) -> None:
        """Say whether the view is on the page; what is due is made when it is."""
        self._is_shown = is_shown
        if is_shown and self._is_due:
            self.status.attempt(self.start)

    def follow(self) -> None:
        """Explain anew for the target that the controls now hold: at once where it is seen."""
        self._is_due = True
        if self._is_shown:
            self.status.attempt(self.start)
        else:
            self._clear()

    def start(self) -> None:
        """Explain the chosen image.

        Raises:
            ValueError: a choice is not legal, or the file is no image.
        """
        wanted, model = self._controls.wanted, self._controls.chosen_model
        self._is_due = False
        self._clear()
        load = self._loader(self.source.value, self.file.value.strip())
        self.status.max, self.status.value = 1, 0
        self.status.say("Explaining ...")
        explain = partial(why, model, wanted, load, self.method.value)
        self._runner.start(self, lambda check: self._run(explain, wanted, check))

    def render(self) -> None:
        """Explain the chosen image and wait for it, as "Run all" needs it.

        Raises:
            ValueError: as `start`.
        """
        with self.status.announcing():
            self.start()
        self._runner.result()

    def wait(self) -> None:
        """Wait until the explanation that was started last has ended, however it did."""
        self._runner.wait()

    def stopped(self) -> None:
        """Nothing to say: a newer explanation says it."""

    def _run(self, explain: Callable[[], Why], wanted: Wanted, check: Callable) -> None:
        with self.status.announcing():
            made = explain()
            check()
            name = self.source.label if self.source.value != OWN_FILE else self.file.value
            parts.fill(self.photo, np.rint(made.pixels).astype("uint8"), name)
            parts.fill(self.heat, made.overlay, made.caption)
            self.status.value = 1
            spec = wanted.spec
            self.status.say(f"Where {spec.layer} unit {spec.units[0]} sees its reason.")

    def _clear(self) -> None:
        self.photo.clear()
        self.heat.clear()

    def _show_file(self) -> None:
        self.file.layout.display = "" if self.source.value == OWN_FILE else "none"

    def _loader(self, source, file: str) -> Callable[[tuple[int, int]], np.ndarray]:
        """(height, width) to the image (1, h, w, C) in 0..1."""
        if source == OWN_FILE:
            if not Path(file).is_file():
                raise ValueError(f"give under Your image the path of an image file, got {file!r}")
            return lambda size: natural.image_file(file, size)[None]
        if isinstance(source, int):
            return lambda size: self._given.images[[source]]
        return lambda size: natural.photographs(size, [source]).images


def why(
    model: keras.Model,
    wanted: Wanted,
    load: Callable[[tuple[int, int]], np.ndarray],
    method: str,
) -> Why:
    """Explain one image.

    Args:
        model: the model.
        wanted: the map of the target.
        load: (height, width) to the image (1, h, w, C) in 0..1.
        method: a name in `METHODS`.

    Raises:
        ValueError: the model takes no image of one or three channels, or has no size of its own;
            or the method does not apply.
    """
    spec = wanted.spec
    try:
        shape = models.image_shape(model, held=dict(spec.held or ()))
    except ValueError as error:
        raise ValueError(
            "model must have an image size of its own to be explained: heatmaps are made at that"
            " size only"
        ) from error
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            f"layer must follow from a gray or RGB image to be explained on one, got input {shape}"
        )
    pixels, target = images.as_input(load(shape[:2]), shape), objective_of(spec, spec.units[0])
    made = attribution.attribute(
        _fitted(METHODS[method], model, target, shape),
        model,
        pixels,
        target,
        preprocessing=spec.preprocessing,
    )
    heat = made["heatmap"].values[0, 0]
    score = float(made["score"].values[0, 0])
    overlay = np.rint(255 * plots.overlay(pixels[0], heat)).astype("uint8")
    colours = COLOURS[bool((heat < 0).any())]
    caption = f"{method} of {spec.layer} unit {spec.units[0]}: score {score:.3g}; {colours}"
    return Why(pixels[0], overlay, caption)


def _fitted(
    method: Method, model: keras.Model, target: Objective, shape: tuple[int, ...]
) -> Method:
    if isinstance(method, attribution.Occlusion):
        patch = max(1, min(shape[:2]) // PATCHES)
        return attribution.Occlusion(patch, max(1, patch // 2))
    try:
        return method.on(model, target)
    except ValueError as error:
        layers = ", ".join(tap.layer for tap in target.taps)
        raise ValueError(
            f"method must be another for {layers}: {method} weights the maps of a layer before it,"
            " and there is none"
        ) from error


def _choices(given: LabelledImages | None) -> list[tuple[str, object]]:
    own = []
    if given is not None:
        chosen = np.linspace(0, len(given) - 1, min(len(given), MOST_GIVEN)).astype(int)
        own = [
            (f"{given.source} {given.group_names[i]}: {given.class_names[given.labels[i]]}", int(i))
            for i in chosen
        ]
        own = [(f"{name} ({i})", i) for name, i in own]
    photographs = [(name.replace("_", " "), name) for name in natural.PHOTOGRAPHS]
    return [*own, *photographs, (OWN_FILE, OWN_FILE)]
