"""The engines behind one call: the genuine keras-vis, and the batched search by the same maths."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import keras

from helpers import keras_vis, models, optimizer
from helpers.optimizer import Job
from helpers.spec import MINUS_OTHERS, MapSpec


def target_of(model: keras.Model, spec: MapSpec) -> keras.Model:
    """Cut and extend a model: pixels (N, H, W, C) in, each unit's objective (N, ..., units) out.

    The same model with the same weights gives the same target, so that what an engine compiled for
    it is found again.

    Raises:
        ValueError: the layer has no units, or too few for the objective.
    """
    net = _Net(model, models.weight_digest(model))
    return _target(net, spec.layer, spec.objective, spec.preprocessing)


@dataclass(frozen=True)
class _Net:
    """A model as it is now: equal to another only when object and weights are the same."""

    model: keras.Model
    digest: str


@lru_cache(maxsize=8)
def _target(net: _Net, layer: str, objective: str, preprocessing) -> keras.Model:
    cut = models.at_layer(net.model, layer, pre_activation=objective != "activation")
    if objective == MINUS_OTHERS:
        cut = keras.Model(cut.inputs[0], _minus_others(cut.outputs[0]))
    return models.from_pixels(cut, preprocessing)


def _minus_others(z: keras.KerasTensor) -> keras.KerasTensor:
    units = z.shape[-1]
    if units == 1:
        raise ValueError(f"objective {MINUS_OTHERS!r} needs a layer of at least 2 units, got 1")
    total = keras.ops.sum(z, axis=-1, keepdims=True)
    return z - (total - z) / (units - 1)


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
    return optimizer.search(
        target,
        jobs,
        activation_weight=_activation_weight(spec),
        steps=spec.steps,
        bounded=spec.pixels == "bounded",
        on_step=on_step,
    )


ENGINES = {"batched": _search_batched, "keras-vis": _search_with_keras_vis}
