"""One unit of a layer for each example: another for each, and not all of them."""

from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import layers

from helpers.models.fast_layers import is_untouched


def is_plain(layer: keras.Operation) -> bool:
    """Whether `own_product` knows a layer: Dense, or Conv2D without groups and channels last.

    Its output is its activation function of the product with its kernel plus its bias, in float32.
    """
    return (
        is_untouched(layer)
        and type(layer) in (layers.Conv2D, layers.Dense)
        and layer.compute_dtype == "float32"
        and (
            type(layer) is layers.Dense or (layer.groups, layer.data_format) == (1, "channels_last")
        )
    )


def own_product(layer: keras.Layer, x: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
    """What a plain layer makes of each example with one kernel of its own, before the bias.

    So one unit is computed for each example, not all of them. A convolution is one matrix product
    for each example, which gives what every position adds to the positions around it, and one
    shifted sum.

    Args:
        layer: as `is_plain`.
        x: (N, H, W, C) with H, W and C known, or (N, ..., C).
        kernels: (N, rows, columns, C) or (N, C).

    Returns:
        (N, h, w) or (N, ...).
    """
    if type(layer) is layers.Dense:
        between = [1] * (len(x.shape) - 2)
        return tf.reduce_sum(x * tf.reshape(kernels, (-1, *between, kernels.shape[-1])), -1)
    height, width, channels = x.shape[1:]
    moves = [
        _Moves(size, *own, layer.padding == "same")
        for size, *own in zip(
            (height, width), layer.kernel_size, layer.strides, layer.dilation_rate, strict=True
        )
    ]
    count = moves[0].count * moves[1].count
    matrices = tf.reshape(kernels, (-1, count, channels))

    @tf.custom_gradient
    def apply(x):
        flat = tf.reshape(x, (-1, height * width, channels))
        added = tf.matmul(matrices, flat, transpose_b=True)
        outputs = _collected(tf.reshape(added, (-1, count, height, width)), *moves)

        def gradient(g):
            spread = tf.reshape(_spread(g, *moves), (-1, count, height * width))
            return tf.reshape(tf.matmul(spread, matrices, transpose_a=True), tf.shape(x))

        return outputs, gradient

    return apply(x)


@dataclass(frozen=True)
class _Moves:
    """Along one axis: output j reads the inputs `j * stride + k * dilation - before`, k < count."""

    size: int
    count: int
    stride: int
    dilation: int
    is_same: bool

    @property
    def reach(self) -> int:
        return (self.count - 1) * self.dilation

    @property
    def outputs(self) -> int:
        return -(-(self.size if self.is_same else self.size - self.reach) // self.stride)

    @property
    def padding(self) -> tuple[int, int]:
        """TensorFlow's, before and after."""
        total = max((self.outputs - 1) * self.stride + self.reach + 1 - self.size, 0)
        return (total // 2, total - total // 2) if self.is_same else (0, 0)

    def part(self, k: int) -> slice:
        """The padded inputs that the outputs read at `k`."""
        first = k * self.dilation
        return slice(first, first + (self.outputs - 1) * self.stride + 1, self.stride)


def _collected(added: tf.Tensor, rows: _Moves, columns: _Moves) -> tf.Tensor:
    """What inputs add, by the kernel's position, (N, count, H, W), summed at outputs (N, h, w)."""
    added = tf.pad(added, [(0, 0), (0, 0), rows.padding, columns.padding])
    return tf.add_n(
        [
            added[:, i * columns.count + j, rows.part(i), columns.part(j)]
            for i in range(rows.count)
            for j in range(columns.count)
        ]
    )


def _spread(g: tf.Tensor, rows: _Moves, columns: _Moves) -> tf.Tensor:
    """The gradient of `_collected`, (N, h, w) to (N, count, H, W)."""
    between = [(0, 0), (0, 0), (0, rows.stride - 1), (0, 0), (0, columns.stride - 1)]
    g = tf.pad(g[:, :, None, :, None], between)
    g = tf.reshape(g, (-1, rows.outputs * rows.stride, columns.outputs * columns.stride))
    ends = [(axis.outputs - 1) * axis.stride + 1 for axis in (rows, columns)]
    around = [
        (axis.reach, max(0, axis.size + axis.padding[0] - end))
        for axis, end in zip((rows, columns), ends, strict=True)
    ]
    g = tf.pad(g[:, : ends[0], : ends[1]], [(0, 0), *around])
    firsts = [
        [axis.reach + axis.padding[0] - k * axis.dilation for k in range(axis.count)]
        for axis in (rows, columns)
    ]
    parts = [
        g[:, top : top + rows.size, left : left + columns.size]
        for top in firsts[0]
        for left in firsts[1]
    ]
    return tf.stack(parts, 1)
