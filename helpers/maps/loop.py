"""One compiled loop for every objective, parametrization, transform, regularizer and optimizer.

Each map has its own variables, numbers, random draws and optimizer state, and none of them reads
another's (but `Diversity`, the other maps of its group).
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.maps import transforms as changes
from helpers.maps.batches import images_at_once
from helpers.maps.objectives import Objective
from helpers.maps.optimizers import Optimizer, Slots
from helpers.maps.parametrizations import Parametrization
from helpers.maps.programs import STEPS_PER_CALL, compiled, repeated
from helpers.maps.regularizers import Regularizer
from helpers.maps.transforms import Transform
from helpers.models import with_quick_gradients
from helpers.models.cutting import Tap
from helpers.models.relu_gradients import relu_gradient

MOST_MAPS = 16
"""Maps in a batch, where memory allows: enough to keep the cores busy, few for the cache."""
LEVEL = 0.9
"""Decay of the running mean of a loss, by which a map no longer rises."""


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
        level: running mean of the loss, (N,).
        lowest_level: the lowest of it so far, (N,).
        stalled: steps since then, (N,) int32.
        taken: steps that it moved, (N,) int32.
    """

    variables: tf.Tensor
    slots: Slots
    lowest: tf.Tensor
    best: tf.Tensor
    level: tf.Tensor
    lowest_level: tf.Tensor
    stalled: tf.Tensor
    taken: tf.Tensor


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
        loss: (steps,) float32, before each step; NaN after the map has stopped.
        parts: (steps,) float32 each, weighted: "activation" (minus the score) and one for each
            regularizer, by its `part`.
        steps: how many steps it took.
    """

    image: np.ndarray
    loss: np.ndarray
    parts: dict[str, np.ndarray]
    steps: int


def optimize(
    cut: keras.Model,
    taps: Sequence[Tap],
    jobs: Sequence[Job],
    *,
    steps: int,
    wake_steps: int = 0,
    patience: int | None = None,
    on_step: Callable[[int, np.ndarray], None] | None = None,
) -> Iterator[tuple[int, Optimized]]:
    """Optimize all maps, batch by batch, and give each with its number among the jobs.

    Args:
        cut: takes pixels (N, H, W, C), gives the taps' outputs. What is compiled for it is kept.
        taps: which of its outputs is which.
        jobs: the maps; those of one structure share batches.
        steps: gradient steps.
        wake_steps: steps at the start in which ReLUs wake silent units.
        patience: steps without a rise after which a map stops; None to take all steps.
        on_step: called after the first and about every `STEPS_PER_CALL` steps with the number of
            the last step and the batch's first image (H, W, C); may raise to stop.

    Raises:
        ValueError: a loss is NaN at the seed input.
    """
    for numbers in batches(jobs, images_at_once(cut, len(jobs), MOST_MAPS)):
        chosen = [jobs[i] for i in numbers]
        loop = loop_of(cut, tuple(taps), chosen[0].recipe)
        made = _optimize_batch(loop, chosen, steps, wake_steps, patience, on_step)
        yield from zip(numbers, made, strict=True)


def batches(jobs: Sequence[Job], most: int) -> Iterator[list[int]]:
    """Numbers of the jobs that run together: one structure, coupled groups undivided.

    Args:
        jobs: all.
        most: maps in a batch, but for a group of more.
    """
    same = defaultdict(list)
    for i, job in enumerate(jobs):
        same[job.recipe].append(i)
    for recipe, numbers in same.items():
        whole = defaultdict(list)
        for i in numbers:
            whole[jobs[i].group if recipe.form.is_coupled else i].append(i)
        batch = []
        for members in whole.values():
            if batch and len(batch) + len(members) > most:
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
        advance: `(state, numbers, first, count, patience, is_waking)` to the State after `count`
            steps, at most `STEPS_PER_CALL`, and the weighted parts of the loss before each,
            (`STEPS_PER_CALL`, 1 + regularizers, N), 0 after `count`; `first` is the number of the
            first step.
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

    @tf.function(autograph=False, jit_compile=True)
    def images_of(variables):
        return parametrization.images(variables, shape)

    def start(variables):
        lowest = tf.fill([len(variables)], np.float32(np.inf))
        none = tf.zeros([len(variables)], tf.int32)
        slots = optimizer.start(variables)
        return State(variables, slots, lowest, variables, lowest, lowest, none, none)

    def loss_parts(variables, numbers: Numbers, draws):
        images = images_of(variables)
        seen = changes.apply(transforms, images, draws)
        score = form.scores(read(seen), numbers.parameters, numbers.groups)
        costs = [r.values(images) * numbers.weights[:, i] for i, r in enumerate(regularizers)]
        return tf.stack([-score, *costs])

    def loss_and_gradient(variables, numbers: Numbers, draws, is_waking: bool):
        with relu_gradient("waking" if is_waking else None):
            parts = loss_parts(variables, numbers, draws)
            loss = tf.reduce_sum(parts, 0)
            (gradient,) = tf.gradients(loss, variables)
        return parts, loss, tf.convert_to_tensor(gradient)

    @tf.function(autograph=False, jit_compile=True)
    def update(state: State, gradient, loss, patience):
        def where(is_so, new, old):
            return tf.where(tf.reshape(is_so, (-1, *[1] * (len(new.shape) - 1))), new, old)

        moved, slots = optimizer.update(
            state.variables, gradient, state.slots, parametrization.scale
        )
        is_moving = state.stalled < patience
        moved = where(is_moving, parametrization.project(moved), state.variables)
        is_better = is_moving & (loss < state.lowest)
        best = where(is_better, moved, state.best) if optimizer.keeps_best else moved
        lowest = tf.where(is_better, loss, state.lowest)
        level = tf.where(state.taken == 0, loss, LEVEL * state.level + (1 - LEVEL) * loss)
        has_risen = level < state.lowest_level
        stalled = tf.where(is_moving & has_risen, 0, state.stalled + 1)
        lowest_level = tf.where(has_risen, level, state.lowest_level)
        taken = state.taken + tf.cast(is_moving, tf.int32)
        return State(moved, slots, lowest, best, level, lowest_level, stalled, taken)

    def steps_on(state: State, numbers: Numbers, count, patience, is_waking):
        def step(number, state):
            draws = numbers.draws[number]
            parts, loss, gradient = loss_and_gradient(state.variables, numbers, draws, is_waking)
            return update(state, gradient, loss, patience), parts

        maps = tf.shape(numbers.groups)[0]
        return repeated(step, state, count, (1 + len(regularizers), maps))

    run = _compiled(steps_on)

    def advance(state: State, numbers: Numbers, first: int, count, patience, is_waking):
        now = numbers._replace(draws=_from(numbers.draws, first))
        return run(state, now, count, patience, is_waking)

    return Loop(start, advance, images_of)


@lru_cache(maxsize=16)
def measure_of(cut: keras.Model, taps: tuple[Tap, ...], form: Objective) -> Callable:
    """Compile `(images, parameters, groups)` to the scores (N,) and their gradients' RMS (N,)."""
    read = _reader(cut, taps)

    def measure(images, parameters, groups):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            scores = form.scores(read(images), parameters, groups)
        gradient = tape.gradient(scores, images)
        axes = list(range(1, len(gradient.shape)))
        return scores, tf.sqrt(tf.reduce_mean(gradient**2, axis=axes))

    return _compiled(measure)


def _compiled(function: Callable) -> Callable:
    """TensorFlow warns of many functions of one code object, which a partial does not have."""
    return compiled(partial(function))


@lru_cache(maxsize=8)
def _quick(cut: keras.Model) -> keras.Model:
    return with_quick_gradients(cut)


def _reader(cut: keras.Model, taps: tuple[Tap, ...]) -> Callable:
    model = _quick(cut)

    def read(images):
        values = tf.nest.flatten(model(images, training=False))
        return {tap: tf.cast(v, tf.float32) for tap, v in zip(taps, values, strict=True)}

    return read


def _from(draws: tf.Tensor, step: int) -> tf.Tensor:
    """The draws of `STEPS_PER_CALL` steps, always as many: the loop is compiled for one shape."""
    chosen = draws[step : step + STEPS_PER_CALL]
    return tf.pad(chosen, [(0, STEPS_PER_CALL - len(chosen)), (0, 0), (0, 0)])


def _optimize_batch(
    loop: Loop, jobs, steps: int, wake_steps: int, patience: int | None, on_step
) -> Iterator[Optimized]:
    numbers = stacked(jobs, steps)
    state = loop.start(tf.constant(np.stack([job.start for job in jobs]), tf.float32))
    most_stalled = tf.constant(steps if patience is None else patience)
    traces, step = [], 0
    while step < steps and np.any(state.stalled < most_stalled):
        is_waking = step < wake_steps
        count = min(STEPS_PER_CALL if step or not on_step else 1, steps - step)
        if is_waking:
            count = min(count, wake_steps - step)
        state, trace = loop.advance(
            state, numbers, step, tf.constant(count), most_stalled, is_waking
        )
        traces.append(trace.numpy()[:count])
        step += count
        if np.isnan(traces[0][0]).any():
            raise ValueError("loss must be a number, got NaN at the seed input: no map follows")
        if on_step:
            on_step(step - 1, loop.images(state.variables[:1])[0].numpy())
    images = loop.images(state.best).numpy()
    trace = np.full((steps, *traces[0].shape[1:]), np.nan, "float32")
    trace[:step] = np.concatenate(traces)
    for k, job in enumerate(jobs):
        taken = int(state.taken[k])
        trace[taken:, :, k] = np.nan
        parts = {"activation": trace[:, 0, k]}
        for row, regularizer in enumerate(job.regularizers, 1):
            name = regularizer.part
            parts[name] = parts.get(name, 0) + trace[:, row, k]
        yield Optimized(images[k], trace[:, :, k].sum(1), parts, taken)
