"""The engines behind `happy_maps`: genuine keras-vis, and two batched loops by the same maths."""

from collections.abc import Iterator
from dataclasses import replace

import keras

from helpers.images import display
from helpers.maps import fused, loop, targets
from helpers.maps.dataset import ActivationMap
from helpers.maps.fused import Job
from helpers.maps.objectives import Unit
from helpers.maps.optimizers import KerasVisRMSprop
from helpers.maps.parametrizations import BoundedPixels, Pixels
from helpers.maps.regularizers import LpNorm, TotalVariation
from helpers.maps.spec import MINUS_OTHERS, MapSpec
from helpers.maps.targets import LayerTarget


def activation_weight(spec: MapSpec) -> float:
    """The weight of the objective, below 0 for SadMaps."""
    return spec.activation_weight if spec.sign == "happy" else -spec.activation_weight


def keras_vis_job(spec: MapSpec, job: Job) -> loop.Job:
    """The keras-vis preset as parts of the generic loop."""
    unit = Unit(
        spec.layer, job.unit, spec.objective != "activation", spec.objective == MINUS_OTHERS
    )
    return loop.Job(
        objective=activation_weight(spec) * unit,
        parametrization=BoundedPixels() if spec.pixels == "bounded" else Pixels(),
        transforms=(),
        regularizers=(LpNorm(job.lp_weight), TotalVariation(job.tv_weight)),
        optimizer=KerasVisRMSprop(),
        start=job.seed_input,
    )


def _with_keras_vis(
    target: LayerTarget, jobs: list[Job], on_step
) -> Iterator[tuple[int, ActivationMap]]:
    from helpers.maps import keras_vis  # matplotlib, SciPy ...: 0.2 s that only this engine needs

    spec, x = target.spec, keras.Input(target.shape, dtype="float32")
    last = keras.layers.Identity(dtype="float32")
    model = keras.Model(x, last(target.network(x, training=False)))
    for i, job in enumerate(jobs):
        made = keras_vis.activation_map(
            model,
            len(model.layers) - 1,
            job.unit,
            job.seed_input,
            act_weight=activation_weight(spec),
            lp_weight=job.lp_weight,
            tv_weight=job.tv_weight,
            steps=spec.steps,
            on_step=on_step,
        )
        yield i, replace(made, display=display(made.raw, made.raw.ndim))


def _batched(target: LayerTarget, jobs: list[Job], on_step) -> Iterator[tuple[int, ActivationMap]]:
    spec = target.spec
    return fused.optimize(
        target.network,
        jobs,
        activation_weight=activation_weight(spec),
        steps=spec.steps,
        bounded=spec.pixels == "bounded",
        on_step=on_step,
    )


def _generic(target: LayerTarget, jobs: list[Job], on_step) -> Iterator[tuple[int, ActivationMap]]:
    spec = target.spec
    chosen = [keras_vis_job(spec, job) for job in jobs]
    taps = chosen[0].objective.taps
    cut = targets.cut_of(target.model, taps, spec.preprocessing, spec.size, spec.held)
    for i, made in loop.optimize(cut, taps, chosen, steps=spec.steps, on_step=on_step):
        raw, display = fused.displayed(made.image[None], spec.pixels == "bounded")
        yield i, ActivationMap(raw[0], display[0], made.loss, made.parts)


ENGINES = {"batched": _batched, "keras-vis": _with_keras_vis, "generic": _generic}
