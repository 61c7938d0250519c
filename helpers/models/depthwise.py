"""Depthwise convolutions with ReLU6 before and after, by code made for them.

TensorFlow takes a pass over memory for the gradient of each ReLU6 and one for the convolution's.
Here all is one pass, forward and back: an image is put between zeros in memory that stays in the
processor's cache (back: its gradient, masked, and with zeros between for strides), and convolved
from there, a vector of channels and some columns at a time.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import tensorflow as tf

from helpers.models import machine_code
from helpers.models.machine_code import MachineCode, Writer, aligned, ir, lanes, share

COLUMNS_AT_ONCE = 7
"""Enough sums that do not wait for each other; the sides of ImageNet's models are multiples."""
MOST_POSITIONS = 25
"""Of a kernel (rows x columns): the machine code grows with them."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class Depthwise:
    """What the machine code is made for.

    Attributes:
        kernel: rows and columns.
        channels: of the image, and of the output.
        strides: vertical and horizontal.
        relu6_before, relu6_after: apply a ReLU6 to what is convolved, and to the result.
    """

    kernel: Pair
    channels: int
    strides: Pair = (1, 1)
    relu6_before: bool = False
    relu6_after: bool = False


def is_supported(conv: Depthwise) -> bool:
    """Tell whether `conv` gets machine code of its own here."""
    return (
        machine_code.is_available()
        and conv.channels % 4 == 0
        and conv.kernel[0] * conv.kernel[1] <= MOST_POSITIONS
    )


def convolve(
    conv: Depthwise, x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, padding: str
) -> tf.Tensor:
    """Compute `relu6(depthwise_conv(relu6(x), kernel) + bias)`, differentiable by `x` only.

    Equal to TensorFlow's up to the rounding of sums.

    Args:
        conv: a supported one.
        x: (N, H, W, C) float32, H and W known.
        kernel: (rows, columns, C) float32.
        bias: (C,) float32.
        padding: "valid" or "same", TensorFlow's.

    Returns:
        (N, h, w, C).
    """
    size = tuple(x.shape[1:3])
    axes = [_axis(*each, padding) for each in zip(size, conv.kernel, conv.strides, strict=True)]
    output, before = tuple(zip(*axes, strict=True))

    @tf.custom_gradient
    def apply(x):
        if conv.relu6_before:
            x = tf.nn.relu6(x)  # TensorFlow joins it with the layer before
        run = partial(_run_forward, conv, output, before)
        y = tf.numpy_function(run, [x, kernel, bias], tf.float32, stateful=False)
        y = tf.ensure_shape(y, (x.shape[0], *output, conv.channels))

        def gradient(g):
            run = partial(_run_backward, conv, size, before)
            dx = tf.numpy_function(run, [g, x, y, kernel], tf.float32, stateful=False)
            return tf.ensure_shape(dx, x.shape)

        return y, gradient

    return apply(x)


def _axis(size: int, kernel: int, stride: int, padding: str) -> Pair:
    """Outputs along an axis, and zeros before it."""
    if padding == "valid":
        return (size - kernel) // stride + 1, 0
    outputs = -(-size // stride)
    return outputs, max((outputs - 1) * stride + kernel - size, 0) // 2


@dataclass(frozen=True)
class _Pass:
    """What one function of machine code does.

    Attributes:
        kernel, channels, strides: of the convolution.
        spacing: of the source among zeros.
        masks_source: a second array says where the source is 0: where a ReLU6 is flat.
        last: "relu6" of the result, "mask" it by another array as the source, or "".
    """

    kernel: Pair
    channels: int
    strides: Pair
    spacing: Pair
    masks_source: bool
    last: str


def _run_forward(conv: Depthwise, output: Pair, before: Pair, x, kernel, bias) -> np.ndarray:
    last = "relu6" if conv.relu6_after else ""
    one = _Pass(conv.kernel, conv.channels, conv.strides, (1, 1), False, last)
    return _run(one, x, None, kernel, bias, None, output, before)


def _run_backward(conv: Depthwise, size: Pair, before: Pair, g, x, y, kernel) -> np.ndarray:
    last = "mask" if conv.relu6_before else ""
    one = _Pass(conv.kernel, conv.channels, (1, 1), conv.strides, conv.relu6_after, last)
    around = tuple(k - 1 - zeros for k, zeros in zip(conv.kernel, before, strict=True))
    nothing = np.zeros(conv.channels, np.float32)
    return _run(one, g, y, kernel[::-1, ::-1], nothing, x, size, around)


def _run(one: _Pass, source, mask, kernel, bias, last_mask, output: Pair, before: Pair):
    """Convolve the source, `before` zeros above and left of it, to results of a size."""
    result = aligned((len(source), *output, one.channels), np.float32)
    arrays = source, source if mask is None else mask, kernel, bias
    arrays = [*arrays, result if last_mask is None else last_mask, result]
    arrays = [np.ascontiguousarray(array) for array in arrays]
    addresses = [array.ctypes.data for array in arrays]
    room = [
        max((many - 1) * stride + k, zeros + (given - 1) * spacing + 1)
        for many, stride, k, zeros, given, spacing in zip(
            output, one.strides, one.kernel, before, source.shape[1:3], one.spacing, strict=True
        )
    ]
    code = _machine_code(one).functions["run"]

    def run(start: int, end: int) -> None:
        between_zeros = aligned((*room, one.channels), np.float32)
        between_zeros[:] = 0
        place = between_zeros.ctypes.data
        code(*addresses, place, start, end, *source.shape[1:3], room[1], *output, *before)

    share(run, len(source))
    return result


@lru_cache(maxsize=64)
def _machine_code(one: _Pass) -> MachineCode:
    """`run(source, mask, kernel, bias, last mask, result, between zeros, *sizes)`.

    The sizes: first image, the image after the last, height and width of the source, width of what
    lies between zeros, height and width of the result, and the zeros above and left.
    """
    return machine_code.compiled({"run": partial(_write, one)}, arguments=16)


def _write(one: _Pass, function: "ir.Function") -> None:
    source, mask, kernel, bias, last_mask, result, placed = function.args[:7]
    start, end, height, width, placed_width, rows, columns, top, left = function.args[7:]
    w = Writer(function)
    wide, pixel = lanes(one.channels), 4 * one.channels
    vector = w.vector(wide)

    def place(n) -> None:
        with w.loop(height) as i, w.loop(width) as j, w.loop(one.channels, wide) as f:
            at = w.sum((w.sum((w.sum((n, height), i), width), j), pixel), (f, 4))
            value = w.load(vector, source, at)
            if one.masks_source:
                value = _passed(w, value, w.load(vector, mask, at))
            row, column = w.sum(top, (i, one.spacing[0])), w.sum(left, (j, one.spacing[1]))
            w.store(value, placed, (w.sum((row, placed_width), column), pixel), (f, 4))

    def convolve(n, i, f, j, count: int) -> None:
        """Make `count` results from column j on."""
        sums = [w.load(vector, bias, (f, 4))] * count
        for r in range(one.kernel[0]):
            row = w.sum(w.sum((i, one.strides[0])), r)
            line = w.sum(w.sum((row, placed_width)), (j, one.strides[1]))
            line = w.sum(placed, (line, pixel), (f, 4))
            at = [(r * one.kernel[1] + c) * pixel for c in range(one.kernel[1])]
            weights = [w.load(vector, kernel, (f, 4), k) for k in at]
            for q in range((count - 1) * one.strides[1] + one.kernel[1]):
                value = w.load(vector, line, q * pixel)
                for t in range(count):
                    c = q - t * one.strides[1]
                    if 0 <= c < one.kernel[1]:
                        sums[t] = w.multiply_add(value, weights[c], sums[t])
        first = w.sum((w.sum((w.sum((n, rows), i), columns), j), pixel), (f, 4))
        for t, value in enumerate(sums):
            at = w.sum(first, t * pixel)
            if one.last == "mask":
                value = _passed(w, value, w.load(vector, last_mask, at))
            w.store(_relu6(w, value) if one.last == "relu6" else value, result, at)

    in_blocks = w.b.sub(columns, w.b.srem(columns, w.int(COLUMNS_AT_ONCE)))
    with w.loop(end, start=start) as n:
        place(n)
        with w.loop(rows) as i, w.loop(one.channels, wide) as f:
            with w.loop(in_blocks, COLUMNS_AT_ONCE) as j:
                convolve(n, i, f, j, COLUMNS_AT_ONCE)
            with w.loop(columns, start=in_blocks) as j:
                convolve(n, i, f, j, 1)
    w.b.ret_void()


def _passed(w: Writer, gradient: "ir.Value", output: "ir.Value") -> "ir.Value":
    """What a ReLU6 of that output passes of a gradient."""
    count = output.type.count
    is_above = w.b.fcmp_ordered(">", output, w.filled(count, 0.0))
    is_below = w.b.fcmp_ordered("<", output, w.filled(count, 6.0))
    return w.chosen(w.b.and_(is_above, is_below), gradient)


def _relu6(w: Writer, value: "ir.Value") -> "ir.Value":
    for sign, bound in (("<", 0.0), (">", 6.0)):
        limit = w.filled(value.type.count, bound)
        value = w.b.select(w.b.fcmp_ordered(sign, value, limit), limit, value)
    return value
