"""The models of a panel: given, opened by path or named as a variable, and what they expect."""

from collections.abc import Mapping
from pathlib import Path

import IPython
import keras

from helpers import models
from helpers.models.preprocessing import Preprocessing, resolve_preprocessing

INFERRED = "read from the model"
OTHER_RANGE = "another range"
INPUTS = (
    ("0..255: pixels as they are", "0..255"),
    ("0..1: pixels / 255", "0..1"),
    ("-1..1: pixels / 127.5 - 1", "-1..1"),
    ("caffe: BGR less ImageNet's mean", "caffe"),
    ("torch: ImageNet's mean and deviation", "torch"),
    ("another range, given below", OTHER_RANGE),
)

Model = keras.Model | str | Path
Models = Model | Mapping[str, Model]


def load(given: Models) -> dict[str, keras.Model]:
    """Load one model, which gets its own name or its file's, or several under their names.

    Raises:
        ValueError: one cannot be loaded, or has no layer with units.
    """
    named = given if isinstance(given, Mapping) else {_name(given): given}
    return {name: _with_units(model) for name, model in named.items()}


def find(text: str) -> keras.Model:
    """Take the notebook's variable of that name, or load the file at that path.

    Raises:
        ValueError: the variable holds no Keras model, there is no such file, or `load`'s errors.
    """
    shell = IPython.get_ipython()
    variable = shell.user_ns.get(text) if shell else None
    if variable is None:
        return _with_units(text)
    if not isinstance(variable, keras.Model):
        raise ValueError(f"variable {text} must hold a Keras model, got {type(variable).__name__}")
    return _with_units(variable)


def preprocessing(model: keras.Model, choice: str, typed: str) -> Preprocessing:
    """What a model expects in the place of pixels 0..255, as `preprocessing.from_pixels` takes it.

    Args:
        model: the model.
        choice: a value of `INPUTS`, or `INFERRED`.
        typed: "low, high", read for `OTHER_RANGE`.

    Raises:
        ValueError: nothing in the model says it, or what is typed is not two numbers.
    """
    if choice == OTHER_RANGE:
        try:
            low, high = map(float, typed.replace(",", " ").split())
        except ValueError as error:
            raise ValueError(
                f"input_range must be two numbers, low and high, got {typed!r}"
            ) from error
        return low, high
    if choice != INFERRED:
        return choice
    try:
        return resolve_preprocessing(model)
    except ValueError as error:
        shape = " x ".join(str(length) for length in model.input_shape[1:])
        raise ValueError(
            "choose under Input what the model expects in the place of pixels 0..255: it takes"
            f" {shape} numbers, and no Rescaling or Normalization layer states their range"
        ) from error


def _with_units(model: Model) -> keras.Model:
    loaded = models.load_model(model)
    if not models.layers(loaded):
        raise ValueError(f"model must have a layer with units, got none in {loaded.name!r}")
    return loaded


def _name(model: Model) -> str:
    return model.name if isinstance(model, keras.Model) else Path(model).stem
