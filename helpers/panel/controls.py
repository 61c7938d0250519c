"""The panel's controls: everything that determines a map."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields

import ipywidgets
import keras
import traitlets

from helpers import maps, models
from helpers.maps import engines
from helpers.maps.dataset import FIELDS
from helpers.maps.spec import OBJECTIVES, PIXELS, MapSpec
from helpers.models.preprocessing import Preprocessing, resolve_preprocessing
from helpers.panel import sources
from helpers.panel.elements import Number, Status, dropdown, text_box

WEIGHT = {"max": 1e6, "ends": [1e-5, 1e3], "logarithmic": True}

PLAIN = ("sign", "objective", "activation_weight", "steps", "engine", "pixels")
"""Choices whose names and values are those of a spec."""


class Controls(ipywidgets.VBox):
    """Every choice that determines a map, named as in `MapSpec`; set a control's `value`.

    Attributes:
        model, path, preprocessing, input_range, layer, unit, tv_weight, lp_weight,
            activation_weight, seed, sign, objective, steps, engine, pixels: the controls.
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
        tv_weight: float = 10.0,
        lp_weight: float = 10.0,
        activation_weight: float = 1.0,
        seed: int = 0,
        sign: str = "happy",
        objective: str | None = None,
        steps: int = 200,
        engine: str = "batched",
        pixels: str = "free",
    ):
        """Load the models and set the controls.

        Args:
            given: the models, as `helpers.panel.Panel` takes them.
            preprocessing: what the models expect; None to read it from each.
            status: where errors are announced.
            moved: called after each change of what the controls ask for.
            layer: name of a layer of the first model; None for its first layer with units.
            unit: number of the unit.
            tv_weight: weight of the total variation, at least 0.
            lp_weight: weight of the LP norm, at least 0.
            activation_weight: weight of the objective, above 0.
            seed: integer that makes the seed input.
            sign: "happy" or "sad".
            objective: one of `helpers.maps.spec.OBJECTIVES`; None for "activation", of a SadMap
                "pre-activation".
            steps: gradient steps, at least 1.
            engine: one of `helpers.maps.engines.ENGINES`.
            pixels: one of `helpers.maps.spec.PIXELS`.

        Raises:
            ValueError: a model cannot be loaded or has no units, or preprocessing or a choice is
                not legal.
        """
        super().__init__()
        self._models = sources.load(given)
        if preprocessing is not None:
            for model in self._models.values():
                resolve_preprocessing(model, preprocessing)
        self._given, self._status, self._moved = preprocessing, status, moved
        self._is_held = True
        self._build()
        self._choose_model()
        chosen = {"layer": layer, "unit": unit, "tv_weight": tv_weight, "lp_weight": lp_weight}
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
    def spec(self) -> MapSpec:
        """What the controls ask for.

        Raises:
            ValueError: a value is not legal for the model.
        """
        return maps.make_spec(
            self.chosen_model,
            self.layer.value,
            self.unit.number,
            tv_weights=self.tv_weight.value,
            lp_weights=self.lp_weight.value,
            seeds=self.seed.number,
            **{name: _value(getattr(self, name)) for name in PLAIN},
            preprocessing=sources.preprocessing(
                self.chosen_model, self.preprocessing.value, self.input_range.value
            ),
        )

    def put(self, spec: MapSpec) -> None:
        """Move the controls to a spec, to the first value of each list in it.

        Raises:
            ValueError: the chosen model has no such layer or units, a value is not legal, or the
                spec starts from an image, which it names by its digest only.
        """
        if spec.seed_input is not None:
            raise ValueError(
                "seed_input must be absent: the panel starts from noise, and a spec does not hold"
                f" the image of digest {spec.seed_input!r}"
            )
        values = {field.name: getattr(spec, field.name) for field in fields(spec)}
        layer, units = values.pop("layer"), values.pop("units")
        spec = maps.make_spec(self.chosen_model, layer, units, **values)
        with self._held():
            for name in ("layer", *PLAIN):
                getattr(self, name).value = getattr(spec, name)
            for dim, field in FIELDS.items():
                getattr(self, dim).value = getattr(spec, field)[0]
            self._put_preprocessing(spec.preprocessing)

    def add(self, name: str) -> None:
        """Open a model and choose it.

        Args:
            name: path of a file, or name of a variable of the notebook.

        Raises:
            ValueError: neither a variable that holds a Keras model nor a file of one.
        """
        self._models[name] = sources.find(name)
        with self._held():
            self.model.options = list(self._models)
            self.model.value = name
            self._choose_model()

    def _build(self) -> None:
        self.model = dropdown("Model", list(self._models))
        self.path = text_box("Another model", "path, or name of a variable")
        self.preprocessing = dropdown("Input")
        self.input_range = text_box("Input range", "low, high")
        self.layer = dropdown("Layer")
        self.unit = Number(name="Unit", ends=[0, 0])
        self.tv_weight = Number(name="TV weight", value=10, **WEIGHT)
        self.lp_weight = Number(name="LP weight", value=10, **WEIGHT)
        self.activation_weight = Number(name="Activation weight", value=1, **WEIGHT)
        self.seed = Number(name="Seed", max=2**31 - 1, ends=[0, 20])
        self.sign = dropdown("Map", [("HappyMap", "happy"), ("SadMap", "sad")])
        self.objective = dropdown("Objective", OBJECTIVES)
        self.steps = Number(name="Steps", value=200, min=1, max=10_000, ends=[20, 1000])
        self.engine = dropdown("Engine", list(engines.ENGINES))
        self.pixels = dropdown("Pixels", PIXELS)
        self.children = [
            *(self.model, self.path, self.preprocessing, self.input_range, self.layer),
            *(self.unit, self.tv_weight, self.lp_weight, self.activation_weight, self.seed),
            *(self.sign, self.objective, self.steps, self.engine, self.pixels),
        ]
        follow = {
            self.model: self._choose_model,
            self.path: self._add_path,
            self.preprocessing: self._choose_preprocessing,
            self.layer: self._choose_layer,
            self.sign: self._choose_sign,
        }
        for control in self.children:
            call = follow.get(control, lambda: None)
            control.observe(lambda _, call=call: self._follow(call), names="value")

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
        try:
            first = f"read from the model: {resolve_preprocessing(self.chosen_model)}"
        except ValueError:
            first = "choose: the model does not state it"
        self.preprocessing.options = [(first, sources.INFERRED), *sources.INPUTS]
        self._put_preprocessing(self._given or sources.INFERRED)

    def _choose_layer(self) -> None:
        last = models.unit_count(self.chosen_model, self.layer.value) - 1
        self.unit.max, self.unit.ends = last, [0, last]
        self.unit.value = min(self.unit.value, last)

    def _choose_sign(self) -> None:
        if self.sign.value == "sad" and self.objective.value == "activation":
            self.objective.value = "pre-activation"

    def _choose_preprocessing(self) -> None:
        is_other = self.preprocessing.value == sources.OTHER_RANGE
        self.input_range.layout.display = "" if is_other else "none"

    def _put_preprocessing(self, preprocessing: Preprocessing) -> None:
        if not isinstance(preprocessing, str):
            self.input_range.value = ", ".join(f"{end:g}" for end in preprocessing)
            preprocessing = sources.OTHER_RANGE
        self.preprocessing.value = preprocessing
        self._choose_preprocessing()

    def _add_path(self) -> None:
        if name := self.path.value.strip():
            self.add(name)


def _value(control: ipywidgets.Widget):
    return control.number if isinstance(control, Number) else control.value
