"""Bilinear values of images at any places, and the gradient: by machine code where there is LLVM.

TensorFlow gathers the four neighbours of each place one after the other, and adds each gradient
back on one core: half of a step of a small model. Here each place is one pass over its neighbours.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import tensorflow as tf

from helpers.models import machine_code
from helpers.models.machine_code import Writer, aligned, ir, share

Size = tuple[int, int]
GRAY = 127.5
MOST_CHANNELS = 64
"""The machine code grows with the channels."""


def resample(images: tf.Tensor, origins: tf.Tensor, size: Size, *, has_gray: bool) -> tf.Tensor:
    """Bilinear values of images where `origins` says, differentiable by the images only.

    Args:
        images: (N, h, w, C) float32, pixels 0..255, h, w and C known.
        origins: (N, 3, 3), from (x, y, 1) of the result to (x, y, 1) in the images, in pixels.
        size: height and width of the result.
        has_gray: outside of an image lies gray; else its mirror image (NumPy's "reflect").

    Returns:
        (N, *size, C).
    """
    if not machine_code.is_available() or images.shape[-1] > MOST_CHANNELS:
        return _by_tensorflow(images, origins, size, has_gray)
    shape = tuple(images.shape[1:])

    @tf.custom_gradient
    def apply(images):
        run = partial(_run_forward, size, has_gray)
        values = tf.numpy_function(run, [images, origins], tf.float32, stateful=False)

        def gradient(g):
            run = partial(_run_backward, shape, has_gray)
            back = tf.numpy_function(run, [g, origins], tf.float32, stateful=False)
            return tf.ensure_shape(back, images.shape)

        return tf.ensure_shape(values, (images.shape[0], *size, shape[-1])), gradient

    return apply(images)


def _run_forward(size: Size, has_gray: bool, images: np.ndarray, origins: np.ndarray) -> np.ndarray:
    values = aligned((len(images), *size, images.shape[-1]), np.float32)
    _share("forward", images, values, origins, has_gray)
    return values


def _run_backward(
    shape: tuple[int, int, int], has_gray: bool, g: np.ndarray, origins: np.ndarray
) -> np.ndarray:
    images = aligned((len(g), *shape), np.float32)
    images[:] = 0
    _share("backward", images, np.ascontiguousarray(g), origins, has_gray)
    return images


def _share(name: str, images, values, origins, has_gray: bool) -> None:
    images, origins = map(np.ascontiguousarray, (images, origins))
    run = _machine_code(images.shape[-1], has_gray)[name]
    addresses = [array.ctypes.data for array in (images, values, origins)]
    sizes = (*images.shape[1:3], *values.shape[1:3])
    share(lambda start, end: run(*addresses, start, end, *sizes), len(images))


@lru_cache(maxsize=16)
def _machine_code(channels: int, has_gray: bool) -> dict[str, Callable]:
    """`forward` and `backward(images, values, origins, start, end, h, w, height, width)`.

    The first reads images and writes values, the second reads values and adds to images.
    """
    writers = {
        name: partial(_write, channels, has_gray, name == "backward")
        for name in ("forward", "backward")
    }
    return machine_code.compiled(writers, arguments=9)


def _write(channels: int, has_gray: bool, is_backward: bool, function: "ir.Function") -> None:
    images, values, origins, start, end, height, width, rows, columns = function.args
    w = Writer(function)
    b, pixel = w.b, 4 * channels
    with w.loop(end, start=start) as n:
        matrix = [w.load(w.f32, origins, (n, 36), 4 * k) for k in range(6)]
        with w.loop(rows) as i, w.loop(columns) as j:
            place = [b.sitofp(k, w.f32) for k in (j, i)]
            x, y = (
                b.fadd(b.fadd(b.fmul(a[0], place[0]), b.fmul(a[1], place[1])), a[2])
                for a in (matrix[:3], matrix[3:])
            )
            by_column, by_row = (
                _neighbours(w, at, length, has_gray) for at, length in ((x, width), (y, height))
            )
            value = w.sum(values, (w.sum((w.sum((n, rows), i), columns), j), pixel))
            corners = [
                (
                    w.sum(images, (w.sum((w.sum((n, height), row), width), column), pixel)),
                    b.fmul(below, right),
                )
                for row, below in by_row
                for column, right in by_column
            ]
            gray = None
            if has_gray and not is_backward:
                inside = corners[0][1]
                for _, weight in corners[1:]:
                    inside = b.fadd(inside, weight)
                gray = b.fmul(b.fsub(_float(1.0), inside), _float(GRAY))
            for first, count in _pieces(channels):
                _move(w, corners, w.sum(value, 4 * first), 4 * first, count, gray, is_backward)
    b.ret_void()


def _move(w: Writer, corners, value, offset: int, count: int, gray, is_backward: bool) -> None:
    """Sum channels of the corners into the value, or add those of the value to the corners."""
    kind = w.vector(count)
    if is_backward:
        g = w.load(kind, value)
        for corner, weight in corners:
            old = w.load(kind, corner, offset)
            w.store(w.multiply_add(w.spread(weight, count), g, old), corner, offset)
        return
    total = w.filled(count, 0.0) if gray is None else w.spread(gray, count)
    for corner, weight in corners:
        total = w.multiply_add(w.spread(weight, count), w.load(kind, corner, offset), total)
    w.store(total, value)


def _neighbours(w: Writer, place, length, has_gray: bool) -> list[tuple]:
    """The two pixels around a place along an axis, and the weight of each: 0 where it is gray."""
    b = w.b
    last = b.sub(length, w.int(1))
    far = b.sitofp(last, w.f32)
    zero, one = _float(0.0), _float(1.0)
    if has_gray:
        place = _clipped(w, place, _float(-1.0), b.fadd(far, one))
    else:
        period = b.fadd(far, far)
        turns = _floor(w, b.fdiv(place, period))
        mirrored = b.fsub(place, b.fmul(period, turns))
        distance = b.fsub(far, mirrored)
        away = b.select(b.fcmp_ordered("<", distance, zero), b.fsub(zero, distance), distance)
        place = _clipped(w, b.fsub(far, away), zero, far)
    before = _floor(w, place)
    share_after = b.fsub(place, before)
    first = b.fptosi(before, w.i64)
    pixels = []
    for k, weight in ((first, b.fsub(one, share_after)), (w.sum(first, 1), share_after)):
        low, high = b.icmp_signed("<", k, w.int(0)), b.icmp_signed(">", k, last)
        if has_gray:
            weight = b.select(b.or_(low, high), zero, weight)
        pixels.append((b.select(low, w.int(0), b.select(high, last, k)), weight))
    return pixels


def _clipped(w: Writer, value, low, high):
    value = w.b.select(w.b.fcmp_ordered(">", value, low), value, low)
    return w.b.select(w.b.fcmp_ordered("<", value, high), value, high)


def _floor(w: Writer, value):
    kind = ir.FunctionType(w.f32, [w.f32])
    return w.b.call(w.b.module.declare_intrinsic("llvm.floor.f32", fnty=kind), [value])


def _float(value: float):
    return ir.Constant(ir.FloatType(), value)


def _pieces(channels: int) -> list[tuple[int, int]]:
    """Channels as vectors: the first of each and how many."""
    return [(first, min(16, channels - first)) for first in range(0, channels, 16)]


def _by_tensorflow(images, origins, size: Size, has_gray: bool) -> tf.Tensor:
    if has_gray:
        images = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=GRAY)
        origins += tf.constant([[0, 0, 1], [0, 0, 1], [0, 0, 0]], tf.float32)
    count, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    grid = tf.constant(np.stack([x.ravel(), y.ravel(), np.ones(x.size)]), tf.float32)
    places = tf.matmul(origins[:, :2], grid[None])
    columns, right = _axis(places[:, 0], width, not has_gray)
    rows, below = _axis(places[:, 1], height, not has_gray)
    first = tf.range(count)[:, None] * (height * width)
    flat, resampled = tf.reshape(images, (-1, channels)), 0.0
    for row, by_row in ((rows[0], 1 - below), (rows[1], below)):
        for column, by_column in ((columns[0], 1 - right), (columns[1], right)):
            values = tf.gather(flat, first + row * width + column)
            resampled += (by_row * by_column)[..., None] * values
    return tf.ensure_shape(tf.reshape(resampled, (count, *size, channels)), (None, *size, channels))


def _axis(places: tf.Tensor, length: int, mirrors: bool):
    """The two pixels around each place along an axis, and how far it lies towards the second."""
    last = float(length - 1)
    if mirrors and length > 1:
        places = last - tf.abs(last - tf.math.floormod(places, 2 * last))
    places = tf.clip_by_value(places, 0.0, last)
    before = tf.floor(places)
    first = tf.cast(before, tf.int32)
    return (first, tf.minimum(first + 1, length - 1)), places - before
