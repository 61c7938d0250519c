"""Keras models: load and check them, find layers and units."""

from dataclasses import dataclass

import keras
import numpy as np

PACKAGES_WITHOUT_UNITS = ("preprocessing", "reshaping", "regularization")
"""Packages of keras.layers that hand on pictures or units of another layer."""


@dataclass(frozen=True)
class LayerInfo:
    """A layer that has units.

    Attributes:
        index: position in `model.layers`.
        name: the layer's name.
        kind: its class name.
        units: channels of a picture-like output, outputs of a dense layer.
        output_shape: (height, width, units) or (units,), without the batch.
    """

    index: int
    name: str
    kind: str
    units: int
    output_shape: tuple[int | None, ...]


def find_layer(model: keras.Model, layer: str | int) -> keras.Layer:
    """Find a layer by its name, or by its index in `model.layers` (negative: from the end).

    Raises:
        ValueError: no such layer; the message lists the layers that have units.
    """
    if isinstance(layer, str):
        found = [candidate for candidate in model.layers if candidate.name == layer]
        if found:
            return found[0]
    elif _is_integer(layer) and -len(model.layers) <= layer < len(model.layers):
        return model.layers[layer]
    for inner in model.layers:
        if isinstance(inner, keras.Model) and layer in [one.name for one in inner.layers]:
            raise ValueError(
                f"layer {layer!r} is inside the nested model {inner.name!r}:"
                f" pass the inner model, model.get_layer({inner.name!r})"
            )
    raise ValueError(
        f"layer must be an index from {-len(model.layers)} to {len(model.layers) - 1}"
        f" or one of {_names(model)}, got {layer!r}"
    )


def visualisable_layers(model: keras.Model) -> tuple[LayerInfo, ...]:
    """All layers that have units, in the model's order.

    A layer has units when its output is (None, units) or (None, height, width, units) and its own:
    not that of an input, a preprocessing, a Flatten, a Dropout or another layer that hands units
    on, nor of a nested model.
    """
    return tuple(
        LayerInfo(index, layer.name, type(layer).__name__, shape[-1], shape[1:])
        for index, layer in enumerate(model.layers)
        if (shape := _unit_shape(layer))
    )


def unit_count(model: keras.Model, layer: str | int) -> int:
    """Count a layer's units: the channels of a convolution, the outputs of a dense layer.

    Raises:
        ValueError: no such layer, or one without units; the message lists those that have some.
    """
    found = find_layer(model, layer)
    if isinstance(found, keras.Model):
        raise ValueError(
            f"layer {found.name!r} is a nested model:"
            f" pass the inner model, model.get_layer({found.name!r})"
        )
    shape = _unit_shape(found)
    if shape is None:
        raise ValueError(
            f"layer must have units, that is be one of {_names(model)},"
            f" got {found.name!r} ({type(found).__name__})"
        )
    return shape[-1]


def check_units(model: keras.Model, layer: str | int, units=None) -> tuple[int, ...]:
    """Bring unit numbers (one, several, or None for all) into a tuple of ints.

    Raises:
        ValueError: as `unit_count`; or a unit is no integer or not among the layer's.
    """
    count = unit_count(model, layer)
    if units is None:
        return tuple(range(count))
    numbers = tuple(np.atleast_1d(np.asarray(units, object)).tolist())
    for unit in numbers:
        if not _is_integer(unit) or not 0 <= unit < count:
            name = find_layer(model, layer).name
            raise ValueError(f"units of {name} must be integers 0 to {count - 1}, got {unit!r}")
    return tuple(int(unit) for unit in numbers)


def _is_integer(value) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _names(model: keras.Model) -> list[str]:
    return [info.name for info in visualisable_layers(model)]


def _unit_shape(layer: keras.Layer) -> tuple | None:
    hands_on = any(part in PACKAGES_WITHOUT_UNITS for part in type(layer).__module__.split("."))
    passive = keras.layers.InputLayer | keras.layers.Identity | keras.Model
    if hands_on or isinstance(layer, passive) or not hasattr(layer.output, "shape"):
        return None
    shape = tuple(layer.output.shape)
    return shape if len(shape) in (2, 4) and shape[-1] is not None else None
