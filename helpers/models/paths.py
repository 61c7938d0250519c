"""The layers of a model that have units, nested models included, found by path or index."""

import difflib
from dataclasses import dataclass

import keras
import numpy as np

from helpers.models.graph import Call, Graph, graph_of

PACKAGES_WITHOUT_UNITS = ("preprocessing", "reshaping", "regularization")
"""Packages of keras.layers that hand on images or units of another layer."""
MAX_LISTED = 130
"""Characters of an error message that list layers."""


@dataclass(frozen=True)
class LayerInfo:
    """One call of a layer.

    Attributes:
        index: position in `model.layers` of the layer, or of the nested model that it is in; None
            for an operation that is no layer.
        name: the layer's path: its name, behind those of the nested models around it,
            "base/block_6_expand"; from the second call of one layer on with a number, "conv#2".
        kind: its class name.
        units: length of the last axis of the output; None where the layer has no units.
        output_shape: (units,), (tokens, units), (height, width, units) or (depth, height, width,
            units), without the batch; None where a size is open.
    """

    index: int | None
    name: str
    kind: str
    units: int | None
    output_shape: tuple[int | None, ...]


def layers(model: keras.Model) -> tuple[LayerInfo, ...]:
    """All layers that have units, those of nested models too, in the order they are called.

    A layer has units when its output has 2 to 5 axes with the batch, the last of a known length,
    and is its own: not that of an input, a preprocessing, a Flatten, a Dropout or another layer
    that hands units on, nor of what keeps the channels of the input before any layer with weights.
    An operation that is no layer counts where it gives an output of the model or of a nested one.
    """
    graph = graph_of(model)
    infos, pixels = [], set(graph.inputs)
    ends = set(graph.outputs).union(*graph.nests.values())
    for call in graph.calls:
        info = _info(call)
        if _hands_pixels_on(call, pixels):
            pixels.update(call.outputs)
        elif isinstance(call.operation, keras.Layer) or set(call.outputs) & ends:
            infos.append(info)
    return tuple(info for info in infos if info.units is not None)


def find_layer(model: keras.Model, layer: str | int) -> LayerInfo:
    """Find a layer by its path, or by its index in `model.layers` (negative: from the end).

    A bare name does where one nested model only has such a layer; a nested model is the layer that
    gives its output. Of a layer called several times, the name without a number is the first call.

    Raises:
        ValueError: no such layer; the message lists those that have units.
    """
    return _info(find_call(model, graph_of(model), layer))


def keras_layer(model: keras.Model, layer: str | int) -> keras.Operation:
    """The layer itself; arguments and errors as `find_layer`."""
    return find_call(model, graph_of(model), layer).operation


def find_call(model: keras.Model, graph: Graph, layer: str | int) -> Call:
    """The call of a layer in the graph of `model`; arguments and errors as `find_layer`."""
    wanted = layer
    if not isinstance(layer, str):
        count = len(model.layers)
        if not _is_integer(layer) or not -count <= layer < count:
            raise _unknown(model, layer)
        wanted = model.layers[layer].name
    by_path = {call.path: call for call in graph.calls if call.node is not None}
    if wanted in by_path:
        return by_path[wanted]
    if wanted in graph.nests:
        maker = graph.maker(graph.nests[wanted][0])
        if maker is not None:
            return maker
    inside = [path for path in by_path if path.endswith(f"/{wanted}")]
    if len(inside) == 1:
        return by_path[inside[0]]
    if inside:
        raise ValueError(f"layer {wanted!r} must be one of {listed(inside, wanted)}: say which")
    if not isinstance(layer, str):
        raise _without_units(model, wanted, type(model.layers[layer]).__name__)
    if any(value.name == wanted for value in graph.inputs):
        raise _without_units(model, wanted, "InputLayer")
    raise _unknown(model, layer)


def unit_count(model: keras.Model, layer: str | int) -> int:
    """Count a layer's units: the channels of a convolution, the outputs of a dense layer.

    Raises:
        ValueError: no such layer, or one without units; the message lists those that have some.
    """
    return with_units(model, find_layer(model, layer)).units


def with_units(model: keras.Model, info: LayerInfo) -> LayerInfo:
    """The same layer, checked to have units.

    Raises:
        ValueError: it has none; the message lists the layers that have some.
    """
    if info.units is None:
        raise _without_units(model, info.name, info.kind)
    return info


def check_units(model: keras.Model, layer: str | int, units=None) -> tuple[int, ...]:
    """Bring unit numbers (one, several, or None for all) into a tuple of ints.

    Raises:
        ValueError: as `unit_count`; or a unit is no integer or not among the layer's.
    """
    info = with_units(model, find_layer(model, layer))
    if units is None:
        return tuple(range(info.units))
    numbers = tuple(np.atleast_1d(np.asarray(units, object)).tolist())
    for unit in numbers:
        if not _is_integer(unit) or not 0 <= unit < info.units:
            raise ValueError(
                f"units of {info.name} must be integers 0 to {info.units - 1}, got {unit!r}"
            )
    return tuple(int(unit) for unit in numbers)


def info_of(call: Call) -> LayerInfo:
    """What there is to say of a call."""
    return _info(call)


def listed(names: list[str], near: object = "") -> str:
    """Names as a list of at most `MAX_LISTED` characters: all, or those most like `near` first."""
    if len(str(names)) <= MAX_LISTED:
        return str(names)
    chosen = difflib.get_close_matches(str(near), names, n=3, cutoff=0.6)
    for name in names:
        more = chosen + [name] if name not in chosen else chosen
        if len(str(more)) > MAX_LISTED - 20:
            break
        chosen = more
    return f"{str(chosen)[:-1]}, ... {len(names) - len(chosen)} more]"


def _unknown(model: keras.Model, layer) -> ValueError:
    count, names = len(model.layers), [info.name for info in layers(model)]
    return ValueError(
        f"layer must be an index from {-count} to {count - 1}"
        f" or one of {listed(names, layer)}, got {layer!r}"
    )


def _without_units(model: keras.Model, name: str, kind: str) -> ValueError:
    names = [info.name for info in layers(model)]
    return ValueError(
        f"layer must have units, that is be one of {listed(names, name)}, got {name!r} ({kind})"
    )


def _is_integer(value) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _info(call: Call) -> LayerInfo:
    shape = call.outputs[0].shape if call.outputs else ()
    kind = type(call.operation)
    units = shape[-1] if 2 <= len(shape) <= 5 and not _hands_on(kind) else None
    return LayerInfo(call.index, call.path, kind.__name__, units, shape[1:])


def _hands_on(kind: type) -> bool:
    packages = {part for base in kind.__mro__ for part in _keras_package(base)}
    passive = keras.layers.InputLayer | keras.layers.Identity
    return issubclass(kind, passive) or not packages.isdisjoint(PACKAGES_WITHOUT_UNITS)


def _hands_pixels_on(call: Call, pixels: set) -> bool:
    has_weights = bool(getattr(call.operation, "weights", ()))
    channels = [value.shape[-1:] for value in (*call.inputs, *call.outputs)]
    return pixels.issuperset(call.inputs) and not has_weights and len(set(channels)) == 1


def _keras_package(kind: type) -> list[str]:
    parts = kind.__module__.split(".")
    return parts if parts[0] == "keras" else []
