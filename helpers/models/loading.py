"""Keras models from files or from memory, checked."""

import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from helpers.models.cutting import in_short
from helpers.models.graph import graph_of, traced
from helpers.models.inputs import image_input
from helpers.models.legacy import is_legacy, read_legacy, unknown_class

SUFFIXES = (".keras", ".h5", ".hdf5")
MAX_MESSAGE = 300
"""Most characters of an error message."""


def load_model(model: keras.Model | str | Path, *, trusted: bool = False) -> keras.Model:
    """Load a model from a file, or take one from memory, and check that maps can be made.

    `.keras` files and `.h5` files of Keras 3 and 2 are read, and those of Keras 1 that are a
    Sequential. A subclassed model becomes a Functional one that shares its layers.

    Args:
        model: a Keras model or the path of one.
        trusted: run Python code that the file holds (Lambda layers). Only for files whose origin
            you trust.

    Returns:
        A built Functional or Sequential model.

    Raises:
        ValueError: there is no such file, or it cannot be read; the model is not built, takes no
            images, signals or volumes, is channels-first, or has weights that are NaN or infinite.
            The message says in one line what to do.
    """
    if isinstance(model, str | Path):
        model = _read(Path(model), trusted)
    if not isinstance(model, keras.Model):
        raise ValueError(_not_a_model(model))
    model = _followed(model)
    graph = graph_of(model)
    for call in graph.calls:
        if getattr(call.operation, "data_format", None) == "channels_first":
            raise ValueError(
                f"model must be channels_last, got channels_first in {call.path!r}: build it again"
                " with keras.config.set_image_data_format('channels_last') and load its weights"
            )
    _check_input(graph)
    for weight in model.weights:
        if not np.isfinite(np.asarray(keras.ops.cast(weight.value, "float64"))).all():
            raise ValueError(
                f"model must have finite weights, got NaN or infinity in {weight.path}"
            )
    return model


def _check_input(graph) -> None:
    ranks = {len(value.shape) for value in graph.inputs}
    if ranks.isdisjoint((2, 3, 4, 5)):
        image_input(graph)  # says what is legal
    for value in graph.inputs:
        if len(value.shape) == 4 and None not in value.shape[1:]:
            others = {one.name: 0 for one in graph.inputs if one is not value}
            image_input(graph, None, None, others)


def _not_a_model(model) -> str:
    module = type(model).__module__
    if module.split(".")[0] in ("tf_keras", "tensorflow") or "keras" in module:
        return (
            f"model must be one of Keras 3, got one of {module.split('.')[0]} (Keras 2):"
            " model.save('model.h5') there, and pass the path 'model.h5'"
        )
    return f"model must be a Keras model or a file {SUFFIXES}, got {type(model).__name__}"


def _followed(model: keras.Model) -> keras.Model:
    """The model; a subclassed one as the Functional model that its `call` makes."""
    try:
        graph_of(model)
        return model
    except ValueError as error:
        shapes = (model.get_build_config() or {}).get("input_shape")
        if shapes is None or isinstance(model, keras.Sequential):
            raise ValueError(
                f"model must be a built Functional or Sequential one, got {model.name!r}"
                f" ({type(model).__name__}) without an input: start it with keras.Input(shape), or"
                " call it once on an image"
            ) from error
    way_out = (
        f"model {model.name[:30]!r} ({type(model).__name__[:30]}) is subclassed, and its call"
        " cannot be followed: use keras.ops in place of tf there, or build it as"
        " keras.Model(x, outputs) from x = keras.Input(shape)"
    )
    try:
        inputs = keras.tree.map_shape_structure(
            lambda shape: keras.KerasTensor((None, *shape[1:]), dtype=model.input_dtype), shapes
        )
        function = traced(model, [inputs], {})
    except Exception as error:
        raise ValueError(f"{way_out} ({in_short(error, 70)})") from error
    if function is None:
        raise ValueError(f"{way_out} (followed, it gives something else)")
    return function


def _read(path: Path, trusted: bool) -> keras.Model:
    name = path.name if len(path.name) < 60 else f"...{path.name[-56:]}"
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            raise ValueError(
                f"{name} cannot be read: it is a SavedModel folder. With the Keras 2 that made it:"
                " tf_keras.models.load_model(folder).save('model.h5'), and pass 'model.h5'"
            )
        raise ValueError(f"model must be a file {SUFFIXES}, got the folder {name!r}")
    if path.suffix == ".json":
        raise ValueError(
            f"{name} cannot be read: a JSON file has the layers but no weights. Build it by"
            " keras.models.model_from_json(text), model.load_weights(file), and pass the model"
        )
    if path.suffix not in SUFFIXES:
        raise ValueError(f"model must be a Keras model or a file {SUFFIXES}, got {name!r}")
    if not path.is_file():
        raise ValueError(f"model must be a file that exists, got {str(path)[-150:]!r}")
    try:
        is_archive = zipfile.is_zipfile(path)
        if not is_archive and not h5py.is_hdf5(path):
            raise ValueError("it is neither a .keras archive nor an HDF5 file")
        if not is_archive and _has_only_weights(path):
            raise ValueError(
                "it has weights only. Build the model in code, model.load_weights(path), and pass"
                " the model"
            )
        if is_legacy(path):
            return read_legacy(path, trusted=trusted)
        return keras.models.load_model(path, compile=False, safe_mode=not trusted)
    except Exception as error:
        reason = _reason(path, error, trusted)
        message = f"{name} cannot be read as a Keras model: {reason}"
        raise ValueError(message[:MAX_MESSAGE]) from error


def _has_only_weights(path: Path) -> bool:
    with h5py.File(path) as file:
        return "model_config" not in file.attrs


def _reason(path: Path, error: Exception, trusted: bool) -> str:
    text = str(error)
    if not trusted and re.search(r"[Ll]ambda", text) and re.search("safe_mode|trusted", text):
        return (
            "it has a Lambda layer, that is Python code. If you trust where it is from:"
            " load_model(path, trusted=True)"
        )
    if "bad marshal data" in text:
        return "its Lambda layer is of another Python version. Build the model in code"
    unknown = re.search(
        r"[Uu]nknown (?:layer|object)[^'\"]*['\"](\w+)|locate (?:class|function) '(\w+)'", text
    )
    if unknown:
        return unknown_class(unknown.group(1) or unknown.group(2))
    return in_short(error, 190)
