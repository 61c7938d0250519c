"""What the convolutions of an optimization cost by themselves: the machine's own rate for them."""

import time
from collections.abc import Callable

import keras
import tensorflow as tf

from helpers.models import thin_convolution, winograd
from helpers.models.thin_convolution import ThinConvolution
from helpers.models.winograd import Winograd


def step_time(model: keras.Model, layer: str, batch: int, repeats: int) -> dict:
    """Time what a gradient step cannot do without: each convolution, and its input gradient.

    Each convolution up to `layer` runs alone on its own shapes by the fastest code known here:
    TensorFlow's own operations in a `tf.function`, without bias, activation and pooling, or machine
    code of our own (`thin_convolution`, `winograd`), with bias and ReLU, and with pooling or
    without.

    Args:
        model: a chain of layers that takes images (N, H, W, C).
        layer: name of the last layer.
        batch: images at once.
        repeats: timed calls of each convolution.

    Returns:
        `seconds` of one step of the batch, and its `flops` (a multiplication and an addition are
        two; input gradients count as much as the convolutions).
    """
    seconds = flops = 0.0
    for conv in _convolutions(model, layer):
        shape = (batch, *conv.input.shape[1:])
        x = tf.random.stateless_uniform(shape, (0, 0))
        seconds += min(_seconds(run, x, repeats) for run in _known(conv, shape))
        rows, columns, channels_in, channels_out = conv.kernel.shape
        positions = conv.output.shape[1] * conv.output.shape[2]
        flops += 2 * 2 * batch * positions * rows * columns * channels_in * channels_out
    return {"seconds": seconds, "flops": flops}


def _seconds(run: Callable, x: tf.Tensor, repeats: int) -> float:
    run(x)[1].numpy()
    began = time.perf_counter()
    for _ in range(repeats):
        result = run(x)
    result[1].numpy()
    return (time.perf_counter() - began) / repeats


def _known(conv: keras.layers.Conv2D, shape: tuple[int, ...]) -> list[Callable]:
    convolve = _own_code(conv)
    ours = [own_and_back(conv, convolve, pool) for pool in (True, False)] if convolve else []
    return [forward_and_back(conv, shape), *ours]


def _own_code(conv: keras.layers.Conv2D) -> Callable | None:
    rows, columns, channels, filters = conv.kernel.shape
    thin = ThinConvolution(rows, columns, channels, filters, conv.strides, pool=True)
    if channels <= 4 and thin_convolution.is_supported(thin):
        return thin_convolution.convolve
    is_tiled = (rows, columns, *conv.strides) == (3, 3, 1, 1)
    if is_tiled and winograd.is_supported(Winograd(channels, filters)):
        return winograd.convolve
    return None


def _convolutions(model: keras.Model, layer: str) -> list[keras.layers.Conv2D]:
    names = [step.name for step in model.layers]
    chain = model.layers[: names.index(layer) + 1]
    return [step for step in chain if type(step) is keras.layers.Conv2D]


def forward_and_back(conv: keras.layers.Conv2D, shape: tuple[int, ...]):
    """Compile a convolution of images of a shape (N, H, W, C) and the gradient at its input."""
    kernel, padding = tf.constant(conv.kernel), conv.padding.upper()
    strides = [1, *conv.strides, 1]

    @tf.function
    def run(x):
        y = tf.nn.conv2d(x, kernel, strides, padding)
        return y, tf.nn.conv2d_transpose(y, kernel, shape, strides, padding)

    return run


def own_and_back(conv: keras.layers.Conv2D, convolve: Callable, pool: bool) -> Callable:
    """Compile a convolution with ReLU, perhaps with 2x2 pooling, and its gradient, by our code."""
    kernel, bias = tf.constant(conv.kernel), tf.zeros(conv.filters)

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = convolve(x, kernel, bias, padding=conv.padding, pool=pool)
        return y, tape.gradient(y, x, y)

    return run
