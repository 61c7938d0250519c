"""Convolutions of an image of few channels, with ReLU and 2x2 max pooling, by code made for them.

TensorFlow's kernels vectorise over a convolution's input channels. A first layer has 1 or 3 of
them, so it runs below the processor's speed, and its gradient by the image at a tenth of it. Here
the machine code is made for the layer at hand. Forward, with pooling, it vectorises over the
filters, and what is not the largest of its pool never reaches the memory. Backward it vectorises
over the pixels that one output reads; after 2x2 pooling that is a quarter of the work, as only one
of four outputs passes the gradient on. Without pooling, TensorFlow's own convolution is as quick.

LLVM compiles the code when a layer is first run (`machine_code`). Where it cannot, `is_supported`
says so, and `convolve` computes the same with TensorFlow's own operations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import tensorflow as tf

from helpers.models import machine_code
from helpers.models.machine_code import Writer, aligned, ir, share

MAX_KERNEL_VALUES = 256
"""Values of one filter (rows x columns x channels): the machine code grows with them."""
LEAST_LINES = 64
"""Of pools that are worth another core: to wake it takes as long."""


@dataclass(frozen=True)
class ThinConvolution:
    """What the machine code is made for.

    Attributes:
        rows: height of the kernel; `columns`: its width.
        channels: of the image.
        filters: output channels.
        strides: vertical and horizontal; (1, 1) with `pool`.
        relu: the activation function: ReLU, or none.
        pool: 2x2 max pooling without padding follows the activation function.
    """

    rows: int
    columns: int
    channels: int
    filters: int
    strides: tuple[int, int] = (1, 1)
    relu: bool = True
    pool: bool = False


def is_supported(conv: ThinConvolution) -> bool:
    """Tell whether `conv` gets machine code of its own here."""
    values = conv.rows * conv.columns * conv.channels
    return (
        machine_code.is_available()
        and values <= MAX_KERNEL_VALUES
        and conv.filters % 4 == 0
        and (not conv.pool or conv.strides == (1, 1))
    )


def convolve(
    x: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: str = "valid",
    relu: bool = True,
    pool: bool = False,
) -> tf.Tensor:
    """Compute `max_pool(relu(conv(x, kernel) + bias))`, differentiable by `x` only.

    Equal to TensorFlow's up to the rounding of sums. The gradient of a pool goes to the first
    largest of its four outputs, row by row.

    Args:
        x: (N, H, W, C) float32, H and W known.
        kernel: (rows, columns, C, filters) float32.
        bias: (filters,) float32.
        strides: vertical and horizontal.
        padding: "valid" or "same", TensorFlow's.
        relu: apply a ReLU.
        pool: then take the largest of each 2x2 outputs; an odd last row or column is left out.

    Returns:
        (N, h, w, filters).
    """
    conv = ThinConvolution(*kernel.shape, tuple(strides), relu, pool)
    if padding == "same":
        x = tf.pad(x, [(0, 0), *map(_same_padding, x.shape[1:3], kernel.shape, strides), (0, 0)])
    image = x.shape[1:]
    has_pools = image[0] > conv.rows and image[1] > conv.columns
    if not is_supported(conv) or x.dtype != tf.float32 or (pool and not has_pools):
        return by_tensorflow(x, kernel, bias, strides=strides, relu=relu, pool=pool)

    @tf.custom_gradient
    def apply(x):
        if pool:
            y, which = _forward(conv, x, kernel, bias)
        else:
            y = by_tensorflow(x, kernel, bias, strides=strides, relu=relu, pool=pool)
            which = tf.zeros(0, tf.uint8)

        def gradient(g):
            run = partial(_run_backward, conv, image)
            dx = tf.numpy_function(run, [g, y, which, kernel], tf.float32, stateful=False)
            return tf.ensure_shape(dx, x.shape)

        return y, gradient

    return apply(x)


def by_tensorflow(
    x: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: str = "valid",
    relu: bool = True,
    pool: bool = False,
) -> tf.Tensor:
    """What `convolve` computes, by TensorFlow's own operations."""
    y = tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides, padding.upper()), bias)
    y = tf.nn.relu(y) if relu else y
    return tf.nn.max_pool2d(y, 2, 2, "VALID") if pool else y


def _forward(conv: ThinConvolution, x, kernel, bias) -> tuple[tf.Tensor, tf.Tensor]:
    height, width = x.shape[1] - conv.rows + 1, x.shape[2] - conv.columns + 1
    output = (height // 2, width // 2, conv.filters)
    run = partial(_run_forward, conv, output)
    y, which = tf.numpy_function(run, [x, kernel, bias], (tf.float32, tf.uint8), stateful=False)
    shape = (x.shape[0], *output)
    return tf.ensure_shape(y, shape), tf.ensure_shape(which, shape)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _run_forward(conv: ThinConvolution, output: tuple[int, int, int], x, kernel, bias):
    y = aligned((len(x), *output), np.float32)
    which = aligned(y.shape, np.uint8)
    arrays = (*map(np.ascontiguousarray, (x, kernel, bias)), y, which)
    _share(conv, "forward", arrays, len(x) * output[0], (*x.shape[1:3], *output[:2]))
    return y, which


def _run_backward(conv: ThinConvolution, image: tuple[int, int, int], g, y, which, kernel):
    dx = aligned((len(g), *image), np.float32)
    dx[:] = 0
    arrays = (*map(np.ascontiguousarray, (g, y)), which, _table(conv, kernel), dx)
    _share(conv, "backward", arrays, len(g), (*image[:2], *g.shape[1:3]))
    return dx


def _share(
    conv: ThinConvolution, name: str, arrays: Sequence[np.ndarray], count: int, sizes: tuple
) -> None:
    run = _machine_code(conv)[name]
    addresses = [array.ctypes.data for array in arrays]
    least = LEAST_LINES if name == "forward" else 1
    share(lambda start, end: run(*addresses, start, end, *sizes), count, least)


def _table(conv: ThinConvolution, kernel: np.ndarray) -> np.ndarray:
    """What each output's gradient adds to the pixels of its tile.

    Returns:
        (filters, outputs of a tile, floats): pixels (rows, columns, C) of the tile in one line,
        filled with zeros; last, one line of zeros.
    """
    n = 2 if conv.pool else 1
    tile = np.zeros(
        (conv.filters, n, n, conv.rows + n - 1, conv.columns + n - 1, conv.channels), np.float32
    )
    for i, j in np.ndindex(n, n):
        tile[:, i, j, i : i + conv.rows, j : j + conv.columns] = np.moveaxis(kernel, -1, 0)
    lines = tile.reshape(conv.filters * n * n, -1)
    table = aligned((len(lines) + 1, _floats(conv, machine_code.lanes(conv.filters))), np.float32)
    table[:] = 0
    table[:-1, : lines.shape[1]] = lines
    return table


def _floats(conv: ThinConvolution, lanes: int) -> int:
    n = 2 if conv.pool else 1
    values = (conv.rows + n - 1) * (conv.columns + n - 1) * conv.channels
    return -(-values // lanes) * lanes


@lru_cache(maxsize=32)
def _machine_code(conv: ThinConvolution) -> dict[str, Callable]:
    """`forward(x, kernel, bias, y, which, *sizes)`, with pooling only, and `backward(g, y, which,
    table, dx, *sizes)`, which adds to dx.

    The sizes: the first of y's lines (backward: of the images) and the one after the last, height
    and width of x, and of y.
    """
    lanes = machine_code.lanes(conv.filters)
    writers = {"backward": partial(_write_backward, conv=conv, lanes=lanes)}
    if conv.pool:
        writers["forward"] = partial(_write_forward, conv=conv, lanes=lanes)
    return machine_code.compiled(writers, 11)


def _write_forward(function: "ir.Function", conv: ThinConvolution, lanes: int) -> None:
    """Write the loop over pools: two vectors of filters at a time keep the processor busy."""
    x, kernel, bias, y, which, start, end, height, width, y_height, y_width = function.args
    w = Writer(function)
    blocks = 2 if conv.filters % (2 * lanes) == 0 else 1
    pixel = 4 * conv.channels
    with (
        w.loop(end, start=start) as line,
        w.loop(conv.filters, blocks * lanes) as f,
        w.loop(y_width) as j,
    ):
        n, i = w.b.sdiv(line, y_height), w.b.srem(line, y_height)
        first = w.sum(x, (w.sum((w.sum((n, height), (i, 2)), width), (j, 2)), pixel))
        row = w.sum((width, pixel))
        vector = w.vector(lanes)
        biases = [w.load(vector, bias, (f, 4), 4 * lanes * u) for u in range(blocks)]
        sums = _four_outputs(w, conv, biases, first, row, w.sum(kernel, (f, 4)))
        pool = w.sum((w.sum((n, y_height), i), y_width), j)
        for u in range(blocks):
            value, index = w.largest([sums[p, u] for p in range(4)])
            if conv.relu:
                value = w.rectified(value, value)
            at = w.sum((pool, conv.filters), f, u * lanes)
            w.store(value, y, (at, 4))
            w.store(index, which, at)
    w.b.ret_void()


def _four_outputs(w: Writer, conv: ThinConvolution, biases, first, row, kernel) -> dict:
    """The convolution at the four outputs of a pool, by (output, vector of filters)."""
    sums = {(p, u): bias for p in range(4) for u, bias in enumerate(biases)}
    lanes = biases[0].type.count
    for r in range(conv.rows + 1):
        line = w.sum(first, (row, r))
        for c in range(conv.channels):
            offsets = [4 * (k * conv.channels + c) for k in range(conv.columns + 1)]
            pixels = [w.spread(w.load(w.f32, line, offset), lanes) for offset in offsets]
            for i in (i for i in (0, 1) if 0 <= r - i < conv.rows):
                for d in range(conv.columns):
                    at = (((r - i) * conv.columns + d) * conv.channels + c) * conv.filters
                    for u in range(len(biases)):
                        weights = w.load(w.vector(lanes), kernel, 4 * (at + u * lanes))
                        for j in range(2):
                            p = 2 * i + j
                            sums[p, u] = w.multiply_add(pixels[j + d], weights, sums[p, u])
    return sums


def _write_backward(function: "ir.Function", conv: ThinConvolution, lanes: int) -> None:
    """Write the loop over outputs (or pools): sum over the filters, then add to the pixels."""
    g, y, which, table, dx, start, end, height, width, y_height, y_width = function.args
    w = Writer(function)
    n = 2 if conv.pool else 1
    floats = _floats(conv, lanes)
    chunks = floats // lanes
    at_once = 2 if chunks <= 6 else 1  # filters: enough sums that do not wait for each other
    sums = [[w.b.alloca(w.vector(lanes)) for _ in range(chunks)] for _ in range(at_once)]
    zeros = w.sum(table, 4 * floats * conv.filters * n * n)
    pixel = 4 * conv.channels
    with (
        w.loop(end, start=start) as image,
        w.loop(y_height) as i,
        w.loop(y_width) as j,
    ):
        for pointer in sum(sums, []):
            w.b.store(w.filled(lanes, 0.0), pointer)
        at = w.sum((w.sum((w.sum((image, y_height), i), y_width), j), conv.filters))
        with w.loop(conv.filters, at_once) as f:
            for u, pointers in enumerate(sums):
                value = w.load(w.f32, g, (w.sum(at, f, u), 4))
                number = w.sum((w.sum(f, u), n * n))
                if conv.pool:
                    number = w.sum(number, w.b.zext(w.load(w.i8, which, at, f, u), w.i64))
                line = w.sum(table, (number, 4 * floats))
                if conv.relu:
                    output = w.load(w.f32, y, (w.sum(at, f, u), 4))
                    off = w.b.fcmp_ordered("<=", output, ir.Constant(w.f32, 0.0))
                    line = w.b.select(off, zeros, line)
                value = w.spread(value, lanes)
                for k, pointer in enumerate(pointers):
                    weights = w.load(w.vector(lanes), line, 4 * lanes * k)
                    w.b.store(w.multiply_add(value, weights, w.b.load(pointer)), pointer)
        totals = [w.b.load(pointer) for pointer in sums[0]]
        if at_once == 2:
            totals = [w.b.fadd(a, w.b.load(b)) for a, b in zip(totals, sums[1], strict=True)]
        top = w.sum((image, height), (i, n * conv.strides[0]))
        first = w.sum(dx, (w.sum((top, width), (j, n * conv.strides[1])), pixel))
        length = (conv.columns + n - 1) * conv.channels
        for r in range(conv.rows + n - 1):
            line = w.sum(first, (width, pixel * r))
            for column, count in _pieces(length, lanes):
                piece = _cut(w, totals, r * length + column, count, lanes)
                old = w.load(w.vector(count), line, 4 * column)
                w.store(w.b.fadd(old, piece), line, 4 * column)
    w.b.ret_void()


def _pieces(length: int, longest: int) -> "Iterator[tuple[int, int]]":
    """Cut a line into pieces of powers of 2."""
    start = 0
    while start < length:
        piece = longest
        while piece > length - start:
            piece //= 2
        yield start, piece
        start += piece


def _cut(w: Writer, vectors: list, start: int, length: int, lanes: int) -> "ir.Value":
    k, offset = divmod(start, lanes)
    following = vectors[min(k + 1, len(vectors) - 1)]
    numbers = ir.Constant(w.vector(length, ir.IntType(32)), list(range(offset, offset + length)))
    return w.b.shuffle_vector(vectors[k], following, numbers)
