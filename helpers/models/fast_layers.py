"""Layers equal to Keras's own up to rounding, whose gradient by their input is quick on a CPU."""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import layers

from helpers.models.cutting import PreActivation, copy_layer

FEW_CHANNELS = 4


class ThinConv2D(layers.Conv2D):
    """A stride-1 convolution of a picture of few channels, equal to `Conv2D` up to rounding.

    TensorFlow's own gradient by the picture runs at a tenth of the speed of other convolutions:
    with 1 or 3 channels to write, its kernels have nothing to share. Here it is one matrix product,
    and one shifted sum for each position of the kernel.
    """

    def convolution_op(self, inputs, kernel):
        """Convolve (N, H, W, C) with `kernel` (rows, columns, C, filters)."""
        return _convolve(inputs, tf.convert_to_tensor(kernel), self.padding.upper())


class TiledMaxPooling2D(layers.MaxPooling2D):
    """Max pooling of tiles that do not overlap; the gradient goes to the first largest of a tile.

    TensorFlow has a quick gradient for it and one that takes half of a step's time, and which of
    them a compiled function gets is up to chance (2.21: oneDNN's is put in only where the pooling
    was rewritten before its gradient).
    """

    def call(self, inputs):
        """Pool (N, H, W, C) to (N, H // rows, W // columns, C)."""
        return _pool(inputs, *self.pool_size)


def with_quick_gradients(
    model: keras.Model, change: Callable[[keras.Layer], keras.Layer] = lambda layer: layer
) -> keras.Model:
    """Copy a model, its layers as `ThinConv2D` and `TiledMaxPooling2D` where those do the same.

    That is stride-1 convolutions of at most `FEW_CHANNELS` channels, and max pooling without
    padding by strides of the pool's size.

    Args:
        model: Functional or Sequential, also with such models inside.
        change: what else becomes of each copied layer.
    """

    copies = {}

    def quick(layer: keras.Layer) -> keras.Layer:
        if id(layer) not in copies:
            copies[id(layer)] = change(new(layer))
        return copies[id(layer)]

    def new(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, PreActivation):
            return PreActivation(quick(layer.layer))
        if (
            type(layer) is layers.Conv2D
            and layer.input.shape[-1] <= FEW_CHANNELS
            and (layer.strides, layer.dilation_rate, layer.groups) == ((1, 1), (1, 1), 1)
        ):
            return ThinConv2D.from_config(layer.get_config())
        if (
            type(layer) is layers.MaxPooling2D
            and tuple(layer.pool_size) == tuple(layer.strides)
            and layer.padding == "valid"
        ):
            return TiledMaxPooling2D.from_config(layer.get_config())
        return copy_layer(layer)

    copy = keras.models.clone_model(model, clone_function=quick, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _convolve(x: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    @tf.custom_gradient
    def convolve(x):
        return tf.nn.conv2d(x, kernel, 1, padding), lambda g: _by_picture(g, kernel, padding)

    return convolve(x)


def _by_picture(g: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
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
    shape = x.shape[1:]

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
