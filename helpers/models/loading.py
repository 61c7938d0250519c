"""Keras models from files or from memory, checked."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np

SUFFIXES = (".keras", ".h5", ".hdf5")


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
