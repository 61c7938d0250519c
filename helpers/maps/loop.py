"""One compiled loop for every objective, parametrization, transform, regularizer and optimizer.

Each map has its own variables, numbers, random draws and optimizer state, and none of them reads
another's (but `Diversity`, the other maps of its group).
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.maps import transforms as changes
from helpers.maps.objectives import Objective
from helpers.maps.optimizers import Optimizer, Slots
from helpers.maps.parametrizations import Parametrization
from helpers.maps.regularizers import Regularizer
from helpers.maps.transforms import Transform
from helpers.models import with_quick_gradients
from helpers.models.cutting import Tap

MOST_MAPS = 16
"""Maps in a batch: enough to keep the cores busy, few enough to stay in the cache."""
STEPS_PER_CALL = 20


@dataclass(frozen=True, eq=False)
class Job:
    """One map to optimize.

    Attributes:
        objective: what it maximises.
        parametrization, transforms, regularizers, optimizer: how.
        start: variables to start from, as the parametrization makes them.
        seed: makes the random numbers of the transforms.
        group: equal for maps that `Diversity` couples.
    """

    objective: Objective
    parametrization: Parametrization
    transforms: tuple[Transform, ...]
    regularizers: tuple[Regularizer, ...]
    optimizer: Optimizer
    start: np.ndarray
    seed: int = 0
    group: Hashable = None

    @property
    def recipe(self) -> "Recipe":
        """What it shares with the maps of its batch."""
        forms = tuple(regularizer.form for regularizer in self.regularizers)
        return Recipe(
            self.objective.form, self.parametrization, self.transforms, forms, self.optimizer
        )


@dataclass(frozen=True)
class Recipe:
    """The structure of an optimization without the numbers of a map: keys a compiled loop."""

    form: Objective
    parametrization: Parametrization
    transforms: tuple[Transform, ...]
    regularizers: tuple[Regularizer, ...]
    optimizer: Optimizer


class State(NamedTuple):
    """Where the maps of a batch stand.

    Attributes:
        variables: of the parametrization, (N, ...).
        slots: of the optimizer.
        lowest: the lowest loss before a step so far, (N,).
        best: the variables that are kept, (N, ...).
    """

    variables: tf.Tensor
    slots: Slots
    lowest: tf.Tensor
    best: tf.Tensor


class Numbers(NamedTuple):
    """The numbers of the maps of a batch, which the structure lacks.

    Attributes:
        parameters: of the objective, each array with the maps first.
        weights: of the regularizers, (N, regularizers).
        draws: uniform numbers of the transforms, (steps, N, draws).
        groups: (N,) int32.
    """

    parameters: tuple
    weights: tf.Tensor
    draws: tf.Tensor
    groups: tf.Tensor


@dataclass(frozen=True)
class Optimized:
    """One map.

    Attributes:
        image: (H, W, C) float32, pixels 0..255.
        loss: (steps,) float32, before each step.
        parts: (steps,) float32 each, weighted: "activation" (minus the score) and one for each
            regularizer, by its `part`.
    """

    image: np.ndarray
    loss: np.ndarray
    parts: dict[str, np.ndarray]


def optimize(
    cut: keras.Model,
    taps: Sequence[Tap],
    jobs: Sequence[Job],
    *,
    steps: int,
    on_step: Callable[[int, np.ndarray], None] | None = None,
) -> Iterator[tuple[int, Optimized]]:
    """Optimize all maps, batch by batch, and give each with its number among the jobs.

    Args:
        cut: takes pixels (N, H, W, C), gives the taps' outputs. What is compiled for it is kept.
        taps: which of its outputs is which.
        jobs: the maps; those of one structure share batches.
        steps: gradient steps.
        on_step: called after the first and about every `STEPS_PER_CALL` steps with the number of
            the last step and the batch's first image (H, W, C); may raise to stop.

    Raises:
        ValueError: a loss is NaN at the seed input.
    """
    for numbers in batches(jobs):
        chosen = [jobs[i] for i in numbers]
        loop = loop_of(cut, tuple(taps), chosen[0].recipe)
        yield from zip(numbers, _optimize_batch(loop, chosen, steps, on_step), strict=True)


def batches(jobs: Sequence[Job]) -> Iterator[list[int]]:
    """Numbers of the jobs that run together: one structure, coupled groups undivided."""
    same = defaultdict(list)
    for i, job in enumerate(jobs):
        same[job.recipe].append(i)
    for recipe, numbers in same.items():
        whole = defaultdict(list)
        for i in numbers:
            whole[jobs[i].group if recipe.form.is_coupled else i].append(i)
        batch = []
        for members in whole.values():
            if batch and len(batch) + len(members) > MOST_MAPS:
                yield batch
                batch = []
            batch = batch + members
        yield batch


def stacked(jobs: Sequence[Job], steps: int) -> Numbers:
    """The numbers of several jobs of one structure."""
    parameters = tf.nest.map_structure(
        lambda *each: tf.constant(np.stack(each)), *[job.objective.parameters for job in jobs]
    )
    weights = np.array([[r.weight for r in job.regularizers] for job in jobs], "float32")
    draws = np.stack([changes.draw(job.transforms, job.seed, steps) for job in jobs], 1)
    named = list(dict.fromkeys(job.group for job in jobs))
    groups = [named.index(job.group) for job in jobs]
    return Numbers(parameters, tf.constant(weights), tf.constant(draws), tf.constant(groups))


@dataclass(frozen=True, eq=False)
class Loop:
    """A structure compiled for a model.

    Attributes:
        start: variables (N, ...) to the State before the first step.
        advance: `(state, numbers, first, count)` to the State after `count` steps and the weighted
            parts of the loss before each, (count, 1 + regularizers, N); `first` is the number of
            the first step.
        images: variables (N, ...) to pixels (N, H, W, C).
    """

    start: Callable[[tf.Tensor], State]
    advance: Callable
    images: Callable[[tf.Tensor], tf.Tensor]


@lru_cache(maxsize=16)
def loop_of(cut: keras.Model, taps: tuple[Tap, ...], recipe: Recipe) -> Loop:
    """Compile a structure for a model; the same arguments give the same loop."""
    form, parametrization, transforms, regularizers, optimizer = vars(recipe).values()
    read = _reader(cut, taps)
    shape = cut.input_shape[1:]

    def start(variables):
        lowest = tf.fill([len(variables)], np.float32(np.inf))
        return State(variables, optimizer.start(variables), lowest, variables)

    def loss_parts(variables, numbers: Numbers, draws):
        images = parametrization.images(variables, shape)
        seen = changes.apply(transforms, images, draws)
        score = form.scores(read(seen), numbers.parameters, numbers.groups)
        costs = [r.values(images) * numbers.weights[:, i] for i, r in enumerate(regularizers)]
        return tf.stack([-score, *costs])

    @tf.function(jit_compile=True)
    def update(state: State, gradient, loss):
        moved, slots = optimizer.update(
            state.variables, gradient, state.slots, parametrization.scale
        )
        moved = parametrization.project(moved)
        best, is_better = moved, loss < state.lowest
        if optimizer.keeps_best:
            per_map = tf.reshape(is_better, (-1, *[1] * (len(moved.shape) - 1)))
            best = tf.where(per_map, moved, state.best)
        return State(moved, slots, tf.where(is_better, loss, state.lowest), best)

    @tf.function(reduce_retracing=True)
    def advance(state: State, numbers: Numbers, first, count):
        size = (1 + len(regularizers), None)
        traces = tf.TensorArray(tf.float32, size=count, element_shape=size)
        for i in tf.range(count):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(state.variables)
                parts = loss_parts(state.variables, numbers, numbers.draws[first + i])
                loss = tf.reduce_sum(parts, 0)
            state = update(state, tape.gradient(loss, state.variables), loss)
            traces = traces.write(i, parts)
        return state, traces.stack()

    @tf.function(reduce_retracing=True)
    def images(variables):
        return parametrization.images(variables, shape)

    return Loop(start, advance, images)


@lru_cache(maxsize=16)
def measure_of(cut: keras.Model, taps: tuple[Tap, ...], form: Objective) -> Callable:
    """Compile `(images, parameters, groups)` to the scores (N,) and their gradients' RMS (N,)."""
    read = _reader(cut, taps)

    @tf.function(reduce_retracing=True)
    def measure(images, parameters, groups):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            scores = form.scores(read(images), parameters, groups)
        gradient = tape.gradient(scores, images)
        axes = list(range(1, len(gradient.shape)))
        return scores, tf.sqrt(tf.reduce_mean(gradient**2, axis=axes))

    return measure


@lru_cache(maxsize=8)
def _quick(cut: keras.Model) -> keras.Model:
    return with_quick_gradients(cut)


def _reader(cut: keras.Model, taps: tuple[Tap, ...]) -> Callable:
    model = _quick(cut)

    def read(images):
        values = tf.nest.flatten(model(images, training=False))
        return {tap: tf.cast(v, tf.float32) for tap, v in zip(taps, values, strict=True)}

    return read


def _optimize_batch(loop: Loop, jobs, steps: int, on_step) -> Iterator[Optimized]:
    numbers = stacked(jobs, steps)
    state = loop.start(tf.constant(np.stack([job.start for job in jobs]), tf.float32))
    traces, step = [], 0
    while step < steps:
        count = min(STEPS_PER_CALL if step or not on_step else 1, steps - step)
        state, trace = loop.advance(state, numbers, tf.constant(step), tf.constant(count))
        traces.append(trace.numpy())
        step += count
        if np.isnan(traces[0][0]).any():
            raise ValueError("loss must be a number, got NaN at the seed input: no map follows")
        if on_step:
            on_step(step - 1, loop.images(state.variables[:1])[0].numpy())
    images = loop.images(state.best).numpy()
    trace = np.concatenate(traces)
    for k, job in enumerate(jobs):
        parts = {"activation": trace[:, 0, k]}
        for row, regularizer in enumerate(job.regularizers, 1):
            name = regularizer.part
            parts[name] = parts.get(name, 0) + trace[:, row, k]
        yield Optimized(images[k], trace[:, :, k].sum(1), parts)
