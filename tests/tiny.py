"""Small nets for tests, and what must stay as it is when one is cut or extended."""

import keras
import numpy as np
from keras import layers

from helpers import models

PIXELS = np.random.default_rng(0).uniform(0, 255, (3, 6, 7, 3)).astype("float32")
"""What `small_net` takes."""


def tiny_net(units=3, rescale=True, seed=0):
    """Takes 8 x 10 x 1; layers `conv` (units) and `out` (2)."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 10, 1)),
            *([keras.layers.Rescaling(1 / 255, name="scaled")] if rescale else []),
            keras.layers.Conv2D(units, 3, activation="tanh", name="conv"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(2, activation="softmax", name="out"),
        ],
        name="tiny",
    )


def small_net(own_softmax=False, sequential=False) -> keras.Model:
    """Takes `PIXELS`; layers `conv` (5), `pool` and `scores` (4), softmax inside or of its own."""
    last = (
        [layers.Dense(4, name="scores"), layers.Activation("softmax", name="softmax")]
        if own_softmax
        else [layers.Dense(4, activation="softmax", name="scores")]
    )
    chain = [
        layers.Rescaling(1 / 255, name="rescaling"),
        layers.Conv2D(5, 3, activation="relu", name="conv"),
        layers.MaxPooling2D(name="pool"),
        layers.Flatten(name="flatten"),
        layers.Dropout(0.5, name="dropout"),
        *last,
    ]
    if sequential:
        return keras.Sequential([keras.Input((6, 7, 3)), *chain])
    x = pixels = keras.Input((6, 7, 3))
    for layer in chain:
        x = layer(x)
    return keras.Model(pixels, x)


def state(model):
    """All that an unwanted change would touch: weights, graph, activations."""
    calls = [(len(one._inbound_nodes), len(one._outbound_nodes)) for one in [model, *model.layers]]
    return calls, models.weight_digest(model), [w.tobytes() for w in model.get_weights()]


def conv_by_numpy(pixels, layer):
    """Valid 3x3 cross-correlation plus bias, before the activation."""
    kernel, bias = layer.get_weights()
    windows = np.lib.stride_tricks.sliding_window_view(pixels / 255, (3, 3), axis=(1, 2))
    return np.einsum("nhwcij,ijck->nhwk", windows, kernel) + bias


def brightness_net(shape, threshold=100.0) -> keras.Model:
    """Says class 1 when the mean pixel (0..255) lies above the threshold."""
    pixels = keras.Input(shape)
    mean = layers.GlobalAveragePooling2D()(pixels)
    net = keras.Model(pixels, layers.Dense(2, activation="softmax")(mean))
    net.layers[-1].set_weights([np.array([[0.0, 0.1]]), np.array([0.0, -0.1 * threshold])])
    return net
