"""The batched search: many maps in one compiled loop, by keras-vis's maths.

Every map has its own objective, weights, RMSprop cache and best picture, and none of them reads
another's: the batch changes the speed only. The network runs as TensorFlow's own convolutions, the
update of the pictures as one XLA kernel.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from helpers.images import display
from helpers.maps.keras_vis import ActivationMap
from helpers.maps.regularizers import lp_norm, total_variation
from helpers.maps.spec import PIXEL_RANGE
from helpers.maps.targets import over_positions
from helpers.models import before_last, with_quick_gradients
from helpers.models.fast_layers import product

EPSILON = 1e-7
DECAY = 0.95
MOST_MAPS = 16
"""Maps in a batch: enough to keep the cores busy, few enough to stay in the cache."""
FEWEST_SHARED = 8
"""Maps of one unit from which on that unit alone is computed, where there are other units too."""
STEPS_PER_CALL = 20
ELEMENTWISE = ("linear", "relu", "elu", "selu", "sigmoid", "tanh", "softplus", "gelu", "silu")
"""Activation functions by which each unit follows from itself alone (softmax does not)."""


@dataclass(frozen=True)
class Job:
    """One map to search: what it maximises and where it starts.

    Attributes:
        unit: channel or output of the layer.
        tv_weight: weight of the total variation.
        lp_weight: weight of the LP norm.
        seed_input: (H, W, C) float32, pixels 0..255.
    """

    unit: int
    tv_weight: float
    lp_weight: float
    seed_input: np.ndarray


def search(
    target: keras.Model,
    jobs: Sequence[Job],
    *,
    activation_weight: float,
    steps: int,
    bounded: bool = False,
    on_step: Callable[[int, np.ndarray], None] | None = None,
) -> Iterator[tuple[int, ActivationMap]]:
    """Search all maps, batch by batch, and give each with its number among the jobs.

    Args:
        target: takes pixels (N, H, W, C), ends at the layer (N, ..., units). What is compiled for
            it is kept for the next search.
        jobs: the maps; those that share a unit are searched together.
        activation_weight: below 0 the activation is minimised.
        steps: gradient steps.
        bounded: keep every pixel in 0..255 after each step, and the map in whole pixel values, so
            that the map as shown is the raw map.
        on_step: called after the first and about every `STEPS_PER_CALL` steps with the number of
            the last step and the batch's first picture (H, W, C); may raise to stop.

    Raises:
        ValueError: a loss is NaN at the seed input.
    """
    net = _prepared(target)
    for numbers, is_shared in _batches(jobs, net.kernel is not None):
        chosen = [jobs[i] for i in numbers]
        found = _search_batch(net, is_shared, chosen, activation_weight, steps, bounded, on_step)
        yield from zip(numbers, found, strict=True)


def _batches(jobs: Sequence[Job], can_share: bool) -> Iterator[tuple[list[int], bool]]:
    of_unit = defaultdict(list)
    for i, job in enumerate(jobs):
        of_unit[job.unit].append(i)
    mixed = []
    for numbers in of_unit.values():
        if can_share and (len(of_unit) == 1 or len(numbers) >= FEWEST_SHARED):
            yield from ((part, True) for part in _parts(numbers))
        else:
            mixed += numbers
    yield from ((part, False) for part in _parts(mixed))


def _parts(numbers: list[int]) -> list[list[int]]:
    return [numbers[i : i + MOST_MAPS] for i in range(0, len(numbers), MOST_MAPS)]


def _search_batch(net, is_shared, jobs, activation_weight, steps, bounded, on_step):
    x = tf.constant(np.stack([job.seed_input for job in jobs]), tf.float32)
    state = (x, tf.zeros_like(x), tf.fill([len(jobs)], np.float32(np.inf)), x)
    weights = tf.constant([[job.lp_weight, job.tv_weight] for job in jobs], tf.float32)
    scale = tf.constant(-activation_weight, tf.float32)
    if is_shared:
        unit = jobs[0].unit
        which = net.kernel[..., unit : unit + 1], net.bias[unit : unit + 1]
    else:
        which = tf.constant([job.unit for job in jobs])
    run = net.run_shared if is_shared else net.run
    traces, step = [], 0
    while step < steps:
        count = min(STEPS_PER_CALL if step or not on_step else 1, steps - step)
        state, trace = run(state, which, weights, scale, tf.constant(count), tf.constant(bounded))
        traces.append(trace.numpy())
        step += count
        if np.isnan(traces[0][0]).any():
            raise ValueError("loss must be a number, got NaN at the seed input: no map follows")
        if on_step:
            on_step(step - 1, state[0][0].numpy())
    raw = state[3].numpy()
    shown = display(raw)
    if bounded:
        raw = np.rint(raw)
        shown = raw.astype("uint8")
    trace = np.concatenate(traces)
    for k in range(len(jobs)):
        parts = dict(zip(("activation", "lp_norm", "tv"), trace[:, :, k].T, strict=True))
        yield ActivationMap(raw[k], shown[k], trace[:, :, k].sum(1), parts)


@dataclass(frozen=True)
class _Net:
    """A network made ready: all units at once, and where it can be, one unit alone."""

    run: Callable
    run_shared: Callable | None
    kernel: tf.Tensor | None
    bias: tf.Tensor | None


@lru_cache(maxsize=8)
def _prepared(target: keras.Model) -> _Net:
    model = with_quick_gradients(target)

    def all_units(x, units):
        means = over_positions(model(x))
        return tf.gather(means, units, axis=1, batch_dims=1)

    body, last = before_last(model) or (None, None)
    elementwise = [keras.activations.get(name) for name in ELEMENTWISE]
    if last is None or last.activation not in elementwise:
        return _Net(_compiled(all_units), None, None, None)

    def one_unit(x, kernel_and_bias):
        kernel, bias = kernel_and_bias
        return over_positions(last.activation(product(last, body(x), kernel) + bias))[:, 0]

    kernel = tf.convert_to_tensor(last.kernel)
    bias = tf.convert_to_tensor(last.bias) if last.use_bias else tf.zeros(kernel.shape[-1])
    return _Net(_compiled(all_units), _compiled(one_unit), kernel, bias)


def _compiled(activations: Callable) -> Callable:
    @tf.function(reduce_retracing=True)
    def run(state, which, weights, scale, steps, bounded):
        traces = tf.TensorArray(tf.float32, size=steps, element_shape=(3, None))
        for step in tf.range(steps):
            x = state[0]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                loss = scale * activations(x, which)
            state, parts = _update(state, tape.gradient(loss, x), loss, weights, bounded)
            traces = traces.write(step, parts)
        return state, traces.stack()

    return run


@tf.function(jit_compile=True)
def _update(state, activation_gradient, activation_loss, weights, bounded):
    """One step of every picture.

    `g = d loss / d x; g = g / (rms(g) + eps); v = .95 v + .05 g^2; x = x - g / sqrt(v + eps)`; the
    picture after the step of the lowest loss before a step is kept (keras-vis 0.4.1, `Optimizer`).
    """
    x, cache, lowest, best = state
    with tf.GradientTape() as tape:
        tape.watch(x)
        lp = weights[:, 0] * lp_norm(x)
        tv = weights[:, 1] * total_variation(x)
        regularizers = lp + tv
    gradient = tape.gradient(regularizers, x) + activation_gradient
    rms = tf.sqrt(tf.reduce_mean(gradient**2, axis=(1, 2, 3), keepdims=True))
    gradient = gradient / (rms + EPSILON)
    cache = DECAY * cache + (1 - DECAY) * gradient**2
    x = x - gradient / tf.sqrt(cache + EPSILON)
    x = tf.where(bounded, tf.clip_by_value(x, *map(float, PIXEL_RANGE)), x)
    loss = activation_loss + regularizers
    better = loss < lowest
    best = tf.where(better[:, None, None, None], x, best)
    return (x, cache, tf.where(better, loss, lowest), best), tf.stack([activation_loss, lp, tv])
