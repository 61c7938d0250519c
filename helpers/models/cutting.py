"""Keras models cut off after a layer, or before its activation; the model stays as it is."""

import keras

from helpers.models import layers

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
