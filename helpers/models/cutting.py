"""Models cut off after a layer, or before its activation: the model itself runs, nothing is copied.

A cut model is one layer that makes the calls of the user's model one by one. So the weights are
shared, no node is added to the user's layers, and no layer is built from its configuration.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from helpers.models import fast_layers, own_units
from helpers.models.graph import Call, Graph, Value, graph_of, random_data, same
from helpers.models.inputs import as_built, held_values, image_input, in_full_precision
from helpers.models.paths import find_call, info_of, with_units
from helpers.models.preprocessing import Preprocessing, input_front, resolve_in
from helpers.models.steadiness import check_steady, is_own

ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Softmax,
)
ACTIVATION_OPERATIONS = (
    "Relu",
    "Relu6",
    "Elu",
    "Selu",
    "Gelu",
    "Silu",
    "Sigmoid",
    "HardSigmoid",
    "HardSilu",
    "LeakyRelu",
    "LogSoftmax",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
)
"""Class names of Keras's operations that are activation functions."""
LONGEST_CHAIN = 3
"""Layers that `fast_layers.quick_call` takes at most."""


@dataclass(frozen=True)
class Tap:
    """Where a model is read.

    Attributes:
        layer: path of a layer with units, as `models.layers` lists them.
        pre_activation: the layer's output before its own activation function. Of an activation
            layer (ReLU, Softmax ...) that is its input; of a layer without one, its output.
    """

    layer: str
    pre_activation: bool = False


def cut_at(
    model: keras.Model,
    taps: Sequence[Tap],
    *,
    preprocessing: Preprocessing | None = None,
    size: int | Sequence[int] | None = None,
    held: Mapping[str, object] | None = None,
) -> keras.Model:
    """Read layers of a model as functions of pixels; `model` stays as it is.

    Random layers are off, and layers run as they do in `model.predict`.

    Args:
        model: Functional or Sequential, nested at any depth, of any dtype policy; one of low
            precision is computed in float32 (`helpers.models.precision`).
        taps: what is read.
        preprocessing: what the model expects, as `resolve_preprocessing` takes it; None to infer.
        size: of the pixels, where the model has none or was built for another; see `image_shape`.
        held: values of the inputs that are not the image, by name; 0 for those that are not given.

    Returns:
        A Functional model from pixels 0..255 (N, *image shape) float32 to the list of the taps'
        outputs, (N, ..., units) float32. It shares the weights. (Keras gives the only output of a
        model with one, when called, without a list.)

    Raises:
        ValueError: no such layer, or one without units; a layer that does not follow from the
            image alone; a size that the layer cannot be reached at; as `resolve_preprocessing`, and
            as `image_shape`.
    """
    graph = graph_of(model)
    image = image_input(graph, size, None, held)
    resolved = resolve_in(graph, image, preprocessing)
    plan = _plan(model, graph, taps, image.name, held)
    front = input_front(resolved)

    def entered(pixels):
        return as_built(graph, image.name, front(pixels))

    pixels = keras.Input(image.shape, dtype="float32", name="pixels")
    cut = _as_model(pixels, Cut(model, plan, entered), image.shape if image.is_resized else None)
    calls = graph.needed([reading.value for reading in plan.readings])
    check_steady(cut, [call.path for call in calls if is_own(call)])
    return cut


def at_layer(model: keras.Model, layer: str | int, *, pre_activation: bool = False) -> keras.Model:
    """Cut a model off after a layer, its input as it is; `model` stays as it is.

    Args:
        model: Functional or Sequential; inputs that are not the image are held at 0.
        layer: path or index of a layer with units; of a layer called twice, the first call.
        pre_activation: as `Tap` has it.

    Returns:
        A Functional model from the model's own input to (N, ..., units) float32. It shares the
        weights.

    Raises:
        ValueError: as `models.unit_count`.
    """
    graph = graph_of(model)
    name = info_of(find_call(model, graph, layer)).name
    value = graph.inputs[0]
    if len(graph.inputs) > 1:
        image = image_input(graph, 1).name
        value = next(value for value in graph.inputs if value.name == image)
    plan = _plan(model, graph, [Tap(name, pre_activation)], value.name, None)

    def entered(x):
        return in_full_precision(x, value)

    pixels = keras.Input(value.shape[1:], dtype="float32", name=value.name)
    return _as_model(pixels, Cut(model, plan, entered))


def check_gradient(cut: keras.Model) -> None:
    """Check that there is a way back from every output of a cut model to its pixels.

    Args:
        cut: as `cut_at` returns it.

    Raises:
        ValueError: an output has no gradient by the pixels anywhere, as after rounding, an argmax
            or a cast to whole numbers.
    """
    is_connected = []

    def follow(x):
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(x)
            outputs = keras.tree.flatten(cut(x))
        is_connected.extend(tape.gradient(y, x) is not None for y in outputs)

    pixels = tf.TensorSpec((1, *cut.input_shape[1:]), tf.float32)
    tf.function(follow, autograph=False).get_concrete_function(pixels)
    if not all(is_connected):
        raise no_gradient(cut)


def no_gradient(model: keras.Model) -> ValueError:
    """What is raised where there is no way back from a cut model, or one that holds it."""
    (name,) = (layer.name for layer in model.layers if isinstance(layer, Cut))
    return ValueError(
        f"layer {name!r} has no gradient by the image: rounding, an argmax or a cast to whole"
        " numbers lies between them. Optimize a layer before it"
    )


def with_quick_gradients(model: keras.Model) -> keras.Model:
    """The same model with the calls of `fast_layers`, where those give the same.

    Args:
        model: as `cut_at` returns it, alone or inside of a Functional model; or any model, which is
            then cut at its outputs.
    """
    if isinstance(model.layers[-1], Cut):
        pixels = keras.Input(model.input_shape[1:], dtype="float32", name="pixels")
        return _as_model(pixels, model.layers[-1].with_quick_gradients())
    if any(isinstance(layer, Cut) for layer in model.layers):
        return keras.models.clone_model(
            model,
            clone_function=lambda one: one.with_quick_gradients() if isinstance(one, Cut) else one,
        )
    graph = graph_of(model)
    readings = tuple(_Reading(graph.maker(value), value) for value in graph.outputs)
    plan = _Plan(graph, graph.inputs[0], {}, readings)
    pixels = keras.Input(graph.inputs[0].shape[1:], dtype="float32")
    return _as_model(pixels, Cut(model, plan, lambda x: x, is_quick=True))


def before_last(model: keras.Model) -> tuple[Callable, keras.Layer] | None:
    """Split a cut model at its only tap, where that is a plain Conv2D or Dense layer.

    Args:
        model: as `cut_at` returns it.

    Returns:
        What gives the layer's input for pixels, by the calls of `fast_layers`, and the layer, whose
        `kernel`, `bias` and `activation` give the output (see `own_units.own_product`); else
        None.
    """
    last = model.layers[-1]
    return last.before_last() if isinstance(last, Cut) else None


def activation_bytes(model: keras.Model) -> int:
    """Bytes of all layers' outputs for one image: what a gradient keeps in memory.

    Args:
        model: as `with_quick_gradients` takes it.
    """
    cuts = [layer for layer in model.layers if isinstance(layer, Cut)]
    if not cuts:
        return activation_bytes(with_quick_gradients(model))
    return sum(cut.activation_bytes((1, *model.input_shape[1:])) for cut in cuts)


class Cut(keras.layers.Layer):
    """Makes the calls of a user's model up to its taps."""

    def __init__(self, model: keras.Model, plan: "_Plan", entered: Callable, is_quick=False):
        """Share the layers of `model`; `entered` brings pixels into the form of its input."""
        super().__init__(name=plan.name, dtype="float32", autocast=False)
        self.source = model
        self.settings = lambda: (plan, entered, is_quick)  # Keras would track and wrap a tuple

    def call(self, pixels):
        """(N, ...) to the taps' outputs, float32; of one tap, the tensor itself."""
        plan, entered, is_quick = self.settings()
        outputs = plan.outputs(entered(pixels), is_quick)
        outputs = [keras.ops.cast(x, "float32") for x in outputs]
        return outputs if len(outputs) > 1 else outputs[0]

    def with_quick_gradients(self) -> "Cut":
        """The same layer with the calls of `fast_layers`."""
        plan, entered, _ = self.settings()
        return Cut(self.source, plan, entered, is_quick=True)

    def activation_bytes(self, shape: tuple[int, ...]) -> int:
        """Of pixels of that shape."""
        plan, entered, _ = self.settings()
        sizes = []

        def follow(pixels):
            read = [reading.value for reading in plan.readings]
            values = plan.values(entered(pixels), read, is_quick=False)
            sizes.extend((x.shape.num_elements() or 0) * x.dtype.size for x in values.values())

        graph = tf.function(follow, autograph=False)
        graph.get_concrete_function(tf.TensorSpec(shape, tf.float32))
        return sum(sizes)

    def before_last(self) -> tuple[Callable, keras.Layer] | None:
        """As the function of this name."""
        plan, entered, _ = self.settings()
        reading = plan.readings[0]
        layer = reading.operation or reading.call.operation
        makes_it = reading.value in reading.call.outputs
        if len(plan.readings) > 1 or not makes_it or not own_units.is_plain(layer):
            return None
        before = reading.call.inputs[0]

        def body(pixels):
            return plan.values(entered(pixels), [before], is_quick=True)[before]

        return body, layer


@dataclass(frozen=True)
class _Reading:
    """What a tap reads.

    Attributes:
        call: the tap's.
        value: of the graph.
        operation: takes the place of the call's own, where that is not what is read.
    """

    call: Call
    value: Value
    operation: keras.Operation | None = None


@dataclass(frozen=True)
class _Plan:
    """How the taps of a model follow from its image.

    Attributes:
        graph: of the model.
        image: value of the image input.
        held: an example (1, ...) of each other input.
        readings: what is read.
    """

    graph: Graph
    image: Value
    held: dict
    readings: tuple[_Reading, ...]

    @property
    def name(self) -> str:
        """A name for the layer that runs it, after the last tap."""
        return self.readings[-1].call.path.replace("/", ".").replace("#", ".")

    def values(self, entering, wanted: Sequence[Value], is_quick: bool) -> dict:
        """Tensors of the values that some values depend on, and of those."""
        values = {self.image: entering}
        for value, example in self.held.items():
            shape = (keras.ops.shape(entering)[0], *example.shape[1:])
            values[value] = keras.ops.broadcast_to(example, shape)
        for calls, quick in self._steps(wanted, is_quick):
            try:
                outputs = calls[0].run(values, quick)
            except Exception as error:
                raise ValueError(f"{calls[0].path!r}: {in_short(error)}") from error
            values |= zip(calls[-1].outputs, outputs, strict=True)
        return values

    def _steps(
        self, wanted: Sequence[Value], is_quick: bool
    ) -> Iterator[tuple[tuple[Call, ...], Callable | None]]:
        """Calls that are made as one, and what makes them: None for a call's own operation."""
        calls = self.graph.needed(wanted)
        if not is_quick:
            yield from (((call,), None) for call in calls)
            return
        readers = defaultdict(list)
        for call in calls:
            for value in call.inputs:
                readers[value].append(call)
        for value in wanted:
            readers[value].append(None)
        made = set()
        for call in calls:
            if call not in made:
                chain, quick = _quick_chain(call, readers)
                made.update(chain)
                yield chain, quick

    def outputs(self, entering, is_quick: bool) -> list:
        """Tensors of what is read."""
        wanted = [
            value
            for reading in self.readings
            for value in (reading.call.inputs if reading.operation else [reading.value])
        ]
        values = self.values(entering, wanted, is_quick)
        return [
            reading.call.run(
                values,
                (is_quick and fast_layers.quick_call(reading.operation)) or reading.operation,
            )[0]
            if reading.operation
            else values[reading.value]
            for reading in self.readings
        ]


def _quick_chain(
    call: Call, readers: Mapping[Value, Sequence[Call | None]]
) -> tuple[tuple[Call, ...], Callable | None]:
    """The longest chain from a call on that has a quick call; no one else reads what is inside."""
    chain = [call]
    while len(chain) < LONGEST_CHAIN and len(chain[-1].outputs) == 1:
        match readers[chain[-1].outputs[0]]:
            case [Call() as only]:
                chain.append(only)
            case _:
                break
    for length in range(len(chain), 0, -1):
        quick = fast_layers.quick_call(*(one.operation for one in chain[:length]))
        if quick:
            return tuple(chain[:length]), quick
    return (call,), None


def in_short(error: Exception, length: int = 110) -> str:
    """What matters of an error's message: the start of its first full line."""
    inner = str(error).rpartition("Error encountered:")[2]
    lines = [line.strip() for line in inner.splitlines() if line.strip()]
    lines = [line for line in lines if "encountered when calling" not in line] or [""]
    text = lines[0].replace("\x1b[1m", "").replace("\x1b[0m", "") or type(error).__name__
    return text if len(text) <= length else text[: length - 4] + " ..."


def _plan(model, graph: Graph, taps: Sequence[Tap], image: str, held) -> _Plan:
    value = next(value for value in graph.inputs if value.name == image)
    readings = []
    for tap in taps:
        call = find_call(model, graph, tap.layer)
        with_units(model, info_of(call))
        _check_reached(graph, value, call)
        readings.append(_before_activation(call) if tap.pre_activation else _output(call))
    return _Plan(graph, value, held_values(graph, image, held), tuple(readings))


def _check_reached(graph: Graph, image: Value, call: Call) -> None:
    before = graph.needed(call.outputs)
    if not any(image in one.inputs for one in before):
        raise ValueError(f"layer {call.path!r} must follow from the image, input {image.name!r}")
    for one in before:
        is_norm = isinstance(one.operation, keras.layers.BatchNormalization)
        if is_norm and one.node.arguments.kwargs.get("training") is True:
            raise ValueError(
                f"layer {one.path!r} is called with training=True, so that an image's activations"
                " depend on the other images of its batch: build the model without"
            )


def _output(call: Call) -> _Reading:
    return _Reading(call, call.outputs[0])


def _before_activation(call: Call) -> _Reading:
    """Read a call before its activation function, shown on data to be what that is applied to."""
    layer = call.operation
    if isinstance(layer, ACTIVATION_LAYERS) or type(layer).__name__ in ACTIVATION_OPERATIONS:
        return _Reading(call, call.inputs[0])
    inner = layer.layer if isinstance(layer, keras.layers.Wrapper) else layer
    activation = getattr(inner, "activation", None)
    if activation is None or activation is keras.activations.linear:
        return _output(call)
    linear = _changed(inner, activation=keras.activations.linear)
    if inner is not layer:
        linear = _changed(layer, layer=linear)
    noise = {value: random_data(value.shape, value.dtype) for value in call.inputs}
    outputs = call.run(noise)
    if not same(outputs[:1], [activation(call.run(noise, linear)[0])]):
        raise ValueError(
            f"layer {call.path!r} ({type(layer).__name__}) has no pre-activation: its output is not"
            " its activation function of something. Take objective 'activation'"
        )
    return _Reading(call, call.outputs[0], linear)


def _changed(layer: keras.Layer, /, **attributes) -> keras.Layer:
    """The same layer, weights shared, but for some attributes; `layer` stays as it is."""
    other = object.__new__(type(layer))
    vars(other).update(vars(layer) | attributes)
    return other


def _as_model(pixels, cut: Cut, size: Sequence[int] | None = None) -> keras.Model:
    """A model of the cut alone, checked to run where it was not built for that `size`."""
    try:
        outputs = cut(pixels)
        model = keras.Model(pixels, outputs, name=cut.source.name)
        if size:
            found = keras.tree.flatten(model(np.zeros((1, *pixels.shape[1:]), "float32")))
            if any(x.shape[0] != 1 for x in found):
                raise ValueError("the image falls into several examples")
    except Exception as error:
        where = f" at size {tuple(size)}" if size else ""
        raise ValueError(
            f"layer {cut.name!r} cannot be computed{where}: {in_short(error, 160)}"
        ) from error
    return model
