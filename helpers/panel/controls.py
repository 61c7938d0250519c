"""The panel's controls: which map is asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields

import ipywidgets
import keras
import traitlets

from helpers import maps, models
from helpers.maps import engines
from helpers.maps.dataset import FIELDS
from helpers.maps.spec import OBJECTIVES, PIXELS, MapSpec
from helpers.models.preprocessing import Preprocessing, resolve_preprocessing
from helpers.panel import sources as nets
from helpers.panel.elements import Number, Status, dropdown, text_box

WEIGHT = {"max": 1e6, "ends": [1e-5, 1e3], "logarithmic": True}

PLAIN = ("sign", "objective", "activation_weight", "steps", "engine", "pixels")
"""Choices whose names and values are those of a spec."""
CHOICES = ("layer", *FIELDS, *PLAIN)


class Controls(ipywidgets.VBox):
    """Every choice that determines a map, named as in `MapSpec`; set a control's `value`.

    Attributes:
        model, path, preprocessing, input_range, layer, unit, tv_weight, lp_weight,
            activation_weight, seed, sign, objective, steps, engine, pixels: the controls.
    """

    def __init__(
        self,
        given: nets.Nets,
        preprocessing: Preprocessing | None,
        status: Status,
        moved: Callable[[], None],
        **chosen,
    ):
        """Load the nets and choose the first layer of the first.

        Args:
            given: the nets, as `helpers.panel.Panel` takes them.
            preprocessing: what the nets expect; None to read it from each.
            status: where errors are said.
            moved: called after each change of what the controls ask for.
            **chosen: values of controls, by name.

        Raises:
            ValueError: a net cannot be loaded or has no units, preprocessing is not legal, or
                there is no such control or choice.
        """
        super().__init__()
        self._nets = nets.load(given)
        if preprocessing is not None:
            for net in self._nets.values():
                resolve_preprocessing(net, preprocessing)
        self._given, self._status, self._moved = preprocessing, status, moved
        self._is_held = True
        self._build()
        self._choose_model()
        for name, value in chosen.items():
            self._set(name, value)
        self._is_held = False

    @property
    def net(self) -> keras.Model:
        """The chosen model."""
        return self._nets[self.model.value]

    @property
    def spec(self) -> MapSpec:
        """What the controls ask for.

        Raises:
            ValueError: a value is not legal for the net.
        """
        return maps.make_spec(
            self.net,
            self.layer.value,
            self.unit.number,
            tv_weights=self.tv_weight.value,
            lp_weights=self.lp_weight.value,
            seeds=self.seed.number,
            **{name: _value(getattr(self, name)) for name in PLAIN},
            preprocessing=nets.preprocessing(
                self.net, self.preprocessing.value, self.input_range.value
            ),
        )

    def put(self, spec: MapSpec) -> None:
        """Move the controls to a spec, to the first value of each list in it.

        Raises:
            ValueError: the chosen model has no such layer or units, a value is not legal, or the
                spec starts from a picture, which it names by its digest only.
        """
        if spec.seed_input is not None:
            raise ValueError(
                "seed_input must be absent: the panel starts from noise, and a spec does not hold"
                f" the picture of digest {spec.seed_input!r}"
            )
        values = {field.name: getattr(spec, field.name) for field in fields(spec)}
        layer, units = values.pop("layer"), values.pop("units")
        spec = maps.make_spec(self.net, layer, units, **values)
        with self._held():
            for name in ("layer", *PLAIN):
                getattr(self, name).value = getattr(spec, name)
            for dim, field in FIELDS.items():
                getattr(self, dim).value = getattr(spec, field)[0]
            self._put_preprocessing(spec.preprocessing)

    def add(self, net: str) -> None:
        """Open a model and choose it.

        Args:
            net: path of a file, or name of a variable of the notebook.

        Raises:
            ValueError: neither a variable that holds a Keras model nor a file of one.
        """
        self._nets[net] = nets.find(net)
        with self._held():
            self.model.options = list(self._nets)
            self.model.value = net
            self._choose_model()

    def _build(self) -> None:
        self.model = dropdown("Model", list(self._nets))
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
        if name not in CHOICES:
            raise ValueError(f"controls are {CHOICES}, got {name!r}")
        try:
            getattr(self, name).value = value
        except traitlets.TraitError as error:
            raise ValueError(f"{name} must be a value that its control takes: {error}") from error

    def _follow(self, call: Callable[[], None]) -> None:
        """Do what a change asks for, then say that something moved: once, when all is settled."""

        def settle() -> None:
            with self._held():
                call()

        self._status.attempt(settle)

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
        infos = models.layers(self.net)
        self.layer.options = [
            (f"{info.name} ({info.kind}, {info.units} units)", info.name) for info in infos
        ]
        self.layer.value = infos[0].name
        self._choose_layer()
        try:
            first = f"read from the model: {resolve_preprocessing(self.net)}"
        except ValueError:
            first = "choose: the model does not say"
        self.preprocessing.options = [(first, nets.INFERRED), *nets.INPUTS]
        self._put_preprocessing(self._given or nets.INFERRED)

    def _choose_layer(self) -> None:
        last = models.unit_count(self.net, self.layer.value) - 1
        self.unit.max, self.unit.ends = last, [0, last]
        self.unit.value = min(self.unit.value, last)

    def _choose_sign(self) -> None:
        if self.sign.value == "sad" and self.objective.value == "activation":
            self.objective.value = "pre-activation"

    def _choose_preprocessing(self) -> None:
        is_other = self.preprocessing.value == nets.OTHER_RANGE
        self.input_range.layout.display = "" if is_other else "none"

    def _put_preprocessing(self, preprocessing: Preprocessing) -> None:
        if not isinstance(preprocessing, str):
            self.input_range.value = ", ".join(f"{end:g}" for end in preprocessing)
            preprocessing = nets.OTHER_RANGE
        self.preprocessing.value = preprocessing
        self._choose_preprocessing()

    def _add_path(self) -> None:
        if net := self.path.value.strip():
            self.add(net)


def _value(control: ipywidgets.Widget):
    return control.number if isinstance(control, Number) else control.value
