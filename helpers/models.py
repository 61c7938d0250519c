"""Keras models: load and check them, find layers and units."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np

SUFFIXES = (".keras", ".h5", ".hdf5")
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


def load_model(model: keras.Model | str | Path) -> keras.Model:
    """Load a model from a file, or take one from memory as it is, and check that maps can be made.

    A `.keras` file is opened in safe mode (no code from the file runs); an `.h5` file may be a
    legacy one, of Keras 2, where Keras 3 can read it.

    Raises:
        ValueError: there is no such file, or it cannot be read; the model is not built, is a
            subclassed one, has more than one input or output, does not take pictures (H, W, C) of
            one size, is channels_first, or has weights that are NaN or infinite.
    """
    if not isinstance(model, keras.Model):
        model = _read(Path(model))
    inputs, outputs = _ends(model)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            "model must have one input and one output,"
            f" got {len(inputs)} inputs and {len(outputs)} outputs"
        )
    for layer in model.layers:
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(f"model must be channels_last, got channels_first in {layer.name!r}")
    shape = tuple(inputs[0].shape)
    if len(shape) != 4 or None in shape[1:]:
        raise ValueError(f"model must take pictures (None, H, W, C) of one size, got {shape}")
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            raise ValueError(
                f"model must have finite weights, got NaN or infinity in {weight.path}"
            )
    return model


def weight_digest(model: keras.Model) -> str:
    """SHA-256 (64 hex digits) of the layers (name, class, activation) and of all the weights."""
    digest = hashlib.sha256()
    for layer in model.layers:
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        digest.update(f"{layer.name} {type(layer).__name__} {activation}\n".encode())
        for weight in layer.weights:
            values = weight.numpy()
            digest.update(f"{weight.name} {values.shape} {values.dtype}\n".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()


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


def _read(path: Path) -> keras.Model:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"model must be a Keras model or a file {SUFFIXES}, got {str(path)!r}")
    if not path.is_file():
        raise ValueError(f"model must be a file that exists, got {str(path)!r}")
    try:
        config = _old_config(path) if h5py.is_hdf5(path) else None
        if config is None:
            return keras.models.load_model(path, compile=False, safe_mode=True)
        model = keras.Sequential.from_config(config)
        model.load_weights(path)
        return model
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a Keras model: {error}") from error


def _old_config(path: Path) -> dict | None:
    """Config of a Sequential without an input layer, as Keras 2.2 and older saved it; else None.

    Keras 3.15 cannot read it: it takes the first layer's `batch_input_shape` for one without the
    batch. Here it becomes an input layer.
    """
    with h5py.File(path) as file:
        saved = json.loads(file.attrs["model_config"])
    if saved["class_name"] != "Sequential":
        return None
    config = saved["config"]
    listed = config if isinstance(config, list) else config["layers"]
    if listed[0]["class_name"] == "InputLayer":
        return None
    shape = listed[0]["config"].pop("batch_input_shape")
    start = {"class_name": "InputLayer", "config": {"batch_shape": shape, "name": "pixels"}}
    return {"name": path.stem, "layers": [start, *listed]}


def _ends(model: keras.Model) -> tuple[list, list]:
    try:
        return model.inputs, model.outputs
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"model must be a built Functional or Sequential one, got {model.name!r}"
            f" ({type(model).__name__}) without an input: start it with keras.Input(shape)"
        ) from error


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
