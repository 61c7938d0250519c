"""Convolutions of 3 x 3 in fewer products, with ReLU and 2x2 max pooling, by code made for them.

Four outputs, 2 x 2, take 36 products for each pair of channels; by Winograd's minimal filtering 16
(Lavin & Gray 2016, 1509.09308, section 4.1, F(2x2, 3x3)):

    Y = A' [(G k G') * (B' d B)] A

with the tile d of 4 x 4 inputs and the kernel k. The sums of four are rounded otherwise than those
of nine, and no more. The gradient by the input is such a convolution too, of the turned kernel.

One tile's outputs are one pool. So bias, ReLU and pooling take place before the outputs reach the
memory, and backward the gradient is spread as it is read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import tensorflow as tf

from helpers.models import machine_code
from helpers.models.machine_code import Buffer, Writer, aligned, ir, share
from helpers.models.thin_convolution import by_tensorflow

LEAST_CHANNELS = 16
"""Below, what is saved is less than what the tiles cost."""
KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], "float32")
"""G."""
MEMORY = 2**19
"""Bytes for the tiles at work, of each core: its own cache."""
LEAST_TILES = 48
"""At work at once: for fewer, reading the kernel takes longer than the products."""
LEAST_PRODUCTS = 2**20
"""Tiles x channels x filters that are worth another core: to wake it takes as long."""


@dataclass(frozen=True)
class Winograd:
    """What the machine code is made for.

    Attributes:
        channels: of the input, a multiple of 8.
        filters: output channels, a multiple of 8.
        relu: the activation function: ReLU, or none.
        pool: 2x2 max pooling without padding follows the activation function.
    """

    channels: int
    filters: int
    relu: bool = True
    pool: bool = False


def is_supported(conv: Winograd) -> bool:
    """Tell whether `conv` gets machine code of its own here."""
    channels = conv.channels, conv.filters
    return machine_code.is_available() and all(n >= LEAST_CHANNELS and n % 8 == 0 for n in channels)


def convolve(
    x: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor,
    *,
    padding: str = "valid",
    relu: bool = True,
    pool: bool = False,
) -> tf.Tensor:
    """Compute `max_pool(relu(conv(x, kernel) + bias))`, differentiable by `x` only.

    Equal to TensorFlow's up to the rounding of sums. The gradient of a pool goes to the first
    largest of its four outputs, row by row.

    Args:
        x: (N, H, W, C) float32, H and W known.
        kernel: (3, 3, C, filters) float32, of a variable or constant: a compiled function keeps
            what is made of it, as long as its memory is the same.
        bias: (filters,) float32.
        padding: "valid" or "same".
        relu: apply a ReLU.
        pool: then take the largest of each 2x2 outputs; an odd last row or column is left out.

    Returns:
        (N, h, w, filters).
    """
    conv = Winograd(*kernel.shape[2:], relu, pool)
    margin = 1 if padding == "same" else 0
    size = tuple(x.shape[1:3])
    output = tuple((n + 2 * margin - 2) // (2 if pool else 1) for n in size) + (conv.filters,)
    if not is_supported(conv) or x.dtype != tf.float32 or 0 in output:
        return by_tensorflow(x, kernel, bias, padding=padding, relu=relu, pool=pool)

    transformed = lru_cache(maxsize=2)(_transformed)

    @tf.custom_gradient
    def apply(x):
        forward = partial(_run_forward, transformed, conv, margin, output)
        y, which = tf.numpy_function(
            forward, [x, kernel, bias], (tf.float32, tf.uint8), stateful=False
        )
        y = tf.ensure_shape(y, (x.shape[0], *output))

        def gradient(g):
            backward = partial(_run_backward, transformed, conv, margin, size)
            dx = tf.numpy_function(backward, [g, y, which, kernel], tf.float32, stateful=False)
            return tf.ensure_shape(dx, x.shape)

        return y, gradient

    return apply(x)


@dataclass(frozen=True)
class _Code:
    """A convolution of tiles, forward or back.

    Attributes:
        channels: read; a tile is read from where the gradient's own tile of a pool goes, if pooled.
        filters: written.
        margin: zeros around what is read.
        reads_rectified: what is read is 0 where the output that it belongs to is.
        reads_pooled: it belongs to the largest of four.
        relu, pool: as `Winograd`, of what is written.
        has_bias: a bias is added to it.
    """

    channels: int
    filters: int
    margin: int
    reads_rectified: bool = False
    reads_pooled: bool = False
    relu: bool = False
    pool: bool = False
    has_bias: bool = False

    @property
    def lanes(self) -> int:
        return machine_code.lanes(self.channels, self.filters)

    @property
    def panel(self) -> int:
        """Filters whose products are computed at once."""
        two = 2 * self.lanes
        return two if self.filters % two == 0 else self.lanes

    @property
    def rows(self) -> int:
        """Tiles whose products are computed at once: with the panel, what the registers hold."""
        return 12 if self.lanes == 16 else 6

    @property
    def tiles(self) -> int:
        """Tiles at work at once."""
        fit = MEMORY // (64 * (self.channels + self.filters))
        return -(-max(LEAST_TILES, fit) // self.rows) * self.rows

    @property
    def planes(self) -> tuple[int, int]:
        """Floats of one of 16 numbers of all tiles at work, read and written.

        A line more, as planes a power of 2 apart push each other out of the cache.
        """
        return self.tiles * self.channels + 16, self.tiles * self.filters + 16

    @property
    def floats(self) -> int:
        """Of the memory that a core works in: both planes, and a line that is never read."""
        return 16 * sum(self.planes) + self.filters


def _run_forward(transformed: Callable, conv: Winograd, margin: int, output, x, kernel, bias):
    code = _Code(conv.channels, conv.filters, margin, relu=conv.relu, pool=conv.pool, has_bias=True)
    y = aligned((len(x), *output), np.float32)
    which = aligned(y.shape if conv.pool else (0,), np.uint8)
    arrays = np.ascontiguousarray(x), x, x, np.ascontiguousarray(bias), y, which
    ours = transformed(Buffer.of(kernel), code)
    _run(code, arrays, ours, output[:2] if conv.pool else [-(-n // 2) for n in output[:2]])
    return y, which


def _run_backward(transformed: Callable, conv: Winograd, margin: int, size, g, y, which, kernel):
    code = _Code(conv.filters, conv.channels, 2 - margin, conv.relu, conv.pool)
    dx = aligned((len(g), *size, conv.channels), np.float32)
    arrays = np.ascontiguousarray(g), np.ascontiguousarray(y), which, g, dx, which
    ours = transformed(Buffer.of(kernel), code)
    _run(code, arrays, ours, [-(-n // 2) for n in size])
    return dx


def _run(code: _Code, arrays: Sequence[np.ndarray], kernel: np.ndarray, tiles) -> None:
    """Run on x, y and which to read, the bias, and y and which to write."""
    x, out = arrays[0], arrays[-2]
    zeros = np.zeros(code.channels, np.float32)
    addresses = [array.ctypes.data for array in (*arrays, kernel, zeros)]
    sizes = (*x.shape[1:3], *out.shape[1:3], *tiles)
    convolve_tiles = _machine_code(code)["convolve"]

    def run(start: int, end: int) -> None:
        with machine_code.memory(code.floats) as memory:
            convolve_tiles(*addresses, memory.ctypes.data, start, end, *sizes)

    least = max(LEAST_TILES, LEAST_PRODUCTS // (code.channels * code.filters))
    share(run, len(x) * tiles[0] * tiles[1], least)


def _transformed(kernel: Buffer, code: _Code) -> np.ndarray:
    """`G k G'`, (16, panels, channels, filters of a panel); backward of the turned kernel."""
    k = kernel.array
    if not code.has_bias:
        k = k[::-1, ::-1].swapaxes(2, 3)
    k = np.kron(KERNEL, KERNEL) @ k.reshape(9, -1)
    k = k.reshape(16, code.channels, -1, code.panel).swapaxes(1, 2)
    result = aligned(k.shape, np.float32)
    result[:] = k
    return result


@lru_cache(maxsize=64)
def _machine_code(code: _Code) -> dict[str, Callable]:
    """`convolve(x, y, which, bias, out, out_which, kernel, zeros, memory, start, end, *sizes)`.

    The sizes: height and width of x and of out, and tiles in both directions. Start and end are
    numbers of tiles.
    """
    return machine_code.compiled({"convolve": partial(_write, code=code)}, 17)


def _write(function: "ir.Function", code: _Code) -> None:
    x, y, which, bias, out, out_which, kernel, zeros, memory, start, end, *sizes = function.args
    height, width, out_height, out_width, tiles_high, tiles_wide = sizes
    w = Writer(function)
    panel = range(code.panel // code.lanes)
    sums = [[w.b.alloca(w.vector(code.lanes)) for _ in panel] for _ in range(code.rows)]
    products = w.sum(memory, 4 * 16 * code.planes[0])
    with w.loop(end, code.tiles, start) as first:
        count = w.least(code.tiles, w.sum(end, (first, -1)))
        with w.loop(count) as t:
            place = _place(w, w.sum(first, t), tiles_high, tiles_wide)
            _read(
                w,
                code,
                place,
                (x, y, which, zeros),
                (height, width),
                w.sum(memory, (t, 4 * code.channels)),
            )
        _multiply(w, code, sums, count, memory, kernel, products)
        with w.loop(count) as t:
            place = _place(w, w.sum(first, t), tiles_high, tiles_wide)
            _finish(
                w,
                code,
                place,
                w.sum(products, (t, 4 * code.filters)),
                bias,
                out,
                out_which,
                (out_height, out_width),
                w.sum(products, 4 * 16 * code.planes[1]),
            )
    w.b.ret_void()


def _place(w: Writer, tile, high, wide):
    """The image of a tile, and its row and column among the tiles."""
    column, rest = w.b.srem(tile, wide), w.b.sdiv(tile, wide)
    return w.b.sdiv(rest, high), w.b.srem(rest, high), column


def _read(w: Writer, code: _Code, place, arrays, size, memory) -> None:
    """Write `B' d B` of a tile, number by number."""
    x, y, which, zeros = arrays
    n, i, j = place
    each = 1 if code.reads_pooled else 2
    cells = sorted(
        {(r - code.margin) // 2 if code.reads_pooled else r - code.margin for r in range(4)}
    )
    at = {}
    for r in cells:
        row = w.sum((i, each), r)
        for s in cells:
            column = w.sum((j, each), s)
            is_inside = w.b.and_(
                w.b.icmp_unsigned("<", row, size[0]), w.b.icmp_unsigned("<", column, size[1])
            )
            number = w.sum((w.sum((w.sum((n, size[0]), row), size[1]), column), code.channels))
            at[r, s] = is_inside, number

    def address(array, cell, bytes_of_each):
        is_inside, number = at[cell]
        return w.b.select(is_inside, w.sum(array, (number, bytes_of_each)), zeros)

    xs = {cell: address(x, cell, 4) for cell in at}
    ys = {cell: address(y, cell, 4) for cell in at} if code.reads_rectified else {}
    whiches = {cell: address(which, cell, 1) for cell in at} if code.reads_pooled else {}
    with w.loop(code.channels, code.lanes) as c:
        values = {cell: w.load(w.vector(code.lanes), where, (c, 4)) for cell, where in xs.items()}
        for cell, where in ys.items():
            by = w.load(w.vector(code.lanes), where, (c, 4))
            values[cell] = w.rectified(values[cell], by)
        numbers = {
            cell: w.load(w.vector(code.lanes, w.i8), where, c) for cell, where in whiches.items()
        }
        tile = [
            [
                _at_pixel(w, code, values, numbers, r - code.margin, s - code.margin)
                for s in range(4)
            ]
            for r in range(4)
        ]
        by_rows = [_input_1d(w, [tile[r][s] for r in range(4)]) for s in range(4)]
        for r in range(4):
            for s, value in enumerate(_input_1d(w, [by_rows[s][r] for s in range(4)])):
                w.store(value, memory, (c, 4), 4 * (4 * r + s) * code.planes[0])


def _at_pixel(w: Writer, code: _Code, values: dict, numbers: dict, row: int, column: int):
    if not code.reads_pooled:
        return values[row, column]
    cell = row // 2, column // 2
    own = w.filled(code.lanes, row % 2 * 2 + column % 2, w.i8)
    return w.chosen(w.b.icmp_unsigned("==", numbers[cell], own), values[cell])


def _input_1d(w: Writer, d: list) -> list:
    """`B' d`."""
    return [w.b.fsub(d[0], d[2]), w.b.fadd(d[1], d[2]), w.b.fsub(d[2], d[1]), w.b.fsub(d[1], d[3])]


def _output_1d(w: Writer, m: list) -> list:
    """`A' m`."""
    return [
        w.b.fadd(w.b.fadd(m[0], m[1]), m[2]),
        w.b.fsub(w.b.fsub(m[1], m[2]), m[3]),
    ]


def _multiply(w: Writer, code: _Code, sums, count, memory, kernel, products) -> None:
    """For each of 16 numbers, tiles x channels times channels x filters."""
    lanes, panel, channels = code.lanes, code.panel, code.channels
    with w.loop(16) as p, w.loop(code.filters // panel) as f, w.loop(count, code.rows) as t:
        left = w.sum(memory, (p, 4 * code.planes[0]), (t, 4 * channels))
        right = w.sum(kernel, (w.sum((p, code.filters // panel), f), 4 * channels * panel))
        for pointer in sum(sums, []):
            w.b.store(w.filled(lanes, 0.0), pointer)
        with w.loop(channels, 4) as c:
            for step in range(4):
                line = w.sum(right, (c, 4 * panel), 4 * panel * step)
                weights = [
                    w.load(w.vector(lanes), line, 4 * lanes * u) for u in range(len(sums[0]))
                ]
                for r, pointers in enumerate(sums):
                    value = w.load(w.f32, left, (c, 4), 4 * (r * channels + step))
                    value = w.spread(value, lanes)
                    for pointer, own in zip(pointers, weights, strict=True):
                        w.b.store(w.multiply_add(value, own, w.b.load(pointer)), pointer)
        for r, pointers in enumerate(sums):
            for u, pointer in enumerate(pointers):
                at = (t, 4 * code.filters), (f, 4 * panel), 4 * (r * code.filters + u * lanes)
                w.store(w.b.load(pointer), products, (p, 4 * code.planes[1]), *at)


def _finish(w: Writer, code: _Code, place, products, bias, out, which, size, unread) -> None:
    """Write `A' m A` of a tile, its bias added, rectified and pooled."""
    n, i, j = place
    each = 1 if code.pool else 2
    at = {}
    for a in range(each):
        for b in range(each):
            row, column = w.sum((i, each), a), w.sum((j, each), b)
            number = w.sum((w.sum((w.sum((n, size[0]), row), size[1]), column), code.filters))
            where = w.sum(out, (number, 4))
            if a or b:
                is_inside = w.b.and_(
                    w.b.icmp_unsigned("<", row, size[0]), w.b.icmp_unsigned("<", column, size[1])
                )
                where = w.b.select(is_inside, where, unread)
            at[a, b] = where, number
    with w.loop(code.filters, code.lanes) as f:
        m = [
            w.load(w.vector(code.lanes), products, (f, 4), 4 * p * code.planes[1])
            for p in range(16)
        ]
        by_rows = [_output_1d(w, m[s::4]) for s in range(4)]
        outputs = sum((_output_1d(w, [by_rows[s][a] for s in range(4)]) for a in range(2)), [])
        if code.has_bias:
            own = w.load(w.vector(code.lanes), bias, (f, 4))
            outputs = [w.b.fadd(value, own) for value in outputs]
        if code.pool:
            value, index = w.largest(outputs)
            outputs = [value]
            w.store(index, which, at[0, 0][1], f)
        for value, (where, _) in zip(outputs, at.values(), strict=True):
            value = w.rectified(value, value) if code.relu else value
            w.store(value, where, (f, 4))
