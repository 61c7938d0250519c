"""The weights of a model: their digest, and new random ones."""

import hashlib

import keras
import numpy as np

from helpers.models.graph import graph_of, random_data, same


def weight_digest(model: keras.Model) -> str:
    """SHA-256 (64 hex digits) of the layers (name, class, activation) and of all the weights.

    The layers of a nested model follow it.
    """
    digest = hashlib.sha256()
    _describe(model, digest)
    return digest.hexdigest()


def _describe(model: keras.Model, digest) -> None:
    for layer in model.layers:
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        digest.update(f"{layer.name} {type(layer).__name__} {activation}\n".encode())
        for weight in layer.weights:
            values = weight.numpy()
            digest.update(f"{weight.name} {values.shape} {values.dtype}\n".encode())
            digest.update(values.tobytes())
        if isinstance(layer, keras.Model):
            _describe(layer, digest)


def reinitialised(model: keras.Model, *, seed: int) -> keras.Model:
    """The same layers with new random weights, each drawn by its layer's own initialiser.

    The model parameter randomisation of Adebayo et al. 2018 (1810.03292, section 3), all layers at
    once. `model` stays as it is.

    Args:
        model: Functional or Sequential, nested at any depth.
        seed: integer of at least 0; makes the weights.

    Raises:
        ValueError: the model cannot be made again from its configuration: a copy with the same
            weights fails or gives something else on random data.
    """
    draw = np.random.default_rng(seed)

    def fresh(layer: keras.Layer) -> keras.Layer:
        initialisers = {
            key: value
            for key, value in layer.get_config().items()
            if isinstance(value, dict) and "seed" in value.get("config", {})
        }
        for value in initialisers.values():
            value["config"]["seed"] = int(draw.integers(2**31))
        return _copied(layer, **initialisers)

    try:
        copy = keras.models.clone_model(model, clone_function=_copied, recursive=True)
        copy.set_weights(model.get_weights())
        noise = [random_data(x.shape, x.dtype) for x in graph_of(model).inputs]
        outputs = [one(_arranged(one, noise), training=False) for one in (model, copy)]
        is_same = same(*map(keras.tree.flatten, outputs))
    except Exception as error:
        raise ValueError(
            f"model must be made again from its configuration for new weights, and {model.name!r}"
            f" cannot: {str(error).splitlines()[0][:120]}"
        ) from error
    if not is_same:
        raise ValueError(
            f"model must be made again from its configuration for new weights, and a copy of"
            f" {model.name!r} gives something else: the get_config of a layer of your own leaves"
            " out an argument"
        )
    return keras.models.clone_model(model, clone_function=fresh, recursive=True)


def _arranged(model: keras.Model, values: list):
    structure = (
        [x.name for x in model.inputs] if isinstance(model, keras.Sequential) else model.input
    )
    return keras.tree.pack_sequence_as(structure, values)


def _copied(layer: keras.Layer, **changes) -> keras.Layer:
    """Make a layer of the same configuration but for `changes`, without weights yet."""
    if isinstance(layer, keras.layers.Lambda):  # from_config refuses a Python lambda
        return keras.layers.Lambda(layer.function, name=layer.name, arguments=layer.arguments)
    return type(layer).from_config(layer.get_config() | changes)
