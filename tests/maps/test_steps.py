import numpy as np
import pytest
import tensorflow as tf

from helpers.maps import steps
from helpers.maps.steps import State, update
from helpers.models import machine_code


def drawn(shape, seed=0):
    """Numbers of a step in the middle of an optimization."""
    rng = np.random.default_rng(seed)
    count = shape[0]
    image, best = (127 + 40 * rng.normal(size=shape) for _ in range(2))
    cache, lowest = rng.uniform(0, 2, shape), rng.normal(50, 60, count)
    arrays = image, cache, lowest, best, 0.01 * rng.normal(size=shape), rng.normal(size=count)
    *state, gradient, loss = (tf.constant(array, tf.float32) for array in arrays)
    weights = tf.constant(10.0 ** rng.uniform(-3, 1, (count, 2)), tf.float32)
    return State(*state), gradient, loss, weights


def by_numpy(state, gradient, loss, weights, bounded):
    """The formulas of keras-vis in double precision, the gradients by hand."""
    x, cache, lowest, best, g, loss, weights = (
        np.asarray(array, "float64") for array in (*state, gradient, loss, weights)
    )
    size = x[0].size
    powers = (x**6).sum((1, 2, 3))
    lp = weights[:, 0] * powers ** (1 / 6) / size
    down, right = x[:, 1:, :-1] - x[:, :-1, :-1], x[:, :-1, 1:] - x[:, :-1, :-1]
    tv = weights[:, 1] * (down**2 + right**2).sum((1, 2, 3)) / size
    by_tv = np.zeros_like(x)
    by_tv[:, 1:, :-1] += 2 * down
    by_tv[:, :-1, 1:] += 2 * right
    by_tv[:, :-1, :-1] -= 2 * (down + right)
    each = (slice(None), None, None, None)
    by_lp = (powers ** (-5 / 6))[each] * x**5
    g = g + weights[:, 0][each] * by_lp / size + weights[:, 1][each] * by_tv / size
    g = g / (np.sqrt((g**2).mean((1, 2, 3)))[each] + 1e-7)
    cache = 0.95 * cache + 0.05 * g**2
    x = x - g / np.sqrt(cache + 1e-7)
    x = np.clip(x, 0, 255) if bounded else x
    total = loss + lp + tv
    better = total < lowest
    best = np.where(better[each], x, best)
    return (x, cache, np.where(better, total, lowest), best), np.stack([loss, lp, tv])


@pytest.mark.parametrize("has_code", [True, False])
@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("shape", [(3, 20, 31, 3), (2, 9, 17, 1), (1, 2, 2, 4), (5, 12, 2, 16)])
def test_a_step_is_keras_vis_s(monkeypatch, shape, bounded, has_code):
    if not has_code:
        monkeypatch.setattr(machine_code, "ir", None)
    arguments = drawn(shape)
    state, parts = update(*arguments, tf.constant(bounded))
    expected, expected_parts = by_numpy(*arguments, bounded)
    for ours, double in zip(state, expected, strict=True):
        np.testing.assert_allclose(ours, double, rtol=2e-5, atol=2e-4)
    np.testing.assert_allclose(parts, expected_parts, rtol=1e-5)


def test_some_maps_are_better_and_some_are_not():
    state, gradient, loss, weights = drawn((8, 6, 7, 3))
    moved, _ = update(state, gradient, loss, weights, tf.constant(False))
    kept = np.all(moved.best == state.best, (1, 2, 3))
    new = np.all(moved.best == moved.image, (1, 2, 3))
    assert kept.any() and new.any() and np.all(kept ^ new)
    np.testing.assert_array_equal(moved.lowest < state.lowest, new)


def test_nan_stays_nan():
    state, gradient, loss, weights = drawn((2, 6, 7, 3))
    gradient = tf.tensor_scatter_nd_update(gradient, [[1, 2, 2, 0]], [np.nan])
    moved, _ = update(state, gradient, loss, weights, tf.constant(True))
    assert np.isnan(moved.image[1]).all() and not np.isnan(moved.image[0]).any()


def test_signals_and_volumes_are_left_to_xla():
    for shape in ((2, 30, 3), (2, 5, 6, 7, 3)):
        rng = np.random.default_rng(0)
        x = tf.constant(rng.normal(size=shape), tf.float32)
        state = State(x, tf.zeros_like(x), tf.zeros(2), x)
        moved, parts = steps.update(state, x, tf.zeros(2), tf.ones((2, 2)), tf.constant(False))
        assert moved.image.shape == shape and parts.shape == (3, 2)
