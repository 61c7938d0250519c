"""Other gradients through the ReLUs of a model, which stays as it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import keras
import tensorflow as tf

RELU_GRADIENTS = ("guided", "rectified", "waking")
"""With incoming gradient g and output y: guided g [y > 0] [g > 0], rectified g [g > 0].

Guided: Springenberg et al. 2015, 1412.6806, section 3.4. Rectified ("deconvnet"): Zeiler and Fergus
2014, 1311.2901, section 2.1. Where ReLU6 is at 6, "guided" passes nothing, as its own gradient.
Waking: of an image of which a ReLU lets no gradient through at all, that which would bring its
inputs back to where it is not flat (lucid, `misc/redirected_relu_grad.py`); of others its own.
"""


def _guided(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    y = op.outputs[0]
    is_open = y > 0 if op.type == "Relu" else (y > 0) & (y < 6)
    return tf.where(is_open & (gradient > 0), gradient, tf.zeros_like(gradient))


def _rectified(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(gradient)


def _waking(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    x = op.inputs[0]
    is_flat, is_helpful = x <= 0, gradient < 0  # a step against the gradient raises x
    if op.type == "Relu6":
        is_above = x >= 6
        is_helpful = tf.where(is_above, gradient > 0, is_helpful)
        is_flat |= is_above
    own = tf.where(is_flat, tf.zeros_like(gradient), gradient)
    rising = tf.where(is_flat & ~is_helpful, tf.zeros_like(gradient), gradient)
    axes = list(range(1, len(x.shape)))
    is_silent = tf.reduce_all(own == 0, axis=axes, keepdims=True)
    return tf.where(is_silent, rising, own)


for _name, _gradient in zip(RELU_GRADIENTS, (_guided, _rectified, _waking), strict=True):
    with suppress(KeyError):  # registered by this module before it was reloaded
        tf.RegisterGradient(f"HappyMaps_{_name}")(_gradient)


_CHANGED: ContextVar[bool] = ContextVar("changed", default=False)


def is_changed() -> bool:
    """Whether what is traced now has another gradient through its ReLUs."""
    return _CHANGED.get()


@contextmanager
def relu_gradient(kind: str | None) -> Iterator[None]:
    """ReLU and ReLU6 operations that are traced inside have the gradient of that kind.

    Of activation functions, ReLU layers, `tf.nn.relu` in a Lambda, and nested models. Only in a
    `tf.function`, and for `tf.gradients`: a `GradientTape` keeps the operations' own gradients.

    Args:
        kind: one of `RELU_GRADIENTS`; None: their own.
    """
    if kind is None:
        yield
        return
    name = f"HappyMaps_{kind}"
    graph = tf.compat.v1.get_default_graph()
    token = _CHANGED.set(True)
    try:
        with graph.gradient_override_map({"Relu": name, "Relu6": name}):
            yield
    finally:
        _CHANGED.reset(token)


def with_activation(
    model: keras.Model, activation: Callable, layers: list[keras.Layer]
) -> tuple[keras.Model, list[keras.Layer]]:
    """Rebuild a model's graph with another activation function in some of its layers.

    Args:
        model: Functional or Sequential; it stays as it is.
        activation: takes the place of each one's `activation`.
        layers: those of `model.layers` that get it; of those without an `activation` nothing
            changes.

    Returns:
        A Functional model that shares the weights, and its layers in the order of `model.layers`.
    """
    views = {}

    def view_of(layer: keras.Operation) -> keras.Operation:
        view = object.__new__(type(layer))
        vars(view).update(vars(layer), _inbound_nodes=[], _outbound_nodes=[])
        if layer in layers and hasattr(layer, "activation"):
            vars(view)["activation"] = activation
        views[layer] = view
        return view

    functional = keras.Model(model.inputs, model.outputs, name=model.name)
    rebuilt = keras.models.clone_model(functional, clone_function=view_of)
    return rebuilt, [views.get(layer, layer) for layer in model.layers]
