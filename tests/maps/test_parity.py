"""One step of our loops from the genuine package's own state gives its next state.

The optimization is chaotic: two runs part by rounding alone, so their ends say nothing.
"""

import itertools
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from helpers import maps, models
from helpers.images import display
from helpers.maps import engines, fused, keras_vis, loop, targets

STEPS = 200
WEIGHTS = [(1e-3, 10.0), (10.0, 0.0), (10.0, 10.0), (0.1, 1.0)]
"""(TV, LP)."""
LAYERS = {"conv2d_2": 3, "dense_1": 0, "dense_2": 2}
"""A convolution, a dense layer and a softmax, and the unit."""
COLOURS = {"gray": 1, "rgb": 3}
ROUNDING = 2.4e-7
"""Of a layer's largest pre-activation, two units in the last place: what the order of a sum may
change."""


def small_model(channels, seed=0):
    keras.utils.set_random_seed(seed)
    x = pixels = keras.Input((14, 12, channels))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.Conv2D(8, 3, activation="relu", name="conv2d_1")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(6, 3, activation="relu", name="conv2d_2")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(5, activation="relu", bias_initializer="ones", name="dense_1")(x)
    return keras.Model(pixels, layers.Dense(3, activation="softmax", name="dense_2")(x))


class Run(NamedTuple):
    """The genuine package's states: each array holds STEPS + 1 of them, losses STEPS."""

    job: fused.Job
    images: np.ndarray
    caches: np.ndarray
    lowest: np.ndarray
    best: np.ndarray
    losses: np.ndarray
    parts: np.ndarray
    display: np.ndarray


class Cell(NamedTuple):
    """A layer of a model and the genuine runs at several weights."""

    target: targets.LayerTarget
    runs: list[Run]


def genuine_run(target, job, monkeypatch) -> Run:
    images, caches = [job.seed_input], [np.zeros_like(job.seed_input)]
    rmsprop = keras_vis._optimizer.Optimizer._rmsprop

    def recorded(self, grads, cache=None, decay_rate=0.95):
        step, cache = rmsprop(self, grads, cache, decay_rate)
        caches.append(cache[0].copy())
        return step, cache

    with monkeypatch.context() as patch:
        patch.setattr(keras_vis._optimizer.Optimizer, "_rmsprop", recorded)
        on_step = lambda _, image: images.append(image)  # noqa: E731
        ((_, made),) = engines.ENGINES["keras-vis"](target, [job], on_step)
    lowest, best = [np.inf], [job.seed_input]
    for loss, image in zip(made.loss, images[1:], strict=True):
        is_better = loss < lowest[-1]
        lowest.append(loss if is_better else lowest[-1])
        best.append(image if is_better else best[-1])
    np.testing.assert_array_equal(best[-1], made.raw)
    parts = np.stack([made.parts[name] for name in ("activation", "lp_norm", "tv")], 1)
    arrays = (np.array(a, "float32") for a in (images, caches, lowest, best, made.loss, parts))
    return Run(job, *arrays, made.display)


@pytest.fixture(scope="module", params=itertools.product(COLOURS, LAYERS), ids="-".join)
def cell(request):
    colour, layer = request.param
    model = small_model(COLOURS[colour])
    spec = maps.make_spec(model, layer, LAYERS[layer], steps=STEPS, engine="keras-vis")
    target = targets.resolve(model, spec)
    start = maps.start_noise(3, target.shape)
    with pytest.MonkeyPatch.context() as patch:
        jobs = [fused.Job(LAYERS[layer], tv, lp, start) for tv, lp in WEIGHTS]
        return Cell(target, [genuine_run(target, job, patch) for job in jobs])


def states_of(runs):
    """Every state before a step, of all runs."""
    return [
        np.concatenate([values[:STEPS] for values in each])
        for each in zip(*[run[1:5] for run in runs], strict=True)
    ]


def fused_step(cell, others=()):
    jobs = [run.job for run in cell.runs for _ in range(STEPS)]
    state = states_of(cell.runs)
    if others:  # a map of another unit, so that all units are computed
        jobs, state = [*jobs, *others], [np.concatenate([a, a[: len(others)]]) for a in state]
    state, trace = fused.advance(
        cell.target.network, jobs, fused.State(*map(tf.constant, state)), activation_weight=1.0
    )
    count = len(cell.runs) * STEPS
    return *[np.array(a)[:count] for a in state], trace[0, :, :count]


def mixed_step(cell):
    job = cell.runs[0].job
    return fused_step(cell, [replace(job, unit=(job.unit + 1) % 3)])


def generic_step(cell):
    model, spec = cell.target.model, cell.target.spec
    jobs = [engines.keras_vis_job(spec, run.job) for run in cell.runs for _ in range(STEPS)]
    taps = jobs[0].objective.taps
    cut = targets.cut_of(model, taps, spec.preprocessing)
    compiled = loop.loop_of(cut, taps, jobs[0].recipe)
    image, cache, lowest, best = map(tf.constant, states_of(cell.runs))
    state = compiled.start(image)._replace(slots=(cache,), lowest=lowest, best=best)
    state, trace = compiled.advance(state, loop.stacked(jobs, 1), 0, 1, 10, False)
    state = state.variables, *state.slots, state.lowest, state.best
    return *map(np.array, state), trace.numpy()[0]


def has_one_gradient(cell):
    """Whether no ReLU and no pool of a state is within rounding of another choice, (N,) bool.

    There the gradient jumps, and rounding decides to which side.
    """
    taps = [models.Tap(name, pre_activation=True) for name in ("conv2d_1", "conv2d_2", "dense_1")]
    images = tf.constant(states_of(cell.runs)[0])
    values = [np.asarray(z) for z in models.cut_at(cell.target.model, taps)(images)]
    first = values[0]
    tiles = first.reshape(len(first), 6, 2, 5, 2, -1).transpose(0, 1, 3, 5, 2, 4)
    top = np.sort(tiles.reshape(*tiles.shape[:4], 4), -1)
    gaps = np.where(top[..., -1] > 0, top[..., -1] - top[..., -2], np.inf)
    sizes = [np.abs(z).reshape(len(z), -1) for z in values]
    least = [size.min(1) / size.max(1) for size in sizes]
    least.append(gaps.reshape(len(gaps), -1).min(1) / sizes[0].max(1))
    return np.min(least, 0) > ROUNDING


@pytest.mark.parametrize("step", [fused_step, mixed_step, generic_step])
def test_a_step_from_the_genuine_packages_state_gives_its_next_state(cell, step):
    image, cache, lowest, best, parts = step(cell)
    next_image, next_cache, next_lowest, next_best = (
        np.concatenate([values[1:] for values in each])
        for each in zip(*[run[1:5] for run in cell.runs], strict=True)
    )
    losses = np.concatenate([run.losses for run in cell.runs])
    before = states_of(cell.runs)[2]
    decided = np.abs(losses - before) > 1e-5 * np.abs(losses)
    smooth = has_one_gradient(cell)
    assert decided.mean() > 0.9 and smooth.mean() > 0.8
    decided &= smooth
    np.testing.assert_allclose(image[smooth], next_image[smooth], rtol=0, atol=5e-3)
    np.testing.assert_allclose(best[decided], next_best[decided], rtol=0, atol=5e-3)
    np.testing.assert_allclose(cache[smooth], next_cache[smooth], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(lowest, next_lowest, rtol=2e-4)
    ours, genuine = parts.T, np.concatenate([run.parts for run in cell.runs])
    np.testing.assert_allclose(ours, genuine, rtol=1e-3, atol=1e-5)


def test_the_display_is_the_genuine_packages_for_a_raw_map(cell):
    for run in cell.runs:
        np.testing.assert_array_equal(display(run.best[-1]), run.display)
