"""The calls that a model makes, nested models unrolled: the one place that reads Keras's graph."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from helpers.models.precision import full_precision, in_float32

SIDE = 8
"""Length of an axis without a size in the random data that copies are compared on."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph.

    Attributes:
        name: of an input, else "".
        shape: with the batch, None where it is open.
        dtype: its Keras dtype.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer or operation.

    Attributes:
        path: names of the nested models and of the layer, "base/conv"; "conv#2" at a second call.
        index: position in `model.layers` of the layer, or of the nested model that it is in; None
            for an operation that is no layer.
        operation: the layer or operation itself.
        node: Keras's node, which holds the arguments.
        inputs: values of the node's input tensors, in their order.
        outputs: values it gives.
    """

    path: str
    index: int | None
    operation: keras.Operation
    node: object
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def run(self, values: dict, operation: Callable | None = None) -> list:
        """Call with tensors for the inputs, not in training and not in low precision.

        Args:
            values: tensor of each `Value`.
            operation: takes the place of the call's own.
        """
        if self.node is None or type(self.operation).__name__ == "Cast":
            dtype = full_precision(self.outputs[0].dtype)
            return [keras.ops.cast(values[self.inputs[0]], dtype)]
        tensors = {
            id(symbol): values[value]
            for symbol, value in zip(self.node.input_tensors, self.inputs, strict=True)
        }
        arguments, options = self.node.arguments.fill_in(tensors)
        if isinstance(self.operation, keras.Layer):  # reaches the layers inside of it too
            options = options | {"training": False}
        operation = operation or self.operation
        with in_float32(operation):
            return keras.tree.flatten(operation(*arguments, **options))


@dataclass(frozen=True, eq=False)
class Graph:
    """All calls of a model.

    Attributes:
        inputs: values of the model's inputs.
        calls: in an order in which they can be made.
        outputs: values of the model's outputs.
        nests: path of each nested model, and the values of its outputs.
    """

    inputs: tuple[Value, ...]
    calls: tuple[Call, ...]
    outputs: tuple[Value, ...]
    nests: dict[str, tuple[Value, ...]] = field(default_factory=dict)

    def maker(self, value: Value) -> Call | None:
        """The call that gives a value; None for an input."""
        return next((call for call in self.calls if value in call.outputs), None)

    def needed(self, wanted: Sequence[Value]) -> list[Call]:
        """The calls that some values depend on, in order."""
        open_values, calls = set(wanted), []
        for call in reversed(self.calls):
            if open_values.intersection(call.outputs):
                open_values.update(call.inputs)
                calls.append(call)
        return calls[::-1]


def graph_of(model: keras.Model) -> Graph:
    """Unroll a model; `model` stays as it is.

    Nested Functional and Sequential models are unrolled at any depth, and so are layers of a
    user's own that have layers inside, where their `call` can be followed symbolically and gives
    the same on random data. All others are one call.

    Raises:
        ValueError: the model has no graph: it is not built, or a subclassed one.
    """
    function = _function(model)
    if function is None:
        raise ValueError(
            f"model must be a built Functional or Sequential one, got {model.name!r}"
            f" ({type(model).__name__}): start it with keras.Input(shape), or pass it through"
            " models.load_model"
        )
    inputs = tuple(_value(x, _input_name(x)) for x in function.inputs)
    calls, nests = [], {}
    indices = {id(layer): index for index, layer in enumerate(model.layers)}
    outputs = _unroll(function, "", list(inputs), calls, nests, lambda op: indices.get(id(op)))
    return Graph(inputs, tuple(calls), tuple(outputs), nests)


def nodes_in_order(model: keras.Model) -> Iterator:
    """The nodes of a Functional model in an order in which they can run; inputs left out."""
    position = {id(operation): i for i, operation in enumerate(model.operations)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        nodes = model._nodes_by_depth[depth]
        yield from sorted(
            (node for node in nodes if not node.is_input),
            key=lambda node: position[id(node.operation)],
        )


def traced(
    model: keras.Layer, arguments: Sequence, options: Mapping[str, object]
) -> keras.Model | None:
    """Follow `call` of a subclassed model or layer symbolically.

    Args:
        model: built.
        arguments: as `call` takes them, with KerasTensors for tensors.
        options: those that `call` takes by name, likewise.

    Returns:
        A Functional model from copies of the KerasTensors to what it gives; None where it does not
        give what `model` gives on random data.

    Raises:
        Exception: whatever `call` raises when it is given symbols.
    """
    structure = (
        tuple(arguments),
        {key: value for key, value in options.items() if key != "training"},
    )
    symbols = [x for x in keras.tree.flatten(structure) if _is_symbol(x)]
    inputs = {id(x): keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in symbols}
    mode = {"training": False}
    filled, named = keras.tree.map_structure(lambda x: inputs.get(id(x), x), structure)
    with _nodes_kept(model):
        takes_mode = getattr(model, "_call_has_training_arg", False)
        outputs = model.call(*filled, **named, **(mode if takes_mode else {}))
        function = keras.Model(list(inputs.values()), outputs, name=model.name)
    _number_operations(function)
    noise = {id(x): random_data(x.shape, x.dtype) for x in symbols}
    filled, named = keras.tree.map_structure(lambda x: noise.get(id(x), x), structure)
    with in_float32(model):
        expected = keras.tree.flatten(model(*filled, **named, **mode))
        given = keras.tree.flatten(function([noise[id(x)] for x in symbols], training=False))
    return function if same(expected, given) else None


def _number_operations(function: keras.Model) -> None:
    """Name the operations that are no layers by their kind, the same at every trace."""
    times = Counter()
    for node in nodes_in_order(function):
        if not isinstance(node.operation, keras.Layer):
            kind = snake_case(type(node.operation).__name__)
            node.operation.name = f"{kind}_{times[kind]}" if times[kind] else kind
            times[kind] += 1


def snake_case(name: str) -> str:
    """`Conv2DTranspose` to `conv2d_transpose`, as Keras names layers and the groups of a file."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def random_data(shape: Sequence[int | None], dtype: str) -> np.ndarray:
    """Standard normal data (integers: 0 to 9), one of a batch; `SIDE` where the shape is open."""
    shape = [1, *(SIDE if size is None else size for size in shape[1:])]
    draw = np.random.default_rng(0)
    if "float" not in dtype:
        return draw.integers(0, 2 if dtype == "bool" else 10, shape).astype(dtype)
    return keras.ops.cast(draw.normal(size=shape), dtype)


def same(expected: Sequence, given: Sequence) -> bool:
    """Whether two lists of tensors are equal up to rounding in their dtype."""
    if len(expected) != len(given):
        return False
    for a, b in zip(expected, given, strict=True):
        if tuple(a.shape) != tuple(b.shape):
            return False
        rough = keras.backend.standardize_dtype(a.dtype) in ("float16", "bfloat16")
        a, b = (np.asarray(keras.ops.cast(x, "float64")) for x in (a, b))
        scale = np.abs(a[np.isfinite(a)]).max(initial=1e-6)
        tolerance = 3e-2 if rough else 1e-4
        if not np.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
            return False
    return True


def _unroll(function, prefix: str, entering: list[Value], calls, nests, index_of) -> list[Value]:
    values = {id(x): value for x, value in zip(function.inputs, entering, strict=True)}
    times = Counter()
    for node in nodes_in_order(function):
        operation = node.operation
        times[operation.name] += 1
        count = times[operation.name]
        path = prefix + operation.name + (f"#{count}" if count > 1 else "")
        index = index_of(operation)
        inputs = tuple(values[id(x)] for x in node.input_tensors)
        inner = _inside(operation, node)
        if inner is not None:
            cast = [
                _entered(value, x, path, index, calls)
                for value, x in zip(inputs, inner.inputs, strict=True)
            ]
            outputs = _unroll(inner, path + "/", cast, calls, nests, lambda _, i=index: i)
            nests[path] = tuple(outputs)
            _name_the_end(calls, outputs, path)
        else:
            outputs = tuple(_value(x) for x in node.outputs)
            calls.append(Call(path, index, operation, node, inputs, outputs))
        values |= {id(x): value for x, value in zip(node.outputs, outputs, strict=True)}
    return [values[id(x)] for x in function.outputs]


def _name_the_end(calls: list[Call], outputs: list[Value], path: str) -> None:
    """Give an operation that a nested model ends in, and that is no layer, the model's path."""
    for i, call in enumerate(calls):
        if call.outputs == tuple(outputs) and not isinstance(call.operation, keras.Layer):
            calls[i] = replace(call, path=path)


def _entered(value: Value, symbol, path: str, index, calls: list[Call]) -> Value:
    """What a nested model makes of a tensor that enters it: its input's dtype."""
    if keras.backend.standardize_dtype(symbol.dtype) == value.dtype:
        return value
    cast = Value("", value.shape, keras.backend.standardize_dtype(symbol.dtype))
    calls.append(Call(path, index, keras.layers.Identity(), None, (value,), (cast,)))
    return cast


def _inside(operation, node) -> keras.Model | None:
    """The Functional model that an operation is; None where it runs as one."""
    tensors = node.arguments.args[:1]
    if not isinstance(operation, keras.Layer):
        return None
    if (function := _function(operation)) is not None:
        arguments = _ordered(function, tensors)
        fits = [id(x) for x in arguments] == [id(x) for x in node.input_tensors]
        ranks = [len(x.shape) for x in arguments] == [len(x.shape) for x in function.inputs]
        return function if fits and ranks else None
    own = not type(operation).__module__.startswith("keras.")
    if own and operation._flatten_layers(include_self=False):
        try:
            inner = traced(operation, node.arguments.args, node.arguments.kwargs)
        except Exception:  # whatever a user's `call` raises when it is given symbols
            return None
        same_inputs = inner is not None and len(inner.inputs) == len(node.input_tensors)
        return inner if same_inputs else None
    return None


def _ordered(function, arguments) -> list:
    """Tensors of a nested model's first argument, in the order of its inputs."""
    if not arguments:
        return []
    given, wanted = arguments[0], function._inputs_struct
    if isinstance(given, dict) and not isinstance(wanted, dict):
        return [given[x.name] for x in function.inputs if x.name in given]
    return keras.tree.flatten(given)


def output_in(model: keras.Model, layer: keras.Layer) -> keras.KerasTensor:
    """The output of a layer where a built model first calls it.

    `layer.output` is that of its first call in any model, of a Functional model that of its own
    graph.
    """
    nodes = {id(node) for nodes in _function(model)._nodes_by_depth.values() for node in nodes}
    return next(node for node in layer._inbound_nodes if id(node) in nodes).outputs[0]


def _function(layer) -> keras.Model | None:
    """The Functional model that a layer runs, None where its `call` is its own."""
    if type(layer).call is keras.Sequential.call:
        return getattr(layer, "_functional", None)
    has_graph = hasattr(layer, "_nodes_by_depth")
    return layer if has_graph and type(layer).call is _FUNCTIONAL_CALL else None


def _functional_call() -> Callable:
    x = keras.Input((1,))
    return type(keras.Model(x, x)).call


_FUNCTIONAL_CALL = _functional_call()


@contextmanager
def _nodes_kept(layer: keras.Layer) -> Iterator[None]:
    """Take back what symbolic calls add to the nodes of a layer and of the layers inside."""
    layers = layer._flatten_layers()
    kept = [(one, list(one._inbound_nodes), list(one._outbound_nodes)) for one in layers]
    try:
        yield
    finally:
        for one, inbound, outbound in kept:
            one._inbound_nodes[:], one._outbound_nodes[:] = inbound, outbound


@contextmanager
def graph_left_alone(tensor: keras.KerasTensor) -> Iterator[None]:
    """Take back what is added behind an input, and compute it in float32 at least.

    Keras hooks each operation to those that read it.

    Args:
        tensor: input of a model.
    """
    hooked, pending = {}, [tensor._keras_history.operation]
    while pending:
        operation = pending.pop()
        if operation not in hooked:
            hooked[operation] = list(operation._outbound_nodes)
            pending += [node.operation for node in hooked[operation]]
    try:
        with in_float32(*hooked):
            yield
    finally:
        for operation, nodes in hooked.items():
            operation._outbound_nodes[:] = nodes


def _value(symbol, name: str = "") -> Value:
    return Value(name, tuple(symbol.shape), keras.backend.standardize_dtype(symbol.dtype))


def _input_name(symbol) -> str:
    return symbol._keras_history.operation.name


def _is_symbol(x) -> bool:
    return isinstance(x, keras.KerasTensor)
