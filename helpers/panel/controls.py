"""The panel's controls: everything that determines a map."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields

import ipywidgets
import keras
import numpy as np
import traitlets

from helpers import maps, models
from helpers.maps import engines
from helpers.maps.dataset import FIELDS
from helpers.maps.given import OwnPreprocessing, resolve
from helpers.maps.presets import PRESETS
from helpers.maps.relative import RELATIVE_WEIGHT
from helpers.maps.spec import OBJECTIVES, PIXELS, MapSpec
from helpers.models.preprocessing import Preprocessing, Standardized, resolve_preprocessing
from helpers.panel import sources
from helpers.panel.elements import Number, Status, dropdown, text_box
from helpers.panel.wanted import KERAS_VIS, RECIPES, RELATIVE, Wanted

WEIGHTS = (("relative to the objective", "relative"), ("absolute, as keras-vis", "absolute"))
ABSOLUTE_WEIGHT = 10.0
"""keras-vis's weight of total variation and LP norm."""
WEIGHT = {"max": 1e6, "ends": [1e-5, 1e3], "logarithmic": True}

PLAIN = ("sign", "objective", "activation_weight", "weights", "steps", "engine", "pixels")
"""Choices whose names and values are those of a spec."""
OF_KERAS_VIS = ("weights", "tv_weight", "lp_weight", "activation_weight", "engine", "pixels")
"""Controls that play no part in other recipes, and are hidden there."""


class Controls(ipywidgets.VBox):
    """Every choice that determines a map, named as in `MapSpec`; set a control's `value`.

    Attributes:
        model, path, preprocessing, input_range, mean_and_sd, size, layer, unit, preset, seed,
            steps, sign, objective, weights, tv_weight, lp_weight, activation_weight, engine,
            pixels: the controls.
    """

    def __init__(
        self,
        given: sources.Models,
        preprocessing: Preprocessing | None,
        status: Status,
        moved: Callable[[], None],
        *,
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
        """Load the models and set the controls.

        Args:
            given: the models, as `helpers.panel.Panel` takes them.
            preprocessing: what the given models expect; None to read it from each, as it is read
                from those that are opened later.
            status: where errors are announced.
            moved: called after each change of what the controls ask for.
            layer: name of a layer of the first model; None for its first layer with units.
            unit: number of the unit.
            preset: one of `RECIPES`; None for "keras_vis" where something is given that only it
                has, else "robust".
            weights: one of `helpers.maps.spec.WEIGHTS`; None for "absolute" where a weight is
                given, else "relative".
            tv_weight: weight of the total variation, at least 0; None for 10, relative 0.1.
            lp_weight: weight of the LP norm, likewise.
            activation_weight: weight of the objective, above 0; None for 1.
            seed: integer that makes the seed input.
            sign: "happy" or "sad".
            objective: one of `helpers.maps.spec.OBJECTIVES`; None for "activation" of keras-vis,
                else, and of a SadMap, "pre-activation".
            steps: gradient steps, at least 1; None for the preset's.
            engine: one of `helpers.maps.engines.ENGINES`; None for "batched".
            pixels: one of `helpers.maps.spec.PIXELS`; None for "free".
            size: of the maps of the first model; None for its own.
            held: values of the inputs that are not the image, by name.

        Raises:
            ValueError: a model cannot be loaded or has no units, or preprocessing or a choice is
                not legal.
        """
        super().__init__()
        self._models, self._inputs = sources.load(given), dict(held or {})
        if preprocessing is not None:
            for model in self._models.values():
                resolve_preprocessing(model, preprocessing, held=self._inputs)
        self._given, self._status, self._moved = preprocessing, status, moved
        self._is_given_for = set(self._models)
        self._is_held = True
        self._build()
        self._choose_model()
        own = (weights, tv_weight, lp_weight, activation_weight, engine, pixels)
        if preset is None:
            preset = "robust" if all(value is None for value in own) else KERAS_VIS
        if weights is None:
            weights = "relative" if tv_weight is None and lp_weight is None else "absolute"
        self._set("preset", preset)
        self._choose_preset()
        chosen = {"weights": weights, "layer": layer, "unit": unit}
        chosen |= {"tv_weight": tv_weight, "lp_weight": lp_weight, "size": _typed(size)}
        chosen |= {"activation_weight": activation_weight, "seed": seed, "sign": sign}
        chosen |= {"objective": objective, "steps": steps, "engine": engine, "pixels": pixels}
        for name, value in chosen.items():
            if value is not None:
                self._set(name, value)
        self._is_held = False

    @property
    def chosen_model(self) -> keras.Model:
        """The Keras model whose name the control `model` holds."""
        return self._models[self.model.value]

    @property
    def wanted(self) -> Wanted:
        """The map that the controls ask for, and the preset that makes it.

        Raises:
            ValueError: a value is not legal for the model.
        """
        return Wanted(self.spec, self.preset.value)

    @property
    def spec(self) -> MapSpec:
        """The same as a spec of keras-vis, by relative weights where another preset is chosen.

        Raises:
            ValueError: a value is not legal for the model.
        """
        size = sources.size(self.size.value)
        own = {name: _value(getattr(self, name)) for name in PLAIN}
        own |= {"tv_weights": self.tv_weight.value, "lp_weights": self.lp_weight.value}
        if self.preset.value != KERAS_VIS:
            own = {name: own[name] for name in PLAIN if name not in OF_KERAS_VIS} | RELATIVE
        return maps.make_spec(
            self.chosen_model,
            self.layer.value,
            self.unit.number,
            seeds=self.seed.number,
            **own,
            preprocessing=self._preprocessing(size),
            size=size,
            held=self._inputs,
        )

    def put(self, wanted: Wanted) -> None:
        """Move the controls to what is wanted, to the first value of each list in it.

        Raises:
            ValueError: the chosen model has no such layer or units, a value is not legal, or the
                spec starts from an image, which it names by its digest only, or needs a function of
                the user's own, which it names only and the panel does not have.
        """
        spec = wanted.spec
        if spec.seed_input is not None:
            raise ValueError(
                "seed_input must be absent: the panel starts from noise, and a spec does not hold"
                f" the image of digest {spec.seed_input!r}"
            )
        values = {field.name: getattr(spec, field.name) for field in fields(spec)}
        layer, units = values.pop("layer"), values.pop("units")
        preprocessing = self._known(spec)
        values["preprocessing"] = preprocessing
        spec = maps.make_spec(self.chosen_model, layer, units, **values)
        with self._held():
            self.preset.value = wanted.preset
            hidden = () if wanted.preset == KERAS_VIS else OF_KERAS_VIS
            for name in ("layer", *PLAIN):
                if name not in hidden:
                    getattr(self, name).value = getattr(spec, name)
            for dim, field in FIELDS.items():
                if dim not in hidden:
                    getattr(self, dim).value = getattr(spec, field)[0]
            self.size.value, self._inputs = _typed(spec.size), dict(spec.held or ())
            self._put_preprocessing(preprocessing)

    def add(self, name: str) -> None:
        """Open a model and choose it, by the robust preset; of keras-vis, with relative weights.

        Args:
            name: path of a file, or name of a variable of the notebook.

        Raises:
            ValueError: neither a variable that holds a Keras model nor a file of one.
        """
        self._models[name] = sources.find(name)
        with self._held():
            self.model.options = self._listed()
            self.model.value = name
            self._choose_model()
            self.weights.value, self.preset.value = "relative", "robust"

    def _build(self) -> None:
        self.model = dropdown("Model", self._listed())
        self.path = text_box("Another model", "path, or name of a variable")
        self.preprocessing = dropdown("Input")
        self.input_range = text_box("Input range", "low, high")
        self.mean_and_sd = text_box("Mean; sd", "0.5, 0.4, 0.3; 0.2, 0.2, 0.2")
        self.size = text_box("Size", "as the model has it")
        self.layer = dropdown("Layer")
        self.unit = Number(name="Unit", ends=[0, 0])
        self.preset = dropdown("Recipe", RECIPES)
        self.weights = dropdown("Weights", WEIGHTS)
        self.tv_weight = Number(name="TV weight", value=RELATIVE_WEIGHT, **WEIGHT)
        self.lp_weight = Number(name="LP weight", value=RELATIVE_WEIGHT, **WEIGHT)
        self.activation_weight = Number(name="Activation weight", value=1, **WEIGHT)
        self.seed = Number(name="Seed", max=2**31 - 1, ends=[0, 20])
        self.sign = dropdown("Map", [("HappyMap", "happy"), ("SadMap", "sad")])
        self.objective = dropdown("Objective", OBJECTIVES)
        self.steps = Number(name="Steps", value=200, min=1, max=10_000, ends=[20, 1000])
        self.engine = dropdown("Engine", list(engines.ENGINES))
        self.pixels = dropdown("Pixels", PIXELS)
        self.children = [
            *(self.model, self.path, self.preprocessing, self.input_range, self.mean_and_sd),
            *(self.size, self.layer, self.unit, self.preset, self.weights, self.tv_weight),
            *(self.lp_weight, self.activation_weight, self.seed, self.steps),
            *(self.sign, self.objective, self.engine, self.pixels),
        ]
        follow = {
            self.model: self._choose_model,
            self.path: self._add_path,
            self.preprocessing: self._choose_preprocessing,
            self.layer: self._choose_layer,
            self.preset: self._choose_preset,
            self.sign: self._choose_sign,
            self.weights: self._choose_weights,
        }
        for control in self.children:
            call = follow.get(control, lambda: None)
            control.observe(lambda _, call=call: self._follow(call), names="value")

    def _listed(self) -> list[tuple[str, str]]:
        return [(sources.label(name), name) for name in self._models]

    def _set(self, name: str, value) -> None:
        try:
            getattr(self, name).value = value
        except traitlets.TraitError as error:
            raise ValueError(f"{name} must be a value that its control takes: {error}") from error

    def _follow(self, call: Callable[[], None]) -> None:
        """Do what a change asks for, then report one move, when all is settled."""
        with suppress(Exception), self._status.announcing(), self._held():
            call()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Gather changes that belong together into one move, at the end of the outermost."""
        outermost = not self._is_held
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = self._is_held and not outermost
        if outermost:
            self._moved()

    def _choose_model(self) -> None:
        infos = models.layers(self.chosen_model)
        self.layer.options = [
            (f"{info.name} ({info.kind}, {info.units} units)", info.name) for info in infos
        ]
        self.layer.value = infos[0].name
        self._choose_layer()
        self.size.value = sources.first_size(self.chosen_model, self._inputs)
        size = sources.size(self.size.value)
        try:
            found = resolve_preprocessing(self.chosen_model, size=size, held=self._inputs)
            first = f"read from the model: {found}"
        except ValueError:
            first = "choose: the model does not state it"
        self.preprocessing.options = [(first, sources.INFERRED), *sources.INPUTS]
        is_given = self._given is not None and self.model.value in self._is_given_for
        self._put_preprocessing(self._given if is_given else sources.INFERRED)

    def _choose_layer(self) -> None:
        last = models.unit_count(self.chosen_model, self.layer.value) - 1
        self.unit.max, self.unit.ends = last, [0, last]
        self.unit.value = min(self.unit.value, last)

    def _choose_preset(self) -> None:
        """Bring steps and objective to the preset's own, and hide what plays no part in it."""
        name = self.preset.value
        self.steps.value = PRESETS[name].steps
        is_keras_vis = name == KERAS_VIS
        self.objective.value = "activation" if is_keras_vis else "pre-activation"
        for hidden in OF_KERAS_VIS:
            getattr(self, hidden).layout.display = "" if is_keras_vis else "none"
        self._choose_sign()

    def _choose_sign(self) -> None:
        if self.sign.value == "sad" and self.objective.value == "activation":
            self.objective.value = "pre-activation"

    def _choose_weights(self) -> None:
        first = RELATIVE_WEIGHT if self.weights.value == "relative" else ABSOLUTE_WEIGHT
        self.tv_weight.value = self.lp_weight.value = first

    def _choose_preprocessing(self) -> None:
        chosen = self.preprocessing.value
        for box, name in (
            (self.input_range, sources.OTHER_RANGE),
            (self.mean_and_sd, sources.MEAN_AND_SD),
        ):
            box.layout.display = "" if isinstance(chosen, str) and chosen == name else "none"

    def _preprocessing(self, size) -> Preprocessing:
        return sources.preprocessing(
            self.chosen_model,
            self.preprocessing.value,
            self.input_range.value,
            self.mean_and_sd.value,
            size,
            self._inputs,
        )

    def _known(self, spec: MapSpec) -> Preprocessing:
        """A spec's preprocessing; where that is the name of a function, the one of the panel."""
        wanted = spec.preprocessing
        if isinstance(wanted, OwnPreprocessing) and wanted.call is None:
            for _, own in self.preprocessing.options:
                if callable(own) and self._named(own, spec) == wanted:
                    return own
        return wanted

    def _named(self, preprocessing: Preprocessing, spec: MapSpec) -> Preprocessing:
        given = resolve(self.chosen_model, preprocessing, spec.size, spec.held)
        return given["preprocessing"]

    def _put_preprocessing(self, preprocessing: Preprocessing) -> None:
        known = [value for _, value in self.preprocessing.options]
        if isinstance(preprocessing, tuple | list):
            self.input_range.value = ", ".join(f"{end:g}" for end in preprocessing)
            preprocessing = sources.OTHER_RANGE
        elif isinstance(preprocessing, Standardized) and preprocessing.scale == 1:
            mean, sd = (_typed(numbers) for numbers in (preprocessing.mean, preprocessing.sd))
            self.mean_and_sd.value = f"{mean}; {sd}"
            preprocessing = sources.MEAN_AND_SD
        elif not any(preprocessing is value or preprocessing == value for value in known):
            option = (sources.describe(preprocessing), preprocessing)
            self.preprocessing.options = [*self.preprocessing.options, option]
        self.preprocessing.value = preprocessing
        self._choose_preprocessing()

    def _add_path(self) -> None:
        if name := self.path.value.strip():
            self.add(name)
            self.path.value = ""


def _typed(numbers) -> str:
    """Numbers as they are typed into a text box; "" for None."""
    return "" if numbers is None else ", ".join(f"{n:g}" for n in np.atleast_1d(numbers))


def _value(control: ipywidgets.Widget):
    return control.number if isinstance(control, Number) else control.value
