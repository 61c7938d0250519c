"""The batched engine: many maps in one compiled loop, by keras-vis's maths.

Every map has its own objective, weights, RMSprop cache and best image, and none of them reads
another's: the batch changes the speed only. Of the last layer each map's own unit is computed, and
`steps` moves the images.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from helpers.images import display
from helpers.maps.batches import images_at_once
from helpers.maps.dataset import ActivationMap
from helpers.maps.objectives import at_units, over_positions
from helpers.maps.programs import STEPS_PER_CALL, compiled, repeated
from helpers.maps.steps import State, update
from helpers.models import before_last, with_quick_gradients
from helpers.models.own_units import own_product

UNITS = tf.TensorSpec((None,), tf.int32)
MOST_MAPS = 16
"""Maps in a batch, where memory allows: enough to keep the cores busy, few for the cache."""
ELEMENTWISE = ("linear", "relu", "elu", "selu", "sigmoid", "tanh", "softplus", "gelu", "silu")
"""Activation functions by which each unit follows from itself alone (softmax does not)."""


@dataclass(frozen=True)
class Job:
    """One map to optimize: what it maximises and where it starts.

    Attributes:
        unit: channel or output of the layer.
        tv_weight: weight of the total variation.
        lp_weight: weight of the LP norm.
        seed_input: (H, W, C) float32, pixels 0..255.
        is_silent: nothing raises the unit at its seed input. Silent maps share batches, for speed.
    """

    unit: int
    tv_weight: float
    lp_weight: float
    seed_input: np.ndarray
    is_silent: bool = False


def optimize(
    network: keras.Model,
    jobs: Sequence[Job],
    *,
    activation_weight: float,
    steps: int,
    bounded: bool = False,
    on_step: Callable[[int, np.ndarray], None] | None = None,
) -> Iterator[tuple[int, ActivationMap]]:
    """Optimize all maps, batch by batch, and give each with its number among the jobs.

    Args:
        network: takes pixels (N, H, W, C), ends at the layer (N, ..., units). What is compiled for
            it is kept for the next call.
        jobs: the maps.
        activation_weight: below 0 the activation is minimised.
        steps: gradient steps.
        bounded: keep every pixel in 0..255 after each step, and the map in whole pixel values, so
            that the displayed map is the raw map.
        on_step: called after the first and about every `STEPS_PER_CALL` steps with the number of
            the last step and the batch's first image (H, W, C); may raise to stop.

    Raises:
        ValueError: a loss is NaN at the seed input.
    """
    most = images_at_once(network, len(jobs), MOST_MAPS)
    order = sorted(range(len(jobs)), key=lambda i: jobs[i].is_silent)
    for numbers in (order[first : first + most] for first in range(0, len(order), most)):
        chosen = [jobs[i] for i in numbers]
        run = _runner(network, chosen, activation_weight, bounded)
        yield from zip(numbers, _optimize_batch(run, chosen, steps, bounded, on_step), strict=True)


def advance(
    network: keras.Model,
    jobs: Sequence[Job],
    state: State,
    *,
    activation_weight: float,
    steps: int = 1,
    bounded: bool = False,
) -> tuple[State, np.ndarray]:
    """Take some steps with one batch from a given state.

    Args:
        network: as `optimize` takes it.
        jobs: one for each map of the state; where it starts is the state's.
        state: of N maps.
        activation_weight, steps, bounded: as `optimize`.

    Returns:
        The state after the steps, and the parts of the loss before each (steps, 3, N), weighted:
        activation, LP norm, total variation.
    """
    run = _runner(network, jobs, activation_weight, bounded)
    traces = []
    for first in range(0, steps, STEPS_PER_CALL):
        state, trace = run(state, min(STEPS_PER_CALL, steps - first))
        traces.append(trace)
    return state, np.concatenate(traces)


def _runner(network, jobs, activation_weight: float, bounded: bool) -> Callable:
    """`(state, steps)` to the state after at most `STEPS_PER_CALL` and the parts of the loss."""
    prepared = _prepared(network)
    weights = tf.constant([[job.lp_weight, job.tv_weight] for job in jobs], tf.float32)
    scale = tf.constant(-activation_weight, tf.float32)
    which = prepared.which(tf.constant([job.unit for job in jobs]))

    def run(state, steps):
        state, traces = prepared.run(
            state, which, weights, scale, tf.constant(steps), tf.constant(bounded)
        )
        return state, traces.numpy()[:steps]

    return run


def _optimize_batch(run, jobs, steps, bounded, on_step) -> Iterator[ActivationMap]:
    x = tf.constant(np.stack([job.seed_input for job in jobs]), tf.float32)
    state = State(x, tf.zeros_like(x), tf.fill([len(jobs)], np.float32(np.inf)), x)
    traces, step = [], 0
    while step < steps:
        count = min(STEPS_PER_CALL if step or not on_step else 1, steps - step)
        state, trace = run(state, count)
        traces.append(trace)
        step += count
        if np.isnan(traces[0][0]).any():
            raise ValueError("loss must be a number, got NaN at the seed input: no map follows")
        if on_step:
            on_step(step - 1, state.image[0].numpy())
    raw, shown = displayed(state.best.numpy(), bounded)
    trace = np.concatenate(traces)
    for k in range(len(jobs)):
        parts = dict(zip(("activation", "lp_norm", "tv"), trace[:, :, k].T, strict=True))
        yield ActivationMap(raw[k], shown[k], trace[:, :, k].sum(1), parts)


def displayed(images: np.ndarray, bounded: bool) -> tuple[np.ndarray, np.ndarray]:
    """Raw and displayed maps of the optimized images (N, *image shape): float32, and uint8.

    Bounded ones are rounded and displayed as they are, others by their z-score.
    """
    if bounded:
        images = np.rint(images)
        return images, images.astype("uint8")
    return images, display(images, images.ndim - 1)


@dataclass(frozen=True)
class _Prepared:
    """A network made ready.

    Attributes:
        which: units (N,) to what `run` takes for them.
        run: `(state, which, weights, scale, steps, bounded)` to the state and the parts.
    """

    which: Callable
    run: Callable


@lru_cache(maxsize=8)
def _prepared(network: keras.Model) -> _Prepared:
    """Compute for each map its own unit alone, where that can be; else all units."""
    body, last = before_last(network) or (None, None)
    elementwise = [keras.activations.get(name) for name in ELEMENTWISE]
    is_split = last is not None and last.activation in elementwise
    model = network if is_split else with_quick_gradients(network)

    def all_units(x, units):
        return at_units(over_positions(model(x, training=False)), units)

    if not is_split:
        return _Prepared(
            lambda units: units, _compiled(model, all_units, UNITS, is_rectified=False)
        )

    kernels = tf.convert_to_tensor(last.kernel)
    biases = tf.convert_to_tensor(last.bias) if last.use_bias else tf.zeros(kernels.shape[-1])

    def which(units):
        return units, tf.stack([kernels[..., unit] for unit in units]), tf.gather(biases, units)

    def own_unit(x, chosen):
        units, own_kernels, own_biases = chosen
        inputs = tf.cast(body(x), tf.float32)
        if None in inputs.shape[1:]:
            return all_units(x, units)
        outputs = own_product(last, inputs, own_kernels)
        outputs += tf.reshape(own_biases, (-1, *[1] * (len(outputs.shape) - 1)))
        return over_positions(last.activation(outputs)[..., None])[:, 0]

    is_rectified = last.activation is keras.activations.relu
    chosen = tf.nest.map_structure(
        lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), which(tf.constant([0]))
    )
    return _Prepared(which, _compiled(model, own_unit, chosen, is_rectified))


def _compiled(
    model: keras.Model, activations: Callable, chosen: tf.TensorSpec, is_rectified: bool
) -> Callable:
    """The loop of a batch, traced once for any number of maps and steps.

    After a ReLU (`is_rectified`) an activation of 0 has no gradient.
    """
    images, numbers = ((None, *model.input_shape[1:]), (None,))
    state = State(*(tf.TensorSpec(shape) for shape in (images, images, numbers, images)))
    weights, scale = tf.TensorSpec((None, 2)), tf.TensorSpec(())
    steps, bounded = tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.bool)

    def run(state, which, weights, scale, steps, bounded):
        def step(_, state):
            x = state.image
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                loss = scale * activations(x, which)
            if is_rectified:
                gradient = tf.cond(
                    tf.reduce_any(loss != 0),
                    lambda: tape.gradient(loss, x),
                    lambda: tf.zeros_like(x),
                )
            else:
                gradient = tape.gradient(loss, x)
            return update(state, gradient, loss, weights, bounded)

        return repeated(step, state, steps, (3, tf.shape(weights)[0]))

    return compiled(run, [state, chosen, weights, scale, steps, bounded])
