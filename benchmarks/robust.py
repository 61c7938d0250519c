"""The tools that are compared by the recipe of today, each behind the same call.

`optimize(model, layer, units, steps)` makes one map for every unit and returns the images. The
recipe: a Fourier image, padding with gray, a random scale, jitter, Adam; all units in one batch.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from benchmarks.contenders import OURS

PAD, LOW, HIGH, JITTER = 12, 0.9, 1.1, 8
PLAIN, XPLIQUE = "plain TensorFlow", "xplique"


def ours(model, layer: str, units: Sequence[int], *, steps: int) -> np.ndarray:
    """`maximize`, the whole Dataset with all it measures."""
    from helpers import maps

    made = maps.maximize(
        model,
        [maps.Unit(layer, unit) for unit in units],
        transforms=(maps.Pad(PAD, "gray"), maps.RandomScale(LOW, HIGH), maps.Jitter(JITTER)),
        optimizer=maps.Adam(0.05),
        wake_steps=0,
        steps=steps,
        preprocessing="0..255",
        progress=False,
    )
    return made["raw"].values[:, 0]


def xplique(model, layer: str, units: Sequence[int], *, steps: int) -> np.ndarray:
    """Its `optimize` with Fourier images and its own transformations."""
    import tensorflow as tf
    from xplique.features_visualizations import Objective, optimize
    from xplique.features_visualizations.transformations import (
        compose_transformations,
        pad,
        random_jitter,
        random_scale,
    )

    shape = model.input_shape[1:3]
    changes = [pad(PAD, 127.5), random_scale((LOW, HIGH)), random_jitter(2 * JITTER)]
    images = optimize(
        Objective.channel(model, layer, list(units)),
        tf.keras.optimizers.Adam(0.05),
        nb_steps=steps,
        values_range=(0, 255),
        transformations=compose_transformations(changes),
        custom_shape=(max(shape), max(shape)),
    )[0][-1]
    return tf.image.resize(images, shape).numpy()


def plain_tensorflow(model, layer: str, units: Sequence[int], *, steps: int) -> np.ndarray:
    """What lucid does, written for TensorFlow 2: one compiled step, called in a loop."""
    import keras
    import tensorflow as tf

    step, image_of = _step(model, layer, tuple(units))
    height, width, channels = model.input_shape[1:]
    shape = (len(units), channels, height, width // 2 + 1, 2)
    spectrum = tf.Variable(tf.random.stateless_normal(shape, (0, 0), stddev=0.01))
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build([spectrum])
    for _ in range(steps):
        optimizer.apply([step(spectrum)], [spectrum])
    return image_of(spectrum).numpy()


@cache
def _step(model, layer: str, units: tuple[int, ...]) -> tuple[Callable, Callable]:
    """`(spectrum)` to the gradient of the loss, compiled, and to the images (N, H, W, C)."""
    import keras
    import tensorflow as tf

    from helpers.maps.parametrizations import COLOURS

    height, width, channels = model.input_shape[1:]
    cut = keras.Model(model.inputs, model.get_layer(layer).output)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    scale = np.sqrt(height * width) / np.maximum(frequency, 1 / max(height, width))
    scale = tf.constant(scale, tf.complex64)

    def image_of(spectrum):
        values = tf.signal.irfft2d(tf.complex(spectrum[..., 0], spectrum[..., 1]) * scale)
        values = tf.transpose(values, (0, 2, 3, 1)) / 4
        colours = tf.reshape(values, (-1, channels)) @ COLOURS if channels == 3 else values
        return 255 * tf.sigmoid(tf.reshape(colours, (-1, height, width, channels)))

    @tf.function
    def step(spectrum):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(spectrum)
            images = image_of(spectrum)
            around = [(0, 0), (PAD, PAD), (PAD, PAD), (0, 0)]
            images = tf.pad(images, around, constant_values=127.5)
            by = tf.random.uniform([], LOW, HIGH)
            sides = tf.cast([by * images.shape[1], by * images.shape[2]], tf.int32)
            images = tf.image.resize(images, sides)
            less = tf.shape(images) - [0, 2 * JITTER, 2 * JITTER, 0]
            images = tf.image.resize(tf.image.random_crop(images, less), (height, width))
            outputs = cut(images, training=False)
            means = tf.reduce_mean(tf.reshape(outputs, (len(units), -1, outputs.shape[-1])), 1)
            loss = -tf.reduce_sum(tf.gather(means, units, axis=1, batch_dims=1))
        return tape.gradient(loss, spectrum)

    return step, image_of


TOOLS: dict[str, Callable[..., np.ndarray]] = {
    OURS: ours,
    XPLIQUE: xplique,
    PLAIN: plain_tensorflow,
}

NOTES = {
    OURS: "scale and jitter are drawn for each map. `maximize`, with all that it measures and"
    " stores in its Dataset.",
    XPLIQUE: "one scale and one crop for the whole batch, which is then resized to the model's"
    " input; its Fourier images are right for squares only, so an image of 120 x 128 is optimized"
    " as 128 x 128.",
    PLAIN: "what lucid does, written for TensorFlow 2 in 40 lines: one compiled step, compiled once"
    " as ours is; scale, crop and size as xplique's.",
}
"""What a tool does differently from ours."""
