"""The image input of a model, the shape its maps have, and what the other inputs are held at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from helpers.models.graph import Graph, Value, graph_of
from helpers.models.precision import full_precision

MAX_SIGNALS = 16
"""Most channels of an input (T, C) that counts as signals; with more it is a gray image (H, W)."""


@dataclass(frozen=True)
class ImageInput:
    """What a model takes in the place of an image.

    Attributes:
        name: of the input.
        kind: "image", "signal" or "volume".
        shape: of one map: (height, width, channels), (time steps, channels) or (depth, height,
            width, channels).
        is_resized: the map has another size than the model was built for, or the model has none.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    is_resized: bool


def image_shape(
    model: keras.Model,
    size: int | Sequence[int] | None = None,
    channels: int | None = None,
    held: Mapping[str, object] | None = None,
) -> tuple[int, ...]:
    """The shape of a model's maps: (H, W, C), (T, C) for signals, (D, H, W, C) for volumes.

    An input (H, W) is a gray image, (H, W, 1); with at most `MAX_SIGNALS` columns, or without a
    length, it is that many signals. A flat vector is an image of the `size` that is given.

    Args:
        model: Functional or Sequential.
        size: one number for all axes, or (height, width), (time steps,) or (depth, height, width);
            None for the model's own. A flat vector of h * w * c numbers needs it.
        channels: of a model without a number of channels.
        held: names of the inputs that are not the image, where that is not clear.

    Raises:
        ValueError: the model has no image input or several; the shape is open or does not follow;
            the input is channels-first.
    """
    return image_input(graph_of(model), size, channels, held).shape


def image_input(
    graph: Graph,
    size: int | Sequence[int] | None = None,
    channels: int | None = None,
    held: Mapping[str, object] | None = None,
) -> ImageInput:
    """Find the input that is the image; arguments and errors as `image_shape`."""
    value = _image_value(graph, held or {})
    built = value.shape[1:]
    if len(built) == 1:
        return _flat(value, size)
    if len(built) == 3 and None not in built and _looks_channels_first(*built):
        raise ValueError(
            f"model must take channels last, got input {value.name!r} {built}, which looks like"
            " (channels, height, width): put keras.layers.Permute((3, 1, 2)) in front of it"
        )
    has_channels = len(built) > 2 or built[0] is None or (built[1] or 1) <= MAX_SIGNALS
    kind = {1: "signal", 2: "image", 3: "volume"}[len(built) - has_channels]
    space = built[:-1] if has_channels else built
    count = (built[-1] or channels) if has_channels else 1
    if count is None:
        raise ValueError(f"channels must be given: input {value.name!r} is {built}")
    if channels is not None and channels != count:
        raise ValueError(f"channels must be {count} as in the model, got {channels}")
    wanted = space if size is None else _size(size, len(space))
    if None in wanted:
        raise ValueError(
            f"size must be given, as in size=224: input {value.name!r} {built} of the model has"
            " no size of its own"
        )
    return ImageInput(value.name, kind, (*wanted, count), wanted != space)


def as_built(graph: Graph, name: str, images):
    """Bring images (N, *image shape) into the shape and dtype of an input.

    Whole-number inputs stay floats, so that there is a gradient before the model's own cast.
    """
    value = next(value for value in graph.inputs if value.name == name)
    built = value.shape[1:]
    if len(built) == 1:
        images = keras.ops.reshape(images, (-1, *built))
    elif len(built) == len(images.shape) - 2:
        images = keras.ops.squeeze(images, -1)
    return in_full_precision(images, value)


def in_full_precision(images, value: Value):
    """Tensors as floats of an input's dtype, of float32 where that is of low precision or whole."""
    return keras.ops.cast(images, full_precision(value.dtype)) if "float" in value.dtype else images


def held_values(graph: Graph, image: str, held: Mapping[str, object] | None) -> dict:
    """One example (1, ...) for each input but the image, in its dtype: `held`, or zeros.

    Raises:
        ValueError: a name is none of theirs, or a value does not have the input's shape.
    """
    others = {value.name: value for value in graph.inputs if value.name != image}
    for name in held or {}:
        if name not in others:
            raise ValueError(f"held must be values of the inputs {list(others)}, got {name!r}")
    examples = {}
    for name, value in others.items():
        shape = tuple(1 if length is None else length for length in value.shape[1:])
        given = np.asarray((held or {}).get(name, 0))
        try:
            examples[value] = keras.ops.cast(np.broadcast_to(given, shape)[None], value.dtype)
        except ValueError as error:
            raise ValueError(f"held[{name!r}] must be {shape}, got {given.shape}") from error
    return examples


def _image_value(graph: Graph, held: Mapping[str, object]) -> Value:
    free = [value for value in graph.inputs if value.name not in held]
    ranks = {value: len(value.shape) for value in free}
    images = [value for value in free if ranks[value] == 4]
    for rank in (5, 3, 2):
        images = images or [value for value in free if ranks[value] == rank]
    if len(images) == 1:
        return images[0]
    if images:
        names = [value.name for value in images]
        smallest = min(
            images[::-1], key=lambda value: np.prod([n or np.inf for n in value.shape[1:]])
        )
        raise ValueError(
            f"held must name all inputs but the image, as in held={{{smallest.name!r}: 0}}:"
            f" any of {str(names)[:120]} can be it"
        )
    raise ValueError(
        "model must take images (H, W, C), (H, W), flat ones, signals (T, C) or volumes"
        f" (D, H, W, C), got inputs {[value.shape[1:] for value in graph.inputs]}"
    )


def _looks_channels_first(first: int, second: int, third: int) -> bool:
    return min(second, third) > 4 and (first in (1, 3) or first < second == third)


def _flat(value: Value, size) -> ImageInput:
    count = value.shape[1]
    hint = f"input {value.name!r} is a flat vector of {count} numbers"
    if size is None or count is None:
        side = int(np.sqrt(count or 0))
        example = (side, side) if count and side * side == count else (28, 28)
        raise ValueError(f"size must be given, as in size={example}: {hint}")
    wanted = (size, size) if hasattr(size, "__index__") else tuple(size)
    channels = count // max(int(np.prod(wanted[:2])), 1)
    shape = (*wanted[:2], channels)
    if len(wanted) not in (2, 3) or min(wanted) < 1 or np.prod(shape) != count:
        raise ValueError(f"size must be (height, width) of an image, got {size!r}: {hint}")
    return ImageInput(value.name, "image", shape, False)


def _size(size, axes: int) -> tuple[int, ...]:
    sizes = (size,) * axes if hasattr(size, "__index__") else tuple(size)
    is_legal = len(sizes) == axes and all(hasattr(n, "__index__") and n > 0 for n in sizes)
    if not is_legal:
        raise ValueError(f"size must be {axes} lengths of at least 1, or one for all, got {size!r}")
    return tuple(int(n) for n in sizes)
