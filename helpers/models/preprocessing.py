"""What a model expects in the place of pixels 0..255, told by its numbers or said by the user."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from helpers.models.graph import Graph, Value, graph_of
from helpers.models.inputs import ImageInput, as_built, image_input

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET_BGR_MEAN = (103.939, 116.779, 123.68)
RANGES = {"0..255": (0.0, 255.0), "0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}
PREPROCESSINGS = (*RANGES, "caffe", "torch")
COLOUR_SPACES = ("RGB", "BGR", "YUV")
RGB_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.147108, -0.288804, 0.435912], [0.614777, -0.514799, -0.099978]]
)
"""Rows Y, U = 0.492 (B - Y) and V = 0.877 (R - Y), as in OpenCV's COLOR_RGB2YUV."""
LIKELY = (
    "'0..255', '0..1', '-1..1', 'caffe' (VGG16, ResNet50), 'torch' (DenseNet), (low, high),"
    " models.Standardized, a layer or a function"
)


@dataclass(frozen=True)
class Standardized:
    """A model that expects `(x - mean) / sd`, channel by channel, of pixels x in 0..`scale`.

    Attributes:
        mean: of each channel, or one number for all.
        sd: likewise, above 0.
        scale: the largest pixel value that mean and sd are of, 1 or 255.
    """

    mean: tuple[float, ...] | float
    sd: tuple[float, ...] | float
    scale: float = 1.0

    def __post_init__(self):
        """Check the numbers."""
        for name in ("mean", "sd"):
            numbers = np.atleast_1d(np.asarray(getattr(self, name), float))
            plain = tuple(numbers.tolist())
            object.__setattr__(self, name, plain if len(plain) > 1 else plain[0])
        mean, sd = np.asarray(self.mean), np.asarray(self.sd)
        if not (np.isfinite(mean).all() and np.isfinite(sd).all() and (sd > 0).all()):
            raise ValueError(f"mean must be finite and sd above 0, got {self.mean} and {self.sd}")
        if np.abs(mean).max() > self.scale or sd.max() > self.scale:
            raise ValueError(
                f"mean and sd must be of pixels 0..{self.scale:g}, got {self.mean} and {self.sd}:"
                " pass scale=255 where they are of pixels 0..255"
            )


Preprocessing = str | tuple[float, float] | Standardized | keras.layers.Layer | Callable


def resolve_preprocessing(
    model: keras.Model,
    preprocessing: Preprocessing | None = None,
    *,
    size: int | Sequence[int] | None = None,
    held: Mapping[str, object] | None = None,
) -> Preprocessing:
    """Check what a model expects in the place of pixels 0..255, or infer it where None is given.

    Inferred is one of `RANGES`, from numbers: the weightless front of the model and what
    normalises (Rescaling, Normalization, BatchNormalization, augmentation, Resizing, arithmetic,
    the operations of `keras.applications.*.preprocess_input`) runs on even images, and the range
    whose ends it brings to what models compute with is the one the model takes.

    Args:
        model: Functional or Sequential.
        preprocessing: one of `PREPROCESSINGS`; a range's name behind a colour space, "YUV -1..1"
            or "BGR 0..255" ("YUV" alone: the range is inferred); the range (low, high) of the
            model's input; `Standardized`; a Keras layer or a function that takes pixels 0..255
            (N, H, W, C) as a tensor and gives what the model expects.
        size: as `image_shape` takes it.
        held: likewise.

    Returns:
        The preprocessing, a range as two floats, a colour space always with its range.

    Raises:
        ValueError: not legal; or None, and the numbers do not tell: the message lists what is
            likely.
    """
    graph = graph_of(_source(model))
    if size is None and preprocessing is not None and not _needs_numbers(preprocessing):
        return _checked(preprocessing, _channels(graph, held))
    return resolve_in(graph, _image(graph, size, held), preprocessing)


def resolve_in(graph: Graph, image: ImageInput, preprocessing=None) -> Preprocessing:
    """As `resolve_preprocessing`, of a graph and its image."""
    if preprocessing is None:
        return _inferred(graph, image)
    if _needs_numbers(preprocessing):
        preprocessing = f"{preprocessing} {_inferred(graph, image)}"
    return _checked(preprocessing, image.shape[-1])


def input_front(preprocessing: Preprocessing) -> Callable:
    """Make the step from pixels (N, H, W, C) in 0..255, RGB or gray, to what a model expects.

    "caffe" is BGR minus the ImageNet mean, "torch" is (x / 255 - mean) / sd of ImageNet (as in
    `keras.applications.imagenet_utils.preprocess_input`). "YUV" is OpenCV's, U and V around 128.

    Args:
        preprocessing: what `resolve_preprocessing` returns.
    """
    if isinstance(preprocessing, keras.layers.Layer | keras.Model):
        return lambda pixels: preprocessing(pixels, training=False)
    if callable(preprocessing):
        return preprocessing
    if preprocessing == "caffe":
        subtract = _rescaling(1.0, [-mean for mean in IMAGENET_BGR_MEAN])
        return lambda pixels: subtract(keras.ops.flip(pixels, axis=-1))
    if preprocessing == "torch":
        preprocessing = Standardized(IMAGENET_MEAN, IMAGENET_STD)
    if isinstance(preprocessing, Standardized):
        mean, sd = np.array(preprocessing.mean), np.array(preprocessing.sd)
        scale, offset = preprocessing.scale / 255 / sd, -mean / sd
        return _rescaling(scale.tolist(), offset.tolist())
    space = "RGB"
    if isinstance(preprocessing, str):
        *spaces, name = preprocessing.split()
        preprocessing, space = RANGES[name], (*spaces, "RGB")[0]
    low, high = preprocessing
    to_range = _rescaling((high - low) / 255, low)
    if space == "BGR":
        return lambda pixels: to_range(keras.ops.flip(pixels, axis=-1))
    if space == "YUV":
        matrix, middle = RGB_TO_YUV.T.astype("float32"), np.array([0, 128, 128], "float32")
        return lambda pixels: to_range(keras.ops.matmul(pixels, matrix) + middle)
    return to_range


def from_pixels(model: keras.Model, preprocessing: Preprocessing | None = None) -> keras.Model:
    """Give a model a front, so that it takes pixels 0..255 (N, H, W, C); `model` stays as it is.

    Args:
        model: Functional or Sequential, of one input.
        preprocessing: as `resolve_preprocessing` takes it.

    Returns:
        A Functional model that shares the weights; `model` itself where it takes 0..255.

    Raises:
        ValueError: as `resolve_preprocessing`.
    """
    preprocessing = resolve_preprocessing(model, preprocessing)
    if preprocessing in ("0..255", (0, 255)):
        return model
    whole = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    pixels = keras.Input(model.input_shape[1:], name="pixels")
    return keras.Model(pixels, whole(input_front(preprocessing)(pixels)), name=model.name)


def without_rescaling(model: keras.Model) -> keras.Model:
    """The same layers and weights without the Rescaling that a model begins with.

    What it takes is what the Rescaling gave: pixels 0..255 that go into it are a scaling forgotten.
    The layers are shared with `model`.

    Raises:
        ValueError: the model is no chain of layers that begins with a Rescaling.
    """
    start, first, *rest = model.layers
    if not isinstance(first, keras.layers.Rescaling):
        raise ValueError(f"model must begin with a Rescaling, got {type(first).__name__}")
    x = pixels = keras.Input(model.input_shape[1:], name=start.name)
    for layer in rest:
        x = layer(x)
    return keras.Model(pixels, x, name=model.name)


def _rescaling(scale, offset) -> keras.layers.Layer:
    return keras.layers.Rescaling(scale, offset, dtype="float32")


def _needs_numbers(preprocessing) -> bool:
    return isinstance(preprocessing, str) and preprocessing in COLOUR_SPACES


def _checked(preprocessing, channels: int) -> Preprocessing:
    if isinstance(preprocessing, Standardized):
        counts = {np.size(preprocessing.mean), np.size(preprocessing.sd)} - {1, channels}
        if counts:
            raise ValueError(
                f"preprocessing must have a mean and sd per channel, {channels} or 1,"
                f" got {preprocessing}"
            )
        return preprocessing
    if callable(preprocessing):
        return preprocessing
    legal = f"one of {PREPROCESSINGS}, with 'BGR' or 'YUV' before a range, or (low, high)"
    if isinstance(preprocessing, str):
        *spaces, name = preprocessing.split() or [""]
        in_space = len(spaces) == 1 and spaces[0] in COLOUR_SPACES and name in RANGES
        if preprocessing not in PREPROCESSINGS and not in_space:
            raise ValueError(f"preprocessing must be {legal}, got {preprocessing[:60]!r}")
        if (spaces or name in ("caffe", "torch")) and channels != 3:
            raise ValueError(f"preprocessing {preprocessing!r} needs 3 channels, got {channels}")
        return name if spaces == ["RGB"] else preprocessing
    try:
        low, high = (float(end) for end in preprocessing)
    except (TypeError, ValueError):
        low = high = np.nan
    if not -np.inf < low < high < np.inf:
        got = repr(preprocessing)[:60]
        raise ValueError(f"preprocessing must be {legal} with low < high, got {got}")
    return low, high


def _source(model: keras.Model) -> keras.Model:
    """The user's model behind a cut one."""
    return getattr(model.layers[-1], "source", model) if model.layers else model


def _image(graph: Graph, size, held) -> ImageInput:
    """The image input, in a size that its front can run at."""
    shape = next((value.shape for value in graph.inputs if len(value.shape) == 4), ())
    is_open = size is None and None in shape[1:3]
    return image_input(graph, 64 if is_open else size, None, held)


def _channels(graph: Graph, held) -> int:
    if all(len(value.shape) == 2 for value in graph.inputs):
        return 1
    return _image(graph, None, held).shape[-1]


def _inferred(graph: Graph, image: ImageInput) -> str:
    value = next(value for value in graph.inputs if value.name == image.name)
    if "float" not in value.dtype:
        return "0..255"
    reached = _through_the_front(graph, value, image)
    answers = {_range_of(ends) for _, ends in reached}
    if len(answers) == 1 and (answer := answers.pop()):
        return answer
    where = f" before {reached[0][0]!r}" if reached else ""
    raise ValueError(
        f"preprocessing must be given, as the numbers{where} do not tell what the model takes:"
        f" {LIKELY}"
    )


def _through_the_front(
    graph: Graph, value: Value, image: ImageInput
) -> list[tuple[str, np.ndarray]]:
    """What enters the first calls with weights, when the image is even.

    Returns:
        For each: the call's path, and for the pixels -1, 0, 1 and 255 the median over positions
        of each channel, (4, channels).
    """
    probes = np.stack([np.full(image.shape, pixel, "float32") for pixel in (-1, 0, 1, 255)])
    tensors, reached = {value: as_built(graph, image.name, probes)}, []
    for call in graph.calls:
        entering = [x for x in call.inputs if x in tensors]
        if not entering:
            continue
        outputs = None
        if len(entering) == len(set(call.inputs)) and _is_front(call.operation):
            try:
                outputs = call.run(tensors)
            except Exception:  # a layer that cannot run at this size tells nothing
                outputs = None
        if outputs is None:
            reached += [(call.path, _ends(tensors[x])) for x in dict.fromkeys(entering)]
        else:
            tensors |= zip(call.outputs, outputs, strict=True)
    return reached


def _is_front(operation: keras.Operation) -> bool:
    normalises = (
        keras.layers.BatchNormalization | keras.layers.Normalization | keras.layers.Rescaling
    )
    return not getattr(operation, "weights", ()) or isinstance(operation, normalises)


def _ends(tensor) -> np.ndarray:
    """(4, channels): medians over positions."""
    values = np.asarray(keras.ops.cast(tensor, "float64"))
    return np.median(values.reshape(4, -1, values.shape[-1]), axis=1)


def _range_of(ends: np.ndarray) -> str | None:
    """The one of `RANGES` that a front brings to what models compute with; None: no telling.

    Args:
        ends: (4, channels), what becomes of the pixels -1, 0, 1 and 255.
    """
    minus_one, zero, one, full = ends
    if np.allclose(zero, 0, atol=1e-2) and np.allclose(one, 1, atol=1e-2):
        return None
    candidates = {"0..255": (zero, full), "0..1": (zero, one), "-1..1": (minus_one, one)}
    usual = [name for name, (low, high) in candidates.items() if _is_usual(low, high)]
    if usual == ["0..1", "-1..1"]:
        middle = np.median(-zero / np.where(one == zero, 1, one - zero))
        usual = [name for name, far in (("0..1", middle), ("-1..1", -middle)) if far > 0.05]
    return usual[0] if len(usual) == 1 else None


def _is_usual(low: np.ndarray, high: np.ndarray) -> bool:
    """Whether a range is one that first layers see: about 0, some wide, or 0..255 less a mean."""
    bottom, top = sorted((np.median(low), np.median(high)))
    width = top - bottom
    holds_zero = bottom <= 0.1 * width and top >= 0.1 * width
    return bool(holds_zero and (0.4 <= width <= 12 or 200 <= width <= 310))
