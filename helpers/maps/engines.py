"""The engines behind one call: the genuine keras-vis, and the batched search by the same maths."""

from collections.abc import Iterator

import keras

from helpers.maps import fused, keras_vis
from helpers.maps.fused import Job
from helpers.maps.spec import MapSpec


def _activation_weight(spec: MapSpec) -> float:
    return spec.activation_weight if spec.sign == "happy" else -spec.activation_weight


def _search_with_keras_vis(
    target: keras.Model, jobs: list[Job], spec: MapSpec, on_step
) -> Iterator[tuple[int, keras_vis.ActivationMap]]:
    x = keras.Input(target.input_shape[1:])
    target = keras.Model(x, keras.layers.Identity()(target(x)))
    for i, job in enumerate(jobs):
        found = keras_vis.activation_map(
            target,
            len(target.layers) - 1,
            job.unit,
            job.seed_input,
            act_weight=_activation_weight(spec),
            lp_weight=job.lp_weight,
            tv_weight=job.tv_weight,
            steps=spec.steps,
            on_step=on_step,
        )
        yield i, found


def _search_batched(
    target: keras.Model, jobs: list[Job], spec: MapSpec, on_step
) -> Iterator[tuple[int, keras_vis.ActivationMap]]:
    return fused.search(
        target,
        jobs,
        activation_weight=_activation_weight(spec),
        steps=spec.steps,
        bounded=spec.pixels == "bounded",
        on_step=on_step,
    )


ENGINES = {"batched": _search_batched, "keras-vis": _search_with_keras_vis}
