"""The interactive panel: choose a unit and weights, watch the map grow, keep maps to compare."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from pathlib import Path

import ipywidgets
import keras
import numpy as np
import xarray as xr

from helpers import engines, figures, maps, models
from helpers import panel_parts as parts
from helpers.spec import OBJECTIVES, MapSpec

STEPS_PER_PICTURE = 20
INFERRED = "read from the model"


class StoppedError(Exception):
    """The person at the panel asked the search to stop."""


class Panel(ipywidgets.VBox):
    """Controls of one map, its picture while it grows, and a strip of kept maps.

    Every control is an attribute, named as in `MapSpec` (`layer`, `unit`, `tv_weight`, `lp_weight`,
    `activation_weight`, `sign`, `objective`, `steps`, `seed`, `engine`, `preprocessing`; `model`,
    `path`, `render_button`, `stop_button`, `keep_button`, `clear_button`): set its `value` or
    `click()` it. The search that a click starts runs in a thread of its own.

    Attributes:
        results: Datasets of the kept maps, in order.
    """

    def __init__(
        self,
        nets: keras.Model | str | Path | Mapping[str, keras.Model | str | Path],
        *,
        preprocessing: models.Preprocessing | None = None,
    ):
        """Load the nets and choose the first layer of the first.

        Args:
            nets: a Keras model, the path of one, or several under their names.
            preprocessing: what the nets expect, as `helpers.models.from_pixels` takes it.

        Raises:
            ValueError: a net cannot be loaded, or preprocessing is not legal.
        """
        super().__init__()
        named = nets if isinstance(nets, Mapping) else {_name(nets): nets}
        self._nets = {name: models.load_model(net) for name, net in named.items()}
        if preprocessing is not None:
            for net in self._nets.values():
                models.resolve_preprocessing(net, preprocessing)
        self.results: list[xr.Dataset] = []
        self._last: xr.Dataset | None = None
        self._shown: tuple[np.ndarray, str] | None = None
        self._stop = threading.Event()
        self._worker: threading.Thread | None = None
        self._build(preprocessing)
        self._choose_model()

    @property
    def spec(self) -> MapSpec:
        """What the controls say now.

        Raises:
            ValueError: a value is not legal for the net.
        """
        values = {name: getattr(self, name).value for name in ("sign", "objective", "engine")}
        preprocessing = self.preprocessing.value
        return maps.make_spec(
            self._nets[self.model.value],
            self.layer.value,
            self.unit.value,
            tv_weights=self.tv_weight.value,
            lp_weights=self.lp_weight.value,
            seeds=self.seed.value,
            steps=self.steps.value,
            activation_weight=self.activation_weight.value,
            preprocessing=None if preprocessing == INFERRED else preprocessing,
            **values,
        )

    def render(self) -> None:
        """Search the map in this thread and show it, as "Run all" needs it.

        Raises:
            ValueError: a value is not legal; the panel's status says so too.
        """
        if error := self._attempt(lambda: self._prepare()()):
            raise error

    def stop(self) -> None:
        """Stop the search at its next step; the picture so far stays."""
        self._stop.set()

    def wait(self) -> None:
        """Wait until a search that a click started has ended."""
        if self._worker:
            self._worker.join()

    def keep(self) -> None:
        """Put the finished map into the strip."""
        if self._last is None:
            raise ValueError("there is no finished map to keep: render one first")
        if any(kept is self._last for kept in self.results):
            raise ValueError("this map is kept already")
        self.results.append(self._last)
        self._show_strip()
        self._say(f"Kept: {len(self.results)} in the strip.")

    def clear(self) -> None:
        """Empty the strip."""
        self.results.clear()
        self._show_strip()
        self._say("The strip is empty.")

    def figure(self) -> figures.MapFigure:
        """Draw the kept maps, or the picture shown last where none is kept, to stay in a file.

        Raises:
            ValueError: nothing was rendered yet.
        """
        if self.results:
            title, shown = "Kept maps", [_shown(kept) for kept in self.results]
        elif self._shown:
            title, shown = "The map shown last", [self._shown]
        else:
            raise ValueError("there is no picture yet: render a map first")
        figure = figures.contact_sheet(
            [pixels / 255 for pixels, _ in shown],
            [caption for _, caption in shown],
            title=f"{title}. a → b: activation of the raw map → of the map as shown.",
            n_columns=4,
        )
        figure.alt = figure.alt.replace("\n", "; ")
        return figure

    def _build(self, preprocessing: models.Preprocessing | None) -> None:
        given = [] if preprocessing in (None, *models.PREPROCESSINGS) else [preprocessing]
        self.model = parts.dropdown("Model", list(self._nets))
        self.path = ipywidgets.Text(
            description="Another model",
            placeholder="path of a .keras or .h5 file, then Enter",
            continuous_update=False,
            style=parts.WIDE,
        )
        self.preprocessing = parts.dropdown(
            "Input", [INFERRED, *models.PREPROCESSINGS, *given], preprocessing or INFERRED
        )
        self.layer = parts.dropdown("Layer")
        self.unit, unit_slider = parts.integer_with_slider("Unit")
        self.sign = ipywidgets.ToggleButtons(
            options=[("HappyMap", "happy"), ("SadMap", "sad")], description="Map", style=parts.WIDE
        )
        self.objective = parts.dropdown("Objective", OBJECTIVES)
        self.activation_weight, act_slider = parts.weight_with_slider("Activation weight", 1.0)
        self.tv_weight, tv_slider = parts.weight_with_slider("TV weight", 10)
        self.lp_weight, lp_slider = parts.weight_with_slider("LP weight", 10)
        self.steps = parts.integer("Steps", 200, 1, 10_000)
        self.seed = parts.integer("Seed", 0, 0, 2**31 - 1)
        self.engine = parts.dropdown("Engine", list(engines.ENGINES))
        self.render_button = ipywidgets.Button(description="Render", button_style="primary")
        self.stop_button = ipywidgets.Button(description="Stop")
        self.keep_button = ipywidgets.Button(description="Keep")
        self.clear_button = ipywidgets.Button(description="Clear strip")
        self.progress = ipywidgets.IntProgress(description="Progress", style=parts.WIDE)
        self.status, self.picture, self.strip = (ipywidgets.HTML() for _ in range(3))

        self._on_change(self.model, self._choose_model)
        self._on_change(self.path, self._add_path)
        self._on_change(self.layer, self._choose_layer)
        self._on_change(self.sign, self._choose_sign)
        for button, call in (
            (self.render_button, self._start),
            (self.stop_button, self.stop),
            (self.keep_button, self.keep),
            (self.clear_button, self.clear),
        ):
            button.on_click(lambda _, call=call: self._attempt(call))

        row = ipywidgets.HBox
        controls = ipywidgets.VBox(
            [
                *(self.model, self.path, self.preprocessing, self.layer),
                row([self.unit, unit_slider]),
                *(self.sign, self.objective),
                row([self.activation_weight, act_slider]),
                row([self.tv_weight, tv_slider]),
                row([self.lp_weight, lp_slider]),
                *(self.steps, self.seed, self.engine),
                row([self.render_button, self.stop_button, self.keep_button, self.clear_button]),
                *(self.progress, self.status),
            ]
        )
        wrap = ipywidgets.Layout(flex_flow="row wrap", grid_gap="1em")
        self.children = [ipywidgets.Box([controls, self.picture], layout=wrap), self.strip]

    def _on_change(self, control: ipywidgets.Widget, call: Callable[[], None]) -> None:
        control.observe(lambda _: self._attempt(call), names="value")

    def _attempt(self, call: Callable[[], None]) -> Exception | None:
        """Call, and put an error into the status in words."""
        try:
            call()
        except Exception as error:
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            self._say(f"Error: {kind}{error}")
            return error

    def _say(self, text: str) -> None:
        self.status.value = f'<div role="status">{escape(text)}</div>'

    def _choose_model(self) -> None:
        net = self._nets[self.model.value]
        infos = models.visualisable_layers(net)
        if not infos:
            raise ValueError(f"{self.model.value} has no layer with units")
        self.layer.options = [
            (f"{info.name} ({info.kind}, {info.units} units)", info.name) for info in infos
        ]
        self.layer.value = infos[0].name
        self._choose_layer()
        shape = " x ".join(str(length) for length in net.input_shape[1:])
        self._say(f"{self.model.value}: takes {shape}; {len(infos)} layers have units.")

    def _choose_layer(self) -> None:
        self.unit.max = models.unit_count(self._nets[self.model.value], self.layer.value) - 1

    def _choose_sign(self) -> None:
        self.objective.disabled = self.sign.value == "sad"
        if self.objective.disabled:
            self.objective.value = "pre-activation"

    def _add_path(self) -> None:
        if path := self.path.value.strip():
            self._nets[path] = models.load_model(path)
            self.model.options = list(self._nets)
            self.model.value = path

    def _start(self) -> None:
        self._worker = threading.Thread(
            target=self._attempt, args=(self._prepare(),), daemon=True, name="search of a map"
        )
        self._worker.start()

    def _prepare(self) -> Callable[[], None]:
        """End a search that runs, and take the controls as they are now for the next."""
        self.stop()
        self.wait()
        self._stop = threading.Event()
        return partial(self._search, self._nets[self.model.value], self.spec, self._stop)

    def _search(self, net: keras.Model, spec: MapSpec, stop: threading.Event) -> None:
        began = time.monotonic()
        self._last = None
        self.progress.max, self.progress.value = spec.steps, 0
        self._say("Searching ...")
        due = 0

        def on_step(step: int, picture: np.ndarray) -> None:
            nonlocal due
            if stop.is_set() or step >= due:
                due = step + STEPS_PER_PICTURE
                self.progress.value = step + 1
                reached = f"step {step + 1} of {spec.steps}"
                self._show(parts.display(picture), f"{parts.describe(spec)}\n{reached}")
            if stop.is_set():
                raise StoppedError

        try:
            dataset = maps.compute(net, spec, progress=False, on_step=on_step)
        except StoppedError:
            reached = self.progress.value
            self._say(f"Stopped after step {reached} of {spec.steps}; the picture is of that step.")
            return
        if not dataset["done"].all():
            raise ValueError(f"the search was interrupted before its {spec.steps} steps were done")
        self._last = dataset
        self.progress.value = spec.steps
        self._show(*_shown(dataset), parts.numbers(dataset))
        self._say(f"Done in {time.monotonic() - began:.1f} s.")

    def _show(self, pixels: np.ndarray, caption: str, numbers: str = "") -> None:
        self._shown = pixels, caption
        self.picture.value = parts.html(pixels, f"{caption}\n{numbers}".strip(), width=256)

    def _show_strip(self) -> None:
        kept = "".join(parts.html(*_shown(one), width=128) for one in self.results)
        self.strip.value = f'<div style="display:flex;flex-wrap:wrap">{kept}</div>'


def _name(net: keras.Model | str | Path) -> str:
    return net.name if isinstance(net, keras.Model) else Path(net).stem


def _shown(dataset: xr.Dataset) -> tuple[np.ndarray, str]:
    return parts.picture(dataset), parts.caption(dataset)
