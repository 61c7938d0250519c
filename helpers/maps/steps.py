"""One step of keras-vis's optimizer for every image of a batch.

Three passes over each image by machine code: the sums of LP norm and total variation, the gradient
and its mean square, the step. XLA takes three times as long; it does what the code does not know.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from helpers.maps.parametrizations import PIXEL_RANGE
from helpers.maps.regularizers import lp_norm, total_variation
from helpers.models import machine_code
from helpers.models.machine_code import Writer, aligned, ir, share

EPSILON = 1e-7
DECAY = 0.95


class State(NamedTuple):
    """Where the maps of a batch stand.

    Attributes:
        image: (N, H, W, C) float32, pixels.
        cache: RMSprop's mean squared gradient, as `image`.
        lowest: the lowest loss before a step so far, (N,).
        best: the image after the step whose loss before it was the lowest, as `image`.
    """

    image: tf.Tensor
    cache: tf.Tensor
    lowest: tf.Tensor
    best: tf.Tensor


def update(
    state: State,
    activation_gradient: tf.Tensor,
    activation_loss: tf.Tensor,
    weights: tf.Tensor,
    bounded: tf.Tensor,
) -> tuple[State, tf.Tensor]:
    """One step of every image.

    `g = d loss / d x; g = g / (rms(g) + eps); v = .95 v + .05 g^2; x = x - g / sqrt(v + eps)`; the
    image after the step of the lowest loss before a step is kept (keras-vis 0.4.1, `Optimizer`).

    Args:
        state: of N maps.
        activation_gradient: of the activation's part of the loss, as the images.
        activation_loss: (N,).
        weights: of LP norm and total variation, (N, 2).
        bounded: whether every pixel is kept in 0..255.

    Returns:
        The state after the step, and the parts of the loss before it, (3, N): activation, LP norm,
        total variation.
    """
    shape = state.image.shape[1:]
    if len(shape) != 3 or None in shape or not machine_code.is_available():
        return _by_xla(state, activation_gradient, activation_loss, weights, bounded)
    arguments = [*state, activation_gradient, activation_loss, weights, bounded]
    results = tf.numpy_function(_run, arguments, [tf.float32] * 5, stateful=False)
    likes = [*state, None]
    *moved, parts = (
        result if like is None else tf.ensure_shape(result, like.shape)
        for result, like in zip(results, likes, strict=True)
    )
    return State(*moved), tf.ensure_shape(parts, (3, state.lowest.shape[0]))


def _run(x, cache, lowest, best, gradient, activation_loss, weights, bounded):
    arrays = [np.ascontiguousarray(array) for array in (x, gradient, cache, best)]
    count, (height, width, channels) = len(x), x.shape[1:]
    size = np.float32(height * width * channels)
    moved = [aligned(x.shape, np.float32) for _ in range(3)]
    sums, factors = np.zeros((count, 2), np.float32), np.zeros((count, 2), np.float32)
    mean_square, divisor = np.zeros(count, np.float32), np.zeros(count, np.float32)
    better = np.zeros(count, np.int64)
    kept = [*arrays, *moved, sums, factors, mean_square, divisor, better]
    addresses = [array.ctypes.data for array in kept]
    functions = _machine_code()

    def each_image(name: str) -> None:
        run = functions[name]
        sizes = int(bounded), height, width * channels, channels
        share(lambda start, end: run(*addresses, *sizes, start, end), count)

    each_image("sums")
    with np.errstate(divide="ignore", invalid="ignore"):
        root = sums[:, 0] ** np.float32(1 / 6)
        factors[:] = weights / size * np.stack([root / sums[:, 0], np.full_like(root, 2)], 1)
    regularizers = weights / size * np.stack([root, sums[:, 1]], 1)
    each_image("gradients")
    divisor[:] = np.sqrt(mean_square / size) + np.float32(EPSILON)
    loss = activation_loss + regularizers.sum(1)
    better[:] = loss < lowest
    each_image("moves")
    parts = np.stack([activation_loss, *regularizers.T])
    return moved[0], moved[1], np.where(better == 1, loss, lowest), moved[2], parts


@tf.function(autograph=False, jit_compile=True)
def _by_xla(state, activation_gradient, activation_loss, weights, bounded):
    x, cache, lowest, best = state
    with tf.GradientTape() as tape:
        tape.watch(x)
        lp = weights[:, 0] * lp_norm(x)
        tv = weights[:, 1] * total_variation(x)
        regularizers = lp + tv
    gradient = tape.gradient(regularizers, x) + activation_gradient
    axes = list(range(1, len(x.shape)))
    rms = tf.sqrt(tf.reduce_mean(gradient**2, axis=axes, keepdims=True))
    gradient = gradient / (rms + EPSILON)
    cache = DECAY * cache + (1 - DECAY) * gradient**2
    x = x - gradient / tf.sqrt(cache + EPSILON)
    x = tf.where(bounded, tf.clip_by_value(x, *map(float, PIXEL_RANGE)), x)
    loss = activation_loss + regularizers
    better = loss < lowest
    best = tf.where(tf.reshape(better, (-1, *[1] * len(axes))), x, best)
    state = State(x, cache, tf.where(better, loss, lowest), best)
    return state, tf.stack([activation_loss, lp, tv])


@lru_cache(maxsize=1)
def _machine_code() -> dict[str, Callable]:
    """Three functions of the same arguments, for the images from `start` to `end`.

    `x, gradient, cache, best` are read, `x, cache, best` (moved) written; then for each image
    `sums` of LP norm and total variation, `factors` of their gradients, `mean_square`, `divisor`,
    `better`; whether the pixels are `bounded`, and `height, row` (floats), `channels`.
    """
    writers = {"sums": _write_sums, "gradients": _write_gradients, "moves": _write_moves}
    return machine_code.compiled(writers, arguments=18)


class _Arguments(NamedTuple):
    x: "ir.Value"
    gradient: "ir.Value"
    cache: "ir.Value"
    best: "ir.Value"
    moved: "ir.Value"
    moved_cache: "ir.Value"
    moved_best: "ir.Value"
    sums: "ir.Value"
    factors: "ir.Value"
    mean_square: "ir.Value"
    divisor: "ir.Value"
    better: "ir.Value"
    bounded: "ir.Value"
    height: "ir.Value"
    row: "ir.Value"
    channels: "ir.Value"
    start: "ir.Value"
    end: "ir.Value"


class _Sum:
    """A sum over many vectors, and over the single numbers that are left of a line."""

    def __init__(self, w: Writer):
        self.w = w
        self.parts = {n: w.b.alloca(w.vector(n)) for n in (machine_code.lanes(), 1)}

    def clear(self) -> None:
        for n, pointer in self.parts.items():
            self.w.b.store(self.w.filled(n, 0.0), pointer)

    def add(self, values: "ir.Value") -> None:
        pointer = self.parts[values.type.count]
        self.w.b.store(self.w.b.fadd(self.w.b.load(pointer), values), pointer)

    def store(self, *address) -> None:
        many, one = (self.w.b.load(pointer) for pointer in self.parts.values())
        total = self.w.b.extract_element(one, self.w.number(0))
        for k in range(many.type.count):
            total = self.w.b.fadd(total, self.w.b.extract_element(many, self.w.number(k)))
        self.w.store(self.w.spread(total, 1), *address)


def _over(w: Writer, start, end, body: Callable[["ir.Value", int], None]) -> None:
    """Write `body(first, count)` for the floats of a line: vectors, and then what is left."""
    lanes = machine_code.lanes()
    whole = w.sum(start, (w.b.sdiv(w.sum(end, (start, -1)), w.int(lanes)), lanes))
    with w.loop(whole, lanes, start) as e:
        body(e, lanes)
    with w.loop(end, 1, whole) as e:
        body(e, 1)


def _write_sums(function: "ir.Function") -> None:
    a, w = _Arguments(*function.args), Writer(function)
    powers, squares = _Sum(w), _Sum(w)
    with w.loop(a.end, start=a.start) as n:
        powers.clear()
        squares.clear()
        with w.loop(a.height) as i:
            line = w.sum(a.x, (w.sum((n, a.height), i), a.row, 4))

            def power(e, count, line=line):
                x = w.load(w.vector(count), line, (e, 4))
                square = w.b.fmul(x, x)
                powers.add(w.b.fmul(w.b.fmul(square, square), square))

            def difference(e, count, line=line):
                x, below, right = (
                    w.load(w.vector(count), line, (e, 4), (step, 4))
                    for step in (w.int(0), a.row, a.channels)
                )
                down, right = w.b.fsub(below, x), w.b.fsub(right, x)
                squares.add(w.multiply_add(down, down, w.b.fmul(right, right)))

            _over(w, w.int(0), a.row, power)
            has_below = w.b.icmp_signed("<", i, w.sum(a.height, -1))
            _over(w, w.int(0), w.b.select(has_below, _inner(w, a), w.int(0)), difference)
        powers.store(a.sums, (n, 8))
        squares.store(a.sums, (n, 8), 4)
    w.b.ret_void()


def _write_gradients(function: "ir.Function") -> None:
    """Add those of the regularizers to the activation's, in the memory of the next image."""
    a, w = _Arguments(*function.args), Writer(function)
    squares = _Sum(w)
    with w.loop(a.end, start=a.start) as n:
        squares.clear()
        by_power, by_difference = (w.load(w.f32, a.factors, (n, 8), 4 * k) for k in range(2))
        with w.loop(a.height) as i:
            first = w.sum(w.sum((n, a.height), i), 0)
            line = w.sum(a.x, (first, a.row, 4))
            has_above = w.b.icmp_signed(">", i, w.int(0))
            has_below = w.b.icmp_signed("<", i, w.sum(a.height, -1))
            above = w.b.select(has_above, w.sum(line, (a.row, -4)), line)
            below = w.b.select(has_below, w.sum(line, (a.row, 4)), line)
            nothing = ir.Constant(w.f32, 0.0)
            own_factor = w.b.select(has_below, by_difference, nothing)

            def add(
                e, count, has_left, has_own, first=first, line=line, rows=(above, below, own_factor)
            ):
                above, below, own_factor = rows
                kind = w.vector(count)
                at = lambda row, *more: w.load(kind, row, (e, 4), *more)  # noqa: E731
                x = at(line)
                total = w.load(kind, a.gradient, (w.sum((first, a.row), e), 4))
                square = w.b.fmul(x, x)
                fifth = w.b.fmul(w.b.fmul(square, square), x)
                total = w.multiply_add(w.spread(by_power, count), fifth, total)
                change = w.filled(count, 0.0)
                if has_own:
                    change = w.b.fsub(change, w.b.fsub(at(below), x))
                    change = w.b.fsub(change, w.b.fsub(at(line, (a.channels, 4)), x))
                if has_left:
                    change = w.b.fadd(change, w.b.fsub(x, at(line, (a.channels, -4))))
                total = w.multiply_add(w.spread(own_factor, count), change, total)
                if has_own:
                    up = w.b.fsub(x, at(above))
                    total = w.multiply_add(w.spread(by_difference, count), up, total)
                squares.add(w.b.fmul(total, total))
                w.store(total, a.moved, (w.sum((first, a.row), e), 4))

            inner = _inner(w, a)
            _over(w, w.int(0), a.channels, partial(add, has_left=False, has_own=True))
            _over(w, a.channels, inner, partial(add, has_left=True, has_own=True))
            _over(w, inner, a.row, partial(add, has_left=True, has_own=False))
        squares.store(a.mean_square, (n, 4))
    w.b.ret_void()


def _inner(w: Writer, a: _Arguments) -> "ir.Value":
    """Floats of a row without those of its last pixel."""
    return w.sum(a.row, (a.channels, -1))


def _write_moves(function: "ir.Function") -> None:
    a, w = _Arguments(*function.args), Writer(function)
    is_bounded = w.b.icmp_signed("!=", a.bounded, w.int(0))
    low, high = (
        w.b.select(is_bounded, ir.Constant(w.f32, float(bound)), ir.Constant(w.f32, far))
        for bound, far in zip(PIXEL_RANGE, (-np.inf, np.inf), strict=True)
    )
    with w.loop(a.end, start=a.start) as n:
        size = w.sum((a.height, a.row))
        divisor = w.load(w.f32, a.divisor, (n, 4))
        is_better = w.b.icmp_signed("!=", w.load(w.i64, a.better, (n, 8)), w.int(0))

        def move(e, count, n=n, size=size, divisor=divisor, is_better=is_better):
            at = (w.sum((n, size), e), 4)
            x, gradient, cache, best = (
                w.load(w.vector(count), array, at) for array in (a.x, a.moved, a.cache, a.best)
            )
            gradient = w.b.fdiv(gradient, w.spread(divisor, count))
            square = w.b.fmul(w.filled(count, 1 - DECAY), w.b.fmul(gradient, gradient))
            cache = w.multiply_add(w.filled(count, DECAY), cache, square)
            root = w.square_root(w.b.fadd(cache, w.filled(count, EPSILON)))
            x = w.b.fsub(x, w.b.fdiv(gradient, root))
            for order, bound in (("<", low), (">", high)):
                bound = w.spread(bound, count)
                x = w.b.select(w.b.fcmp_ordered(order, x, bound), bound, x)
            w.store(x, a.moved, at)
            w.store(cache, a.moved_cache, at)
            w.store(w.b.select(is_better, x, best), a.moved_best, at)

        _over(w, w.int(0), size, move)
    w.b.ret_void()
