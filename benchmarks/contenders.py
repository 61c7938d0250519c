"""The tools that are compared by keras-vis's recipe, each behind the same call.

`optimize(model, layer, units, steps, tv_weights, seeds)` makes one map for every unit x TV weight x
seed and returns the images. A tool is imported when it is first called: each worker has its own.
"""

import warnings
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

LP_WEIGHT = 10.0
TV_WEIGHT = 1e-2
OURS, KERAS_VIS = "ours", "keras-vis"


def ours(
    model, layer: str, units, *, steps: int, tv_weights=(TV_WEIGHT,), seeds=(0,)
) -> np.ndarray:
    """`happy_maps` with `engine="batched"`, the whole Dataset with all it measures."""
    from helpers import maps

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no gradient")
        happy = maps.happy_maps(
            model,
            layer,
            units,
            tv_weights=tv_weights,
            lp_weights=LP_WEIGHT,
            seeds=seeds,
            steps=steps,
            engine="batched",
            preprocessing="0..255",
            progress=False,
        )
    return happy["raw"].values.reshape(-1, *model.input_shape[1:])


def keras_vis(
    model, layer: str, units, *, steps: int, tv_weights=(TV_WEIGHT,), seeds=(0,)
) -> np.ndarray:
    """The genuine package's `visualize_activation`, one map per call, as it is meant to be used."""
    from helpers.maps.keras_vis import visualize_activation

    index = [candidate.name for candidate in model.layers].index(layer)
    return np.stack(
        [
            visualize_activation(
                model,
                index,
                unit,
                seed_input=noise([seed], model.input_shape[1:])[0],
                lp_norm_weight=LP_WEIGHT,
                tv_weight=tv_weight,
                max_iter=steps,
            )
            for unit, tv_weight, seed in product(units, tv_weights, seeds)
        ]
    )


def tf_keras_vis(
    model, layer: str, units, *, steps: int, tv_weights=(TV_WEIGHT,), seeds=(0,)
) -> np.ndarray:
    """A batch of all units and seeds per call; a TV weight holds for a whole batch."""
    import tensorflow as tf
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.activation_maximization.regularizers import Norm, TotalVariation2D
    from tf_keras_vis.utils.model_modifiers import ExtractIntermediateLayer
    from tf_keras_vis.utils.scores import CategoricalScore

    cut = ExtractIntermediateLayer(layer)
    visualizer = ActivationMaximization(model, model_modifier=cut, clone=False)
    shape = model.input_shape[1:]
    size = float(np.prod(shape))
    batch = list(product(units, seeds))
    images = [
        visualizer(
            CategoricalScore([unit for unit, _ in batch]),
            seed_input=noise([seed for _, seed in batch], shape),
            input_modifiers=[],
            regularizers=[TotalVariation2D(tv_weight), Norm(LP_WEIGHT * size ** (1 / 6 - 1), p=6)],
            steps=steps,
            optimizer=tf.optimizers.RMSprop(1.0, 0.95),
        ).numpy()
        for tv_weight in tv_weights
    ]
    return np.concatenate(images)


def xplique(
    model, layer: str, units, *, steps: int, tv_weights=(TV_WEIGHT,), seeds=(0,)
) -> np.ndarray:
    """A batch of all units and seeds per call; a TV weight holds for a whole batch.

    Without its Fourier images and augmentations; it makes the seed inputs itself.
    """
    import tensorflow as tf
    from xplique.features_visualizations import Objective, optimize
    from xplique.features_visualizations.regularizers import total_variation_reg

    size = float(np.prod(model.input_shape[1:]))

    def lp_norm(x):
        return LP_WEIGHT * tf.reduce_sum(tf.abs(x) ** 6, axis=(1, 2, 3)) ** (1 / 6) / size

    objective = [unit for unit, _ in product(units, seeds)]
    images = [
        optimize(
            Objective.channel(model, layer, objective),
            tf.keras.optimizers.RMSprop(1.0, 0.95),
            nb_steps=steps,
            use_fft=False,
            std=12.75,
            regularizers=[total_variation_reg(tv_weight / size), lp_norm],
            image_normalizer="clip",
            values_range=(0, 255),
            transformations=None,
            custom_shape=None,
        )[0][-1].numpy()
        for tv_weight in tv_weights
    ]
    return np.concatenate(images)


def noise(seeds: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """Uniform noise of mean 127.5 and sd 12.75, (N, H, W, C) float32."""
    uniform = np.stack([np.random.default_rng(seed).random(shape) for seed in seeds])
    return (127.5 + 12.75 * np.sqrt(12) * (uniform - 0.5)).astype("float32")


TOOLS: dict[str, Callable[..., np.ndarray]] = {
    OURS: ours,
    KERAS_VIS: keras_vis,
    "tf-keras-vis": tf_keras_vis,
    "xplique": xplique,
}

NOTES = {
    OURS: "RMSprop on the gradient over its RMS; many maps in one compiled loop, each with weights"
    " of its own. Timed with all that `happy_maps` measures and stores in its Dataset.",
    KERAS_VIS: "0.4.1, one map per call, which builds its functions anew. Our maths is its own.",
    "tf-keras-vis": "one batch of units per call, an eager loop; a TV weight holds for the batch."
    " RMSprop (Keras, rate 1, rho 0.95) on the plain gradient; TV is the sum of absolute"
    " differences; input modifiers (jitter, rotation) off; nothing is kept but the last image.",
    "xplique": "one batch of units per call, a compiled step in an eager loop, compiled anew each"
    " time; a TV weight holds for the batch. RMSprop as above; absolute TV; every image is"
    " stretched to 0..255 at each step, colours pass a correlation matrix; Fourier images and"
    " augmentations off; it draws its own seed inputs; nothing is kept but the last image.",
}
"""What a tool does differently from ours: steps, sizes, weights and units are equal."""
