"""Calls equal to those of Keras's layers up to rounding, whose gradient is quick on a CPU."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import tensorflow as tf
from keras import layers

from helpers.models import relu_gradients, thin_convolution, winograd
from helpers.models.thin_convolution import ThinConvolution
from helpers.models.winograd import Winograd

FEW_CHANNELS = 4


def quick_call(*operations: keras.Operation) -> Callable | None:
    """What gives the same as calling layers one after the other, with a quick gradient.

    There is one for convolutions of at most `FEW_CHANNELS` channels and for those of 3 x 3 (both up
    to rounding), for max pooling without padding by strides of the pool's size, for such a
    convolution in one with a ReLU layer after it, with 2x2 pooling after that, or with both, and
    for any convolution in one with the batch normalization after it. They read the layers' own
    kernel, bias, statistics and activation function at each call. Only layers of exactly Keras's
    classes have one.

    - Convolution: TensorFlow's own gradient by the image runs at a tenth of the speed of other
      convolutions: with 1 or 3 channels to write, its kernels have nothing to share. Here it is
      machine code made for it (`thin_convolution`); where there is none, for stride 1, one matrix
      product, and one shifted sum for each position of the kernel.
    - Pooling: TensorFlow has a quick gradient and one that takes half of a step's time, and which
      of them a compiled function gets is up to chance (2.21: oneDNN's is put in only where the
      pooling was rewritten before its gradient).
    - Normalization: by fixed statistics it is a factor and a term for each output channel, which
      the convolution's kernel and bias take in. By itself it is two passes over memory, and two
      more back, and it keeps TensorFlow from joining the convolution with the activation function.

    Args:
        *operations: each takes what the one before it gives.

    Returns:
        A function of a tensor; None where there is none.
    """
    if not all(is_untouched(operation) for operation in operations):
        return None
    if len(operations) == 2 and _is_normalized(*operations):
        return partial(_normalized, *operations)
    first, *others = operations
    own = _in_one(*operations)
    is_known = _is_thin(first) or _is_tiled(first) or _is_pooling(first)
    if own is None and (others or not is_known):
        return None

    def call(x, **_):
        x = _float32(x)
        is_seen = own is not None and own.relu and relu_gradients.is_changed()
        if own is None or is_seen or None in x.shape[1:]:
            return _one_by_one(operations, x)
        kernel = tf.convert_to_tensor(first.kernel)
        bias = tf.convert_to_tensor(first.bias) if first.use_bias else tf.zeros(first.filters)
        return own.convolve(x, kernel, bias)

    return call


def _product(conv: layers.Conv2D, x: tf.Tensor) -> tf.Tensor:
    """What a thin convolution, or one of 3 x 3, makes of its input before the bias."""
    kernel = tf.convert_to_tensor(conv.kernel)
    if None in x.shape[1:]:
        return conv.convolution_op(x, kernel)
    if _is_thin(conv):
        return _convolve(x, kernel, conv.strides, conv.padding)
    bias = tf.zeros(conv.filters)
    return winograd.convolve(x, kernel, bias, padding=conv.padding, relu=False)


def _normalized(conv: keras.Layer, normalization: layers.BatchNormalization, x, **_) -> tf.Tensor:
    """Both in one: `(k * x + b - mean) f + beta = (f k) * x + (b - mean) f + beta`."""
    shift = -tf.convert_to_tensor(normalization.moving_mean)
    factor = tf.math.rsqrt(normalization.moving_variance + normalization.epsilon)
    if normalization.scale:
        factor *= normalization.gamma
    if conv.use_bias:
        shift += conv.bias
    shift *= factor
    if normalization.center:
        shift += normalization.beta
    kernel = conv.kernel * tf.reshape(factor, _output_channels(conv))
    x = _float32(x)
    if _is_thin(conv) and None not in x.shape[1:]:
        outputs = _convolve(x, kernel, conv.strides, conv.padding)
    elif type(conv) is layers.Conv2D:
        outputs = conv.convolution_op(x, kernel)
    else:
        outputs = keras.ops.depthwise_conv(
            x, kernel, conv.strides, conv.padding, conv.data_format, conv.dilation_rate
        )
    return tf.nn.bias_add(outputs, shift)


def _output_channels(conv: keras.Layer) -> tuple[int, ...]:
    """The shape of the axes of a kernel that tell the output channels apart."""
    return conv.kernel.shape[-1:] if type(conv) is layers.Conv2D else conv.kernel.shape[-2:]


def _is_normalized(conv: keras.Operation, normalization: keras.Operation) -> bool:
    return (
        type(conv) in (layers.Conv2D, layers.DepthwiseConv2D)
        and type(normalization) is layers.BatchNormalization
        and conv.activation in (None, keras.activations.linear)
        and conv.data_format == "channels_last"
        and normalization.axis in (-1, 3)
        and conv.compute_dtype == normalization.compute_dtype == "float32"
    )


def _float32(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, "float32")


def _activated(layer: keras.Layer, outputs: tf.Tensor) -> tf.Tensor:
    if layer.use_bias:
        outputs = outputs + tf.convert_to_tensor(layer.bias)
    return outputs if layer.activation is None else layer.activation(outputs)


@dataclass(frozen=True)
class _InOne:
    """A convolution, perhaps a ReLU and perhaps 2x2 pooling, by machine code of their own.

    Attributes:
        convolve: input, kernel and bias to the output.
        relu: whether a ReLU is in it.
    """

    convolve: Callable
    relu: bool


def _in_one(first: keras.Operation, *others: keras.Operation) -> _InOne | None:
    if not (_is_thin(first) or _is_tiled(first)):
        return None
    is_pooled = bool(others) and _is_pooling(others[-1])
    if is_pooled and tuple(others[-1].pool_size) != (2, 2):
        return None
    between = others[:-1] if is_pooled else others
    if any(type(one) not in (layers.ReLU, layers.Activation) for one in between):
        return None
    activations = [kind for kind in map(_activation, (first, *between)) if kind != "linear"]
    if activations not in ([], ["relu"]):
        return None
    options = {"padding": first.padding, "relu": bool(activations), "pool": is_pooled}
    if _is_tiled(first):
        return _InOne(partial(winograd.convolve, **options), options["relu"])
    own = ThinConvolution(*first.kernel.shape, first.strides, options["relu"], is_pooled)
    if not thin_convolution.is_supported(own):
        return None
    convolve = partial(thin_convolution.convolve, strides=first.strides, **options)
    return _InOne(convolve, options["relu"])


def _one_by_one(operations: Sequence[keras.Operation], x: tf.Tensor) -> tf.Tensor:
    for operation in operations:
        if _is_thin(operation) or _is_tiled(operation):
            x = _activated(operation, _product(operation, x))
        elif _is_pooling(operation):
            x = _pool(x, *operation.pool_size)
        else:
            x = operation(x)
    return x


def _activation(operation: keras.Operation) -> str | None:
    """The activation function of a convolution or an activation layer, of those known here."""
    if type(operation) is layers.ReLU:
        own = operation.max_value, operation.negative_slope, operation.threshold
        return "relu" if own == (None, 0, 0) else None
    if type(operation) not in (layers.Conv2D, layers.Activation):
        return None
    known = {keras.activations.relu: "relu", keras.activations.linear: "linear", None: "linear"}
    return next((name for f, name in known.items() if operation.activation is f), None)


def _is_pooling(layer: keras.Operation) -> bool:
    return (
        type(layer) is layers.MaxPooling2D
        and tuple(layer.pool_size) == tuple(layer.strides)
        and layer.padding == "valid"
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
    )


def _is_thin(layer: keras.Operation) -> bool:
    return (
        type(layer) is layers.Conv2D
        and layer.kernel.shape[2] <= FEW_CHANNELS
        and (layer.dilation_rate, layer.groups) == ((1, 1), 1)
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
        and (layer.strides == (1, 1) or _has_machine_code(layer.kernel.shape, layer.strides))
    )


def _is_tiled(layer: keras.Operation) -> bool:
    return (
        type(layer) is layers.Conv2D
        and tuple(layer.kernel.shape[:2]) == (3, 3)
        and (layer.strides, layer.dilation_rate, layer.groups) == ((1, 1), (1, 1), 1)
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
        and winograd.is_supported(Winograd(*layer.kernel.shape[2:]))
    )


def _has_machine_code(kernel: tuple[int, ...], strides: tuple[int, int]) -> bool:
    return thin_convolution.is_supported(ThinConvolution(*kernel, strides, relu=False))


def is_untouched(layer: keras.Operation) -> bool:
    """Nothing of the layer was replaced on the object: its class says what it computes."""
    replaced = {"call", "convolution_op"}.intersection(vars(layer))
    is_changed = getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None)
    return not replaced and not is_changed


def _convolve(x: tf.Tensor, kernel: tf.Tensor, strides: tuple[int, int], padding: str) -> tf.Tensor:
    if _has_machine_code(kernel.shape, strides):
        bias = tf.zeros(kernel.shape[-1])
        return thin_convolution.convolve(
            x, kernel, bias, strides=strides, padding=padding, relu=False
        )
    padding = padding.upper()
    if strides != (1, 1):
        return tf.nn.conv2d(x, kernel, strides, padding)

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


@tf.function(autograph=False, jit_compile=True)
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


@tf.function(autograph=False, jit_compile=True)
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


@tf.function(autograph=False, jit_compile=True)
def _to_the_largest(g, which, shape: tuple[int, int, int], rows: int, columns: int) -> tf.Tensor:
    """Put each of `g`, one a tile, where `which` says; 0 elsewhere, (N, *shape)."""
    height, width, channels = g.shape[1:]
    tiles = (-1, height, 1, width, 1, channels)
    places = tf.reshape(tf.range(rows * columns, dtype=which.dtype), (rows, 1, columns, 1))
    full = tf.where(tf.reshape(which, tiles) == places, tf.reshape(g, tiles), 0.0)
    full = tf.reshape(full, (-1, height * rows, width * columns, channels))
    cut_off = [[0, 0], [0, shape[0] - height * rows], [0, shape[1] - width * columns], [0, 0]]
    return tf.pad(full, cut_off)
