"""A small net for tests of the panel."""

import keras


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
