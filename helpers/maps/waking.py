"""ReLUs that pass the gradient of inputs below 0, so that silent units wake.

The values stay as they are. Only while `waking()` is open, which a compiled function is traced in,
the gradient differs: for an image of which a ReLU lets no gradient through at all, it lets that
through which would bring its inputs back to where it is not flat (lucid, `misc/redirected_relu_grad.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import keras
import tensorflow as tf

STEPS = 16
"""Steps at the start in which lucid passes the gradient."""
_IS_WAKING: ContextVar[bool] = ContextVar("is_waking", default=False)


@contextmanager
def waking(is_waking: bool = True) -> Iterator[None]:
    """What is traced inside has the gradient that wakes; the gradient is taken inside too."""
    token = _IS_WAKING.set(is_waking)
    try:
        yield
    finally:
        _IS_WAKING.reset(token)


class WakingReLU(keras.layers.ReLU):
    """A ReLU, with a highest value or not, that wakes."""

    def call(self, inputs):
        """Values of the ReLU, (N, ..., units)."""
        return _waking(super().call, self.max_value)(inputs)


def wakeable(layer: keras.Layer) -> keras.Layer:
    """The layer, or one like it, whose ReLU wakes; others as they are.

    A ReLU is `keras.activations.relu` or `relu6` as a layer's activation function, or a `ReLU`
    layer that is 0 below 0.

    Args:
        layer: a copy that nothing else uses: its activation function is replaced.
    """
    if type(layer) is keras.layers.ReLU:
        is_plain = not layer.negative_slope and not layer.threshold
        return WakingReLU.from_config(layer.get_config()) if is_plain else layer
    activation = getattr(layer, "activation", None)
    if activation is keras.activations.relu:
        layer.activation = _waking(activation, None)
    elif activation is keras.activations.relu6:
        layer.activation = _waking(activation, 6.0)
    return layer


def _waking(activation: Callable, highest: float | None) -> Callable:
    def activate(x):
        if not _IS_WAKING.get():
            return activation(x)

        @tf.custom_gradient
        def redirected(x):
            return activation(x), lambda gradient: _redirect(x, gradient, highest)

        return redirected(x)

    return activate


def _redirect(x: tf.Tensor, gradient: tf.Tensor, highest: float | None) -> tf.Tensor:
    """The gradient of a loss by x: the ReLU's own, or where that is 0 all over, what wakes."""
    is_flat = x <= 0
    is_helpful = gradient < 0  # a step against it raises x
    if highest is not None:
        is_above = x >= highest
        is_helpful = tf.where(is_above, gradient > 0, is_helpful)
        is_flat |= is_above
    passed = tf.where(is_flat, tf.zeros_like(gradient), gradient)
    rising = tf.where(is_flat & ~is_helpful, tf.zeros_like(gradient), gradient)
    axes = list(range(1, len(x.shape)))
    is_silent = tf.reduce_all(passed == 0, axis=axes, keepdims=True)
    return tf.where(is_silent, rising, passed)
