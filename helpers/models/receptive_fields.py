"""Where a neuron looks: the receptive field of a layer's neurons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import layers

from helpers.models import cutting
from helpers.models.graph import graph_of
from helpers.models.inputs import image_input
from helpers.models.lambdas import Arithmetic
from helpers.models.paths import find_call, info_of, with_units

SLIDING = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
)
IN_PLACE = (
    *cutting.ACTIVATION_LAYERS,
    Arithmetic,
    layers.Add,
    layers.Average,
    layers.BatchNormalization,
    layers.Concatenate,
    layers.Dropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.InputLayer,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.Normalization,
    layers.Rescaling,
    layers.SpatialDropout2D,
    layers.Subtract,
)
"""Layers whose output at a position follows from their inputs at that position only."""
OPERATIONS_IN_PLACE = (
    *cutting.ACTIVATION_OPERATIONS, "Absolute", "Add", "Cast", "Clip", "Divide", "Exp", "Log",
    "Maximum", "Minimum", "Multiply", "Negative", "Power", "Sqrt", "Square", "Subtract",
    "TrueDivide",
)  # fmt: skip
"""Class names of Keras's operations of the same kind."""


@dataclass(frozen=True)
class ReceptiveField:
    """Which pixels a neuron of a layer can see; each value is (along height, along width).

    Attributes:
        size: pixels.
        stride: pixels from one neuron's field to the next one's; 0 when all see the whole image.
        start: first pixel of the field of the neuron at row 0 and column 0; negative where padding
            lies outside of the image.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """The neuron's field as (top, left, bottom, right), the ends not included."""
        top, left = (
            start + stride * position
            for start, stride, position in zip(self.start, self.stride, (row, column), strict=True)
        )
        return top, left, top + self.size[0], left + self.size[1]


def receptive_field(
    model: keras.Model, layer: str | int, *, size: int | Sequence[int] | None = None
) -> ReceptiveField:
    """Compute the receptive field of a layer's neurons from the stack of layers before it.

    Layer by layer, along each axis (Araujo, Norris & Sim 2019, "Computing Receptive Fields of
    Convolutional Neural Networks", Distill): `size += (k - 1) stride`, `start -= padding stride`,
    `stride *= s`, with the kernel k (dilated) and its step s. Branches that meet see what any of
    them sees. After a layer that is neither sliding nor in place (Dense, global pooling, attention,
    upsampling ...) a neuron is taken to see the whole image.

    Args:
        model: Functional or Sequential, nested at any depth.
        layer: path or index of a layer with units.
        size: (height, width) of the image, as `image_shape` takes it.

    Raises:
        ValueError: no such layer, or one without units; the model does not take images.
    """
    graph = graph_of(model)
    call = find_call(model, graph, layer)
    with_units(model, info_of(call))
    image = image_input(graph, size)
    if image.kind != "image":
        raise ValueError(f"model must take images for a receptive field, got a {image.kind}")
    whole = ReceptiveField(tuple(image.shape[:2]), (0, 0), (0, 0))
    fields = {
        value: ReceptiveField((1, 1), (1, 1), (0, 0)) if value.name == image.name else whole
        for value in graph.inputs
    }
    for one in graph.needed(call.outputs):
        before = _union([fields[value] for value in one.inputs], whole)
        after = _after(one.operation, before, whole, one.inputs[0].shape)
        fields |= dict.fromkeys(one.outputs, after)
    return fields[call.outputs[0]]


def _after(operation, before: ReceptiveField, whole: ReceptiveField, shape) -> ReceptiveField:
    kind = type(operation).__name__
    is_in_place = isinstance(operation, IN_PLACE) or kind in OPERATIONS_IN_PLACE
    if before == whole or is_in_place or (kind.startswith("Random") and kind != "RandomCrop"):
        return before
    if isinstance(operation, layers.ZeroPadding2D | layers.Cropping2D):
        is_padding = isinstance(operation, layers.ZeroPadding2D)
        edges = operation.padding if is_padding else operation.cropping
        steps = [(1, 1, edge[0] if is_padding else -edge[0]) for edge in edges]
    elif isinstance(operation, SLIDING):
        steps = [_step(operation, axis, shape[1 + axis]) for axis in (0, 1)]
    else:
        return whole
    axes = zip(before.size, before.stride, before.start, steps, strict=True)
    along = [
        (size + (k - 1) * stride, stride * s, start - padding * stride)
        for size, stride, start, (k, s, padding) in axes
    ]
    return ReceptiveField(*zip(*along, strict=True))


def _step(layer: keras.Layer, axis: int, length: int | None) -> tuple[int, int, int]:
    """Extent of the kernel, its step and the padding before the first pixel, along one axis."""
    kernel = layer.pool_size if hasattr(layer, "pool_size") else layer.kernel_size
    dilation = getattr(layer, "dilation_rate", (1, 1))[axis]
    strides = layer.strides
    k, s = (kernel[axis] - 1) * dilation + 1, strides[axis]
    if layer.padding == "valid":
        return k, s, 0
    if length is None:
        return k, s, max(k - s, 0) // 2
    return k, s, max((math.ceil(length / s) - 1) * s + k - length, 0) // 2


def _union(fields: list[ReceptiveField], whole: ReceptiveField) -> ReceptiveField:
    if len({field.stride for field in fields}) > 1:
        return whole
    starts = tuple(min(field.start[axis] for field in fields) for axis in (0, 1))
    ends = (max(field.start[axis] + field.size[axis] for field in fields) for axis in (0, 1))
    size = tuple(end - start for end, start in zip(ends, starts, strict=True))
    return ReceptiveField(size, fields[0].stride, starts)
