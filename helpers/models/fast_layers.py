"""Calls equal to those of Keras's layers up to rounding, whose gradient is quick on a CPU."""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import layers

FEW_CHANNELS = 4


def quick_call(layer: keras.Operation) -> Callable | None:
    """What gives the same as calling a layer, with a quick gradient; None where there is none.

    There is one for stride-1 convolutions of at most `FEW_CHANNELS` channels (up to rounding), and
    for max pooling without padding by strides of the pool's size. Both read the layer's own kernel,
    bias and activation function at each call. Only layers of exactly Keras's classes have one.

    - Convolution: TensorFlow's own gradient by the image runs at a tenth of the speed of other
      convolutions: with 1 or 3 channels to write, its kernels have nothing to share. Here it is one
      matrix product, and one shifted sum for each position of the kernel.
    - Pooling: TensorFlow has a quick gradient and one that takes half of a step's time, and which
      of them a compiled function gets is up to chance (2.21: oneDNN's is put in only where the
      pooling was rewritten before its gradient).
    """
    if not _is_untouched(layer):
        return None
    if _is_thin(layer):
        return lambda x, **_: _activated(layer, product(layer, _float32(x), layer.kernel))
    if (
        type(layer) is layers.MaxPooling2D
        and tuple(layer.pool_size) == tuple(layer.strides)
        and layer.padding == "valid"
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
    ):
        return lambda x, **_: _pool(_float32(x), *layer.pool_size)
    return None


def is_plain(layer: keras.Operation) -> bool:
    """Whether a layer's output is `activation(product(layer, x, kernel) + bias)`, in float32."""
    return (
        _is_untouched(layer)
        and type(layer) in (layers.Conv2D, layers.Dense)
        and (layer.compute_dtype == "float32")
    )


def product(layer: keras.Layer, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """What a plain Conv2D or Dense layer makes of its input with a kernel, before the bias.

    Args:
        layer: as `is_plain`.
        x: (N, H, W, C) or (N, ..., C).
        kernel: (rows, columns, C, units) or (C, units); any number of units.
    """
    if type(layer) is layers.Dense:
        return keras.ops.matmul(x, kernel)
    if _is_thin(layer):
        return _convolve(x, tf.convert_to_tensor(kernel), layer.padding.upper())
    return layer.convolution_op(x, kernel)


def _float32(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, "float32")


def _activated(layer: keras.Layer, outputs: tf.Tensor) -> tf.Tensor:
    if layer.use_bias:
        outputs = outputs + tf.convert_to_tensor(layer.bias)
    return outputs if layer.activation is None else layer.activation(outputs)


def _is_thin(layer: keras.Operation) -> bool:
    return (
        type(layer) is layers.Conv2D
        and layer.kernel.shape[2] <= FEW_CHANNELS
        and (layer.strides, layer.dilation_rate, layer.groups) == ((1, 1), (1, 1), 1)
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
    )


def _is_untouched(layer: keras.Operation) -> bool:
    """Nothing of the layer was replaced on the object: its class says what it computes."""
    replaced = {"call", "convolution_op"}.intersection(vars(layer))
    is_changed = getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None)
    return not replaced and not is_changed


def _convolve(x: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    if None in x.shape[1:]:
        return tf.nn.conv2d(x, kernel, 1, padding)

    @tf.custom_gradient
    def convolve(x):
        return tf.nn.conv2d(x, kernel, 1, padding), lambda g: _by_image(g, kernel, padding)

    return convolve(x)


def _by_image(g: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    rows, columns, channels, filters = kernel.shape
    matrix = tf.reshape(kernel, (-1, filters))
    products = tf.matmul(tf.reshape(g, (-1, filters)), matrix, transpose_b=True)
    shape = (-1, g.shape[1], g.shape[2], rows, columns, channels)
    full = _sum_of_shifts(tf.reshape(products, shape))
    if padding == "VALID":
        return full
    top, left = (rows - 1) // 2, (columns - 1) // 2
    return full[:, top : top + g.shape[1], left : left + g.shape[2]]


@tf.function(jit_compile=True)
def _sum_of_shifts(products: tf.Tensor) -> tf.Tensor:
    """(N, h, w, rows, columns, C) to (N, h + rows - 1, w + columns - 1, C)."""
    _, _, _, rows, columns, _ = products.shape
    return tf.add_n(
        [
            tf.pad(
                products[:, :, :, i, j], [(0, 0), (i, rows - 1 - i), (j, columns - 1 - j), (0, 0)]
            )
            for i in range(rows)
            for j in range(columns)
        ]
    )


def _pool(x: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    shape = tuple(x.shape[1:])

    if None in shape:
        return tf.nn.max_pool2d(x, (rows, columns), (rows, columns), "VALID")

    @tf.custom_gradient
    def pool(x):
        largest, which = _largest(x, rows, columns)
        return largest, lambda g: _to_the_largest(g, which, shape, rows, columns)

    return pool(x)


@tf.function(jit_compile=True)
def _largest(x: tf.Tensor, rows: int, columns: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The largest of each tile, and which of the tile's pixels, line by line, is the first such."""
    height, width = x.shape[1] // rows * rows, x.shape[2] // columns * columns
    largest = x[:, :height:rows, :width:columns]
    which = tf.zeros_like(largest)  # as floats: XLA selects whole numbers slowly
    for k in range(1, rows * columns):
        i, j = divmod(k, columns)
        part = x[:, i:height:rows, j:width:columns]
        which = tf.where(part > largest, float(k), which)
        largest = tf.maximum(largest, part)
    return largest, which


@tf.function(jit_compile=True)
def _to_the_largest(g, which, shape: tuple[int, int, int], rows: int, columns: int) -> tf.Tensor:
    """Put each of `g`, one a tile, where `which` says; 0 elsewhere, (N, *shape)."""
    height, width, channels = g.shape[1:]
    tiles = (-1, height, 1, width, 1, channels)
    places = tf.reshape(tf.range(rows * columns, dtype=which.dtype), (rows, 1, columns, 1))
    full = tf.where(tf.reshape(which, tiles) == places, tf.reshape(g, tiles), 0.0)
    full = tf.reshape(full, (-1, height * rows, width * columns, channels))
    cut_off = [[0, 0], [0, shape[0] - height * rows], [0, shape[1] - width * columns], [0, 0]]
    return tf.pad(full, cut_off)
