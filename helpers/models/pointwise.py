"""Convolutions of 1 x 1 with normalization and ReLU or ReLU6, by code made for them.

Each position is a product of its channels with the kernel. What follows, a factor and a term for
each filter and the activation function, is done before the outputs reach the memory; backward the
gradient is masked and multiplied as it is read. Else each of them is a pass over memory, which
takes about as long as the products.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import tensorflow as tf

from helpers.models import machine_code
from helpers.models.machine_code import Buffer, MachineCode, Writer, aligned, ir, share

LEAST_CHANNELS = 8
MOST = {"linear": np.inf, "relu": np.inf, "relu6": 6.0}
"""Activation functions, and where they are flat."""
GROUPS = 8
"""Groups of positions whose gradient is masked at once."""


@dataclass(frozen=True)
class Pointwise:
    """What the machine code is made for.

    Attributes:
        channels: of the input, a multiple of 8.
        filters: output channels, a multiple of 8.
        activation: a name in `MOST`.
    """

    channels: int
    filters: int
    activation: str = "linear"


def is_supported(conv: Pointwise) -> bool:
    """Tell whether `conv` gets machine code of its own here."""
    channels = conv.channels, conv.filters
    return (
        machine_code.is_available()
        and conv.activation in MOST
        and all(n >= LEAST_CHANNELS and n % 8 == 0 for n in channels)
    )


def convolve(
    conv: Pointwise, x: tf.Tensor, kernel: tf.Tensor, factor: tf.Tensor, term: tf.Tensor
) -> tf.Tensor:
    """Compute `activation(factor * conv(x, kernel) + term)`, differentiable by `x` only.

    Equal to TensorFlow's up to the rounding of sums.

    Args:
        conv: a supported one.
        x: (N, H, W, C) float32, H and W known.
        kernel: (1, 1, C, filters) float32, of a variable or constant: a compiled function keeps
            what is made of it, as long as its memory is the same.
        factor: (filters,) float32.
        term: (filters,) float32.

    Returns:
        (N, H, W, filters).
    """
    packed = lru_cache(maxsize=2)(_packed)

    @tf.custom_gradient
    def apply(x):
        forward = _Code(conv.channels, conv.filters, conv.activation)
        run = partial(_run_forward, packed, forward)
        y = tf.numpy_function(run, [x, kernel, factor, term], tf.float32, stateful=False)
        y = tf.ensure_shape(y, (*x.shape[:-1], conv.filters))

        def gradient(g):
            backward = _Code(conv.filters, conv.channels, conv.activation, is_backward=True)
            run = partial(_run_backward, packed, backward)
            dx = tf.numpy_function(run, [g, y, kernel, factor], tf.float32, stateful=False)
            return tf.ensure_shape(dx, x.shape)

        return y, gradient

    return apply(x)


@dataclass(frozen=True)
class _Code:
    """Forward: products, factor, term, activation. Backward: mask and factor, products.

    Attributes:
        channels: read.
        filters: written.
        activation: as `Pointwise`; backward of what is read.
        is_backward: which of the two.
    """

    channels: int
    filters: int
    activation: str
    is_backward: bool = False

    @property
    def lanes(self) -> int:
        return machine_code.lanes(self.channels, self.filters)

    @property
    def vectors(self) -> int:
        """Vectors of filters whose products are computed at once."""
        return next(n for n in (2, 3, 1) if self.filters // self.lanes % n == 0)

    @property
    def panel(self) -> int:
        return self.vectors * self.lanes

    @property
    def rows(self) -> int:
        """Positions of a group: with the vectors, what the registers hold."""
        registers = 24 if self.lanes == 16 else 12
        return registers // max(2, self.vectors)


def _run_forward(packed: Callable, code: _Code, x, kernel, factor, term) -> np.ndarray:
    y = aligned((*x.shape[:-1], code.filters), np.float32)
    _run(code, [x, x, packed(Buffer.of(kernel), code), factor, term], y)
    return y


def _run_backward(packed: Callable, code: _Code, g, y, kernel, factor) -> np.ndarray:
    dx = aligned((*g.shape[:-1], code.filters), np.float32)
    _run(code, [g, y, packed(Buffer.of(kernel), code), factor, factor], dx)
    return dx


def _run(code: _Code, arrays: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Run on what is read, what masks it, the kernel, factor and term."""
    arrays = [np.ascontiguousarray(array) for array in arrays]
    positions = arrays[0].size // code.channels
    if positions < code.rows:
        x, mask = (_padded(array, code) for array in arrays[:2])
        result = np.empty((code.rows, code.filters), np.float32)
        _run(code, [x, mask, *arrays[2:]], result)
        out.reshape(-1, code.filters)[:] = result[:positions]
        return
    addresses = [array.ctypes.data for array in (*arrays, out)]
    multiply = _machine_code(code).functions["multiply"]

    def run(start: int, end: int) -> None:
        with machine_code.memory(code.rows * GROUPS * code.channels) as memory:
            multiply(*addresses, memory.ctypes.data, start, end)

    share(run, positions, code.rows * GROUPS)


def _padded(array: np.ndarray, code: _Code) -> np.ndarray:
    flat = array.reshape(-1, code.channels)
    return np.pad(flat, [(0, code.rows - len(flat)), (0, 0)])


def _packed(kernel: Buffer, code: _Code) -> np.ndarray:
    """(panels, channels, filters of a panel)."""
    k = kernel.array[0, 0].T if code.is_backward else kernel.array[0, 0]
    result = aligned((code.filters // code.panel, code.channels, code.panel), np.float32)
    result[:] = k.reshape(code.channels, -1, code.panel).swapaxes(0, 1)
    return result


@lru_cache(maxsize=64)
def _machine_code(code: _Code) -> MachineCode:
    """`multiply(x, mask, kernel, factor, term, out, memory, start, end)`: some positions.

    They are at least as many as a group.
    """
    return machine_code.compiled({"multiply": partial(_write, code=code)}, 9)


def _write(function: "ir.Function", code: _Code) -> None:
    x, mask, kernel, factor, term, out, memory, start, end = function.args
    w = Writer(function)
    sums = [
        [w.b.alloca(w.vector(code.lanes)) for _ in range(code.vectors)] for _ in range(code.rows)
    ]
    size = GROUPS * code.rows
    with w.loop(end, size, start) as block:
        first = w.least(block, w.sum(end, -code.rows))
        count = w.least(size, w.sum(end, (first, -1)))
        left = w.sum(x, (first, 4 * code.channels))
        if code.is_backward:
            own_mask = w.sum(mask, (first, 4 * code.channels))
            _read_gradient(w, code, count, (left, own_mask, factor, memory))
            left = memory
        panel = w.sum(4 * code.panel)
        with w.loop(code.filters // code.panel) as f:
            with w.loop(count, code.rows) as group:
                t = w.least(group, w.sum(count, -code.rows))
                right = w.sum(kernel, (f, code.channels, 4 * code.panel))
                _multiply(w, code, sums, w.sum(left, (t, 4 * code.channels)), right)
                own = [w.sum(values, (f, panel)) for values in (factor, term)]
                to = w.sum(out, (w.sum(first, t), 4 * code.filters), (f, panel))
                _finish(w, code, sums, own, to)
    w.b.ret_void()


def _read_gradient(w: Writer, code: _Code, count, addresses) -> None:
    """Write the gradient, masked and multiplied, to the memory."""
    g, y, factor, memory = addresses
    kind = w.vector(code.lanes)
    with w.loop(count) as t, w.loop(code.channels, code.lanes) as c:
        at = (t, 4 * code.channels), (c, 4)
        value = w.b.fmul(w.load(kind, g, *at), w.load(kind, factor, (c, 4)))
        if code.activation != "linear":
            output = w.load(kind, y, *at)
            value = w.rectified(value, output)
            if code.activation == "relu6":
                is_flat = w.b.fcmp_ordered(">=", output, w.filled(code.lanes, 6.0))
                value = w.b.select(is_flat, w.filled(code.lanes, 0.0), value)
        w.store(value, memory, *at)


def _multiply(w: Writer, code: _Code, sums, left, right) -> None:
    """A group of positions times a panel of filters."""
    lanes, panel = code.lanes, code.panel
    for pointer in sum(sums, []):
        w.b.store(w.filled(lanes, 0.0), pointer)
    with w.loop(code.channels, 4) as c:
        for step in range(4):
            line = w.sum(right, (c, 4 * panel), 4 * panel * step)
            weights = [w.load(w.vector(lanes), line, 4 * lanes * u) for u in range(code.vectors)]
            for r, pointers in enumerate(sums):
                value = w.load(w.f32, left, (c, 4), 4 * (r * code.channels + step))
                value = w.spread(value, lanes)
                for pointer, own in zip(pointers, weights, strict=True):
                    w.b.store(w.multiply_add(value, own, w.b.load(pointer)), pointer)


def _finish(w: Writer, code: _Code, sums, own, to) -> None:
    kind = w.vector(code.lanes)
    factors, terms = (
        [w.load(kind, values, 4 * code.lanes * u) for u in range(code.vectors)] for values in own
    )
    for r, pointers in enumerate(sums):
        for u, pointer in enumerate(pointers):
            value = w.b.load(pointer)
            if not code.is_backward:
                value = w.multiply_add(value, factors[u], terms[u])
                if code.activation != "linear":
                    value = w.rectified(value, value)
                if code.activation == "relu6":
                    most = w.filled(code.lanes, 6.0)
                    value = w.b.select(w.b.fcmp_ordered(">", value, most), most, value)
            w.store(value, to, 4 * (r * code.filters + code.lanes * u))
