"""The models of a panel: given, opened by path or named as a variable, and what they expect."""

from collections.abc import Mapping
from pathlib import Path

import IPython
import keras

from helpers import models
from helpers.maps.given import OwnPreprocessing
from helpers.models.preprocessing import Preprocessing, Standardized, resolve_preprocessing

INFERRED = "read from the model"
OTHER_RANGE = "another range"
MEAN_AND_SD = "mean and sd"
INPUTS = (
    ("0..255: pixels as they are", "0..255"),
    ("0..1: pixels / 255", "0..1"),
    ("-1..1: pixels / 127.5 - 1", "-1..1"),
    ("caffe: BGR less ImageNet's mean", "caffe"),
    ("torch: ImageNet's mean and deviation", "torch"),
    ("BGR 0..255: blue, green, red", "BGR 0..255"),
    ("YUV -1..1: luminance and two colours", "YUV -1..1"),
    ("another range, given below", OTHER_RANGE),
    ("mean and sd per channel, given below", MEAN_AND_SD),
)
DEFAULT_SIDE = 128
"""Pixels: size of the maps of a model that has none."""

Model = keras.Model | str | Path
Models = Model | Mapping[str, Model]


def load(given: Models) -> dict[str, keras.Model]:
    """Load one model, which gets its own name or its file's, or several under their names.

    Raises:
        ValueError: one cannot be loaded, or has no layer with units.
    """
    named = given if isinstance(given, Mapping) else {_name(given): given}
    return {name: _with_units(model) for name, model in named.items()}


def label(name: str) -> str:
    """How a model is listed: by its name, or by that of its file."""
    return Path(name).name


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


def preprocessing(
    model: keras.Model, choice, typed_range: str, typed_mean_and_sd: str, size, held
) -> Preprocessing:
    """What a model expects in the place of pixels 0..255, as `preprocessing.from_pixels` takes it.

    Args:
        model: the model.
        choice: a value of `INPUTS`, `INFERRED`, or a preprocessing as it is.
        typed_range: "low, high", read for `OTHER_RANGE`.
        typed_mean_and_sd: "mean; sd" of pixels 0..1, each one number or one per channel, read for
            `MEAN_AND_SD`.
        size, held: as `models.image_shape` takes them.

    Raises:
        ValueError: nothing in the model says it, or what is typed is not as said.
    """
    if isinstance(choice, str) and choice == OTHER_RANGE:
        try:
            low, high = _numbers(typed_range)
        except ValueError as error:
            raise ValueError(
                f"input_range must be two numbers, low and high, got {typed_range!r}"
            ) from error
        return low, high
    if isinstance(choice, str) and choice == MEAN_AND_SD:
        try:
            mean, sd = map(_numbers, typed_mean_and_sd.split(";"))
        except ValueError as error:
            raise ValueError(
                "mean_and_sd must be numbers of pixels 0..1 with a semicolon between, as in"
                f" '0.5, 0.4, 0.3; 0.2, 0.2, 0.2', got {typed_mean_and_sd!r}"
            ) from error
        return Standardized(mean, sd)
    if not isinstance(choice, str) or choice != INFERRED:
        return choice
    try:
        return resolve_preprocessing(model, size=size, held=held)
    except ValueError as error:
        shape = models.image_shape(model, size, held=held)
        raise ValueError(
            "choose under Input what the model expects in the place of pixels 0..255: it takes"
            f" {' x '.join(map(str, shape))} numbers, which do not tell their range"
        ) from error


def describe(preprocessing: Preprocessing) -> str:
    """A preprocessing that is none of `INPUTS` in words."""
    if isinstance(preprocessing, OwnPreprocessing):
        return f"the {preprocessing.name}, as given"
    kind = "layer" if isinstance(preprocessing, keras.layers.Layer) else "function"
    name = getattr(preprocessing, "__name__", getattr(preprocessing, "name", preprocessing))
    return f"the {kind} {name}, as given" if callable(preprocessing) else str(preprocessing)


def size(text: str) -> int | tuple[int, ...] | None:
    """Read a size: "" is the model's own, "64" holds for all axes, "64, 96" for one each.

    Raises:
        ValueError: it is not integers.
    """
    try:
        lengths = tuple(map(int, text.replace(",", " ").replace("x", " ").split()))
    except ValueError as error:
        raise ValueError(f"size must be integers like 64 or 64, 96, got {text!r}") from error
    return lengths[0] if len(lengths) == 1 else lengths or None


def first_size(model: keras.Model, held: Mapping[str, object] | None) -> str:
    """The size that a model's maps need to be given at first, as text; "" for its own."""
    for lengths in ((), (DEFAULT_SIDE,), *_squares(model)):
        side = lengths[0] if len(lengths) == 1 else lengths or None
        try:
            models.image_shape(model, side, held=held)
        except ValueError:
            continue
        return ", ".join(map(str, lengths))
    return ""


def _squares(model: keras.Model) -> list[tuple[int, int]]:
    """Height and width of the square gray or RGB images that flat inputs may be."""
    counts = [
        x.shape[1] // channels for x in model.inputs if len(x.shape) == 2 for channels in (1, 3)
    ]
    return [(round(count**0.5),) * 2 for count in counts]


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.replace(",", " ").split()))


def _with_units(model: Model) -> keras.Model:
    loaded = models.load_model(model)
    if not models.layers(loaded):
        raise ValueError(f"model must have a layer with units, got none in {loaded.name!r}")
    return loaded


def _name(model: Model) -> str:
    return model.name if isinstance(model, keras.Model) else Path(model).stem
