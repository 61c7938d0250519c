"""The weights of a model: their digest, and new random ones."""

import hashlib

import keras
import numpy as np

from helpers.models import cutting


def weight_digest(model: keras.Model) -> str:
    """SHA-256 (64 hex digits) of the layers (name, class, activation) and of all the weights."""
    digest = hashlib.sha256()
    for layer in model.layers:
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        digest.update(f"{layer.name} {type(layer).__name__} {activation}\n".encode())
        for weight in layer.weights:
            values = weight.numpy()
            digest.update(f"{weight.name} {values.shape} {values.dtype}\n".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()


def reinitialised(model: keras.Model, *, seed: int) -> keras.Model:
    """The same layers with new random weights, each drawn by its layer's own initialiser.

    The model parameter randomisation of Adebayo et al. 2018 (1810.03292, section 3), all layers at
    once. `model` stays as it is.

    Args:
        model: Functional or Sequential.
        seed: integer of at least 0; makes the weights.
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
        return cutting.copy_layer(layer, **initialisers)

    return keras.models.clone_model(model, clone_function=fresh)
