"""A plan that runs every part in seconds, to see that the harness works: its times mean nothing."""

from functools import partial
from pathlib import Path

import keras
from keras import layers

from benchmarks.contenders import KERAS_VIS, OURS
from benchmarks.measure import MODEL, Plan
from benchmarks.robust import PLAIN


def quick_plan(folder: Path) -> Plan:
    """Plan two tools on a tiny model, which is saved in `folder`."""
    conv = partial(
        layers.Conv2D,
        filters=4,
        kernel_size=3,
        activation="relu",
        kernel_initializer=keras.initializers.GlorotUniform(seed=0),
        bias_initializer="ones",
    )
    pixels = keras.Input((10, 10, 1))
    x = layers.Rescaling(1 / 255)(pixels)
    x = conv(name="conv2d_1")(x)
    x = layers.MaxPooling2D()(x)
    x = conv(name="conv2d_2")(x)
    x = layers.Flatten()(x)
    model = keras.Model(pixels, layers.Dense(2, activation="softmax", name="dense_1")(x))
    path = str(folder / "tiny.keras")
    model.save(path)
    return Plan(
        model=path,
        tools=(OURS, KERAS_VIS),
        robust_tools=(OURS, PLAIN),
        layers=("conv2d_1", "conv2d_2"),
        deep_layer="conv2d_2",
        peers={MODEL: ("conv2d_2", 2), "tiny": ("conv", 2)},
        robust={"tiny": "conv"},
        large=("tiny", "conv", 2),
        heavy="tiny",
        steps=2,
        robust_steps=2,
        sampled_steps=(1, 2),
        rounds=1,
        maps=4,
        robust_maps=2,
        maps_one_by_one=1,
        growth_maps=(1, 8),
        swept_pieces=(1, 2),
        processes=1,
        panel_maps=2,
    )
