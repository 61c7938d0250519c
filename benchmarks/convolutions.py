"""What the convolutions of an optimization cost by themselves: the machine's own rate for them."""

import time
from collections.abc import Callable

import keras
import tensorflow as tf

from helpers.models.thin_convolution import ThinConvolution, convolve, is_supported


def step_time(model: keras.Model, layer: str, batch: int, repeats: int) -> dict:
    """Time what a gradient step cannot do without: each convolution, and its input gradient.

    Each convolution up to `layer` runs alone on its own shapes, without bias, activation and
    pooling, as TensorFlow's own operations in a `tf.function`; one that has machine code of our own
    (`helpers.models.thin_convolution`) as that, with all three, where it is faster.

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
    own = ThinConvolution(*conv.kernel.shape, conv.strides, pool=True)
    ours = [pooled_and_back(conv)] if conv.kernel.shape[2] <= 4 and is_supported(own) else []
    return [forward_and_back(conv, shape), *ours]


def resized(model: keras.Model, size: int) -> keras.Model:
    """Build the model as far as its last convolution for images (size, size, C), same weights."""
    pixels = keras.Input((size, size, model.input_shape[-1]))
    last = _convolutions(model, model.layers[-1].name)[-1]
    copies, x = [], pixels
    for layer in model.layers[1 : model.layers.index(last) + 1]:
        copies.append((layer, type(layer).from_config(layer.get_config())))
        x = copies[-1][1](x)
    for layer, copy in copies:
        copy.set_weights(layer.get_weights())
    return keras.Model(pixels, x, name=f"{model.name}_{size}")


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


def pooled_and_back(conv: keras.layers.Conv2D) -> Callable:
    """Compile a convolution with ReLU and 2x2 pooling and its gradient, by our own code."""
    kernel, bias = tf.constant(conv.kernel), tf.zeros(conv.filters)

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = convolve(x, kernel, bias, padding=conv.padding, pool=True)
        return y, tape.gradient(y, x, y)

    return run
