"""What a net expects in the place of pixels 0..255, and a front that gives it that."""

from collections.abc import Callable

import keras
import numpy as np

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET_BGR_MEAN = (103.939, 116.779, 123.68)
PREPROCESSINGS = ("0..255", "0..1", "-1..1", "caffe", "torch")

Preprocessing = str | tuple[float, float]


def resolve_preprocessing(model: keras.Model, preprocessing=None) -> Preprocessing:
    """Check what a net expects in the place of pixels 0..255, or infer it where None is given.

    Returns:
        One of `PREPROCESSINGS`, or the range (low, high) of the net's input.

    Raises:
        ValueError: not legal; or None, and the net does not begin with a Rescaling or
            Normalization layer (which is taken to say that it expects pixels 0..255).
    """
    legal = f"one of {PREPROCESSINGS} or (low, high), the range of the net's input"
    if preprocessing is None:
        first = next(a for a in model.layers if not isinstance(a, keras.layers.InputLayer))
        if isinstance(first, keras.layers.Rescaling | keras.layers.Normalization):
            return "0..255"
        raise ValueError(
            f"preprocessing must be given, {legal}: the net does not begin with a Rescaling"
            f" or Normalization layer but with {first.name!r} ({type(first).__name__})"
        )
    if isinstance(preprocessing, str):
        if preprocessing not in PREPROCESSINGS:
            raise ValueError(f"preprocessing must be {legal}, got {preprocessing!r}")
        channels = model.input_shape[-1]
        if preprocessing in ("caffe", "torch") and channels != 3:
            raise ValueError(f"preprocessing {preprocessing!r} needs 3 channels, got {channels}")
        return preprocessing
    try:
        low, high = (float(end) for end in preprocessing)
    except (TypeError, ValueError):
        low = high = np.nan
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"preprocessing must be {legal} with low < high, got {preprocessing!r}")
    return low, high


def input_front(preprocessing: Preprocessing) -> Callable:
    """Make the step from pixels (N, H, W, C) in 0..255, RGB or gray, to what a net expects.

    "caffe" is BGR minus the ImageNet mean, "torch" is (x / 255 - mean) / sd of ImageNet (as in
    `keras.applications.imagenet_utils.preprocess_input`).

    Args:
        preprocessing: what `resolve_preprocessing` returns.
    """
    if preprocessing == "caffe":
        subtract = keras.layers.Rescaling(1.0, [-mean for mean in IMAGENET_BGR_MEAN])
        return lambda pixels: subtract(keras.ops.flip(pixels, axis=-1))
    if preprocessing == "torch":
        mean, std = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
        return keras.layers.Rescaling((1 / 255 / std).tolist(), (-mean / std).tolist())
    ranges = {"0..255": (0, 255), "0..1": (0, 1), "-1..1": (-1, 1)}
    low, high = ranges.get(preprocessing, preprocessing)
    return keras.layers.Rescaling((high - low) / 255, low)


def from_pixels(model: keras.Model, preprocessing=None) -> keras.Model:
    """Give a net a front, so that it takes pixels 0..255 (N, H, W, C); `model` stays as it is.

    Args:
        model: Functional or Sequential.
        preprocessing: as `resolve_preprocessing` takes it.

    Returns:
        A Functional model that shares the weights; `model` itself where it takes 0..255.

    Raises:
        ValueError: as `resolve_preprocessing`.
    """
    preprocessing = resolve_preprocessing(model, preprocessing)
    if preprocessing in ("0..255", (0, 255)):
        return model
    net = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    pixels = keras.Input(model.input_shape[1:], name="pixels")
    return keras.Model(pixels, net(input_front(preprocessing)(pixels)), name=model.name)
