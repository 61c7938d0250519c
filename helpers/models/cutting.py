"""Keras models cut off after a layer, or before its activation; the model stays as it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from helpers.models import layers
from helpers.models.preprocessing import input_front, resolve_preprocessing

ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Softmax,
)


def at_layer(model: keras.Model, layer: str | int, *, pre_activation: bool = False) -> keras.Model:
    """Cut the model off after a layer; `model` stays as it is.

    Args:
        model: Functional or Sequential.
        layer: name or index of a layer with units; of a layer called twice, the first call.
        pre_activation: take the layer's output before its own activation function. Of an activation
            layer (ReLU, Softmax ...) that is its input; of a layer without one, its output.

    Returns:
        A Functional model from the same input to (N, units) or (N, height, width, units). It shares
        the weights of `model`; with `pre_activation` they may be copies.

    Raises:
        ValueError: as `models.unit_count`.
    """
    layers.unit_count(model, layer)
    found = layers.find_layer(model, layer)
    if pre_activation:
        return _before_activation(model, found)
    return keras.Model(model.inputs[0], _call_of(model, found).outputs[0], name=model.name)


def copy_layer(layer: keras.Layer, **changes) -> keras.Layer:
    """Make a layer of the same configuration but for `changes`, without weights yet."""
    if isinstance(layer, keras.layers.Lambda):  # from_config refuses a Python lambda
        return keras.layers.Lambda(layer.function, name=layer.name, arguments=layer.arguments)
    return type(layer).from_config(layer.get_config() | changes)


def _call_of(model: keras.Model, layer: keras.Layer):
    """Find where this model, and no other that the layer is also part of, calls the layer."""
    calls = keras.Model(model.inputs[0], model.outputs[0])._nodes_by_depth
    return next(
        call
        for depth in sorted(calls, reverse=True)
        for call in calls[depth]
        if call.operation is layer
    )


def _before_activation(model: keras.Model, layer: keras.Layer) -> keras.Model:
    call = _call_of(model, layer)
    if isinstance(layer, ACTIVATION_LAYERS):
        return keras.Model(model.inputs[0], call.input_tensors[0], name=model.name)
    net = keras.Model(model.inputs[0], call.outputs[0], name=model.name)
    if "activation" not in layer.get_config():
        return net

    def copy(one: keras.Layer) -> keras.Layer:
        return copy_layer(one, **({"activation": "linear"} if one is layer else {}))

    copied = keras.models.clone_model(net, clone_function=copy)
    copied.set_weights(net.get_weights())
    return copied


@dataclass(frozen=True)
class Tap:
    """Where in a model a value is read.

    Attributes:
        layer: name of the layer.
        pre_activation: before the layer's activation function.
    """

    layer: str
    pre_activation: bool = False


class PreActivation(keras.layers.Layer):
    """A layer without its activation function, on the same weights."""

    def __init__(self, layer: keras.Layer):
        """Take the layer; its weights are shared."""
        super().__init__(name=f"{layer.name}_pre_activation", dtype=layer.dtype_policy)
        self.layer = layer

    def build(self, shape):
        """Build the layer, where it is not."""
        if not self.layer.built:
            self.layer.build(shape)

    def call(self, inputs):
        """Call the layer as if its activation function were linear."""
        linear = object.__new__(type(self.layer))  # a shallow copy: Keras's own copies the weights
        linear.__dict__ |= self.layer.__dict__ | {"activation": keras.activations.linear}
        return linear.call(inputs)


def cut_at(
    model: keras.Model,
    taps: Sequence[Tap],
    *,
    preprocessing=None,
    size: tuple[int, int] | None = None,
) -> keras.Model:
    """A model that gives the values at several taps; `model` stays as it is.

    Args:
        model: Functional or Sequential.
        taps: where it is read.
        preprocessing: what the model expects, as `from_pixels` takes it.
        size: (height, width) of the images, None for the model's own.

    Returns:
        Takes pixels 0..255 (N, H, W, C), gives the list of the taps' outputs. It shares the
        weights of `model`; with another `size` they are copies.

    Raises:
        ValueError: as `models.unit_count` and `from_pixels`.
    """
    preprocessing = resolve_preprocessing(model, preprocessing)
    tensors, wrapped = [], {}
    for tap in taps:
        layers.unit_count(model, tap.layer)
        layer = layers.find_layer(model, tap.layer)
        call = _call_of(model, layer)
        if tap.pre_activation and isinstance(layer, ACTIVATION_LAYERS):
            tensors.append(call.input_tensors[0])
        elif tap.pre_activation and hasattr(layer, "activation"):
            wrapped[len(tensors)] = layer
            tensors.append(call.input_tensors[0])
        else:
            tensors.append(call.outputs[0])
    net = keras.Model(model.inputs[0], tensors, name=model.name)
    if size is not None and tuple(size) != tuple(model.input_shape[1:3]):
        start = keras.Input((*size, model.input_shape[-1]))
        resized = keras.models.clone_model(net, start, clone_function=copy_layer)
        resized.set_weights(net.get_weights())
        net = resized
    pixels = keras.Input(net.input_shape[1:], name="pixels")
    outputs = net(input_front(preprocessing)(pixels))
    return keras.Model(
        pixels,
        [PreActivation(wrapped[i])(x) if i in wrapped else x for i, x in enumerate(outputs)],
        name=model.name,
    )
