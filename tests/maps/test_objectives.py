import numpy as np
import pytest
import tensorflow as tf

from helpers import maps, models
from helpers.maps import loop
from helpers.maps.objectives import at_units
from helpers.models.cutting import Tap

RNG = np.random.default_rng(0)
CONV = RNG.normal(size=(4, 5, 6, 3)).astype("float32")
DENSE = RNG.normal(size=(4, 7)).astype("float32")
ACTIVATIONS = {
    Tap("conv"): tf.constant(CONV),
    Tap("conv", True): tf.constant(CONV - 1),
    Tap("dense"): tf.constant(DENSE),
}
SHAPES = {tap: (None, *values.shape[1:]) for tap, values in ACTIVATIONS.items()}
MEANS = CONV.mean((1, 2))


def scores(objectives, groups=None):
    """Of one objective for each of the four maps, which share a form."""
    jobs = [
        loop.Job(objective, maps.Pixels(), (), (), maps.Adam(), np.zeros(1), group=group)
        for objective, group in zip(objectives, groups or range(4), strict=True)
    ]
    assert len({job.recipe for job in jobs}) == 1
    numbers = loop.stacked(jobs, 0)
    return objectives[0].form.scores(ACTIVATIONS, numbers.parameters, numbers.groups).numpy()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda i: maps.Unit("conv", i % 3), lambda i: MEANS[i, i % 3]),
        (lambda i: maps.Unit("dense", i + 2), lambda i: DENSE[i, i + 2]),
        (lambda i: maps.Unit("conv", 1, pre_activation=True), lambda i: MEANS[i, 1] - 1),
        (
            lambda i: maps.Unit("conv", 0, minus_others=True),
            lambda i: MEANS[i, 0] - (MEANS[i, 1] + MEANS[i, 2]) / 2,
        ),
        (lambda i: maps.Neuron("conv", 2, (i, 1)), lambda i: CONV[i, i, 1, 2]),
        (lambda i: maps.Neuron("conv", 2), lambda i: CONV[i, 2, 3, 2]),
        (lambda i: maps.Neuron("dense", i), lambda i: DENSE[i, i]),
        (
            lambda i: maps.Units("conv", (0, 2), (i, -1.0)),
            lambda i: i * MEANS[i, 0] - MEANS[i, 2],
        ),
        (lambda i: maps.Direction("conv", (1, 2, i)), lambda i: MEANS[i] @ [1, 2, i]),
        (lambda i: maps.LayerNorm2("conv"), lambda i: (CONV[i] ** 2).mean()),
        (lambda i: maps.Target(maps.Unit("conv", 1), i), lambda i: -((MEANS[i, 1] - i) ** 2)),
        (
            lambda i: maps.Unit("conv", i % 3) - i * maps.Unit("dense", 0),
            lambda i: MEANS[i, i % 3] - i * DENSE[i, 0],
        ),
        (lambda i: -maps.Unit("conv", 0) * 2, lambda i: -2 * MEANS[i, 0]),
    ],
)
def test_scores_are_those_worked_out_by_hand(make, expected):
    measured = scores([make(i) for i in range(4)])
    np.testing.assert_allclose(measured, [expected(i) for i in range(4)], rtol=1e-5, atol=1e-6)


def test_a_direction_along_one_unit_is_that_unit():
    directions = scores([maps.Direction("conv", np.eye(3)[1])] * 4)
    np.testing.assert_allclose(directions, scores([maps.Unit("conv", 1)] * 4), rtol=1e-6)


def test_diversity_falls_to_minus_one_where_the_maps_of_a_group_are_equal():
    equal = {Tap("conv"): tf.constant(CONV[[0, 0, 1, 2]])}
    groups = tf.constant([0, 0, 1, 1])
    diversity = maps.Diversity("conv")
    values = diversity.scores(equal, (), groups).numpy()
    np.testing.assert_allclose(values[:2], [-1, -1], rtol=1e-5)
    flat = CONV[1:3].reshape(2, -1, 3)
    a, b = (f.T @ f for f in flat)
    similarity = (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(values[2:], [-similarity] * 2, rtol=1e-5)
    assert similarity < 0.999
    alone = diversity.scores(equal, (), tf.constant([0, 1, 2, 3])).numpy()
    np.testing.assert_array_equal(alone, np.zeros(4))


def test_objectives_name_themselves():
    names = {
        maps.Unit("conv", 3): "conv 3",
        maps.Unit("out", 3, pre_activation=True): "out 3 pre-activation",
        maps.Neuron("conv", 3, (1, 2)): "conv 3 at (1, 2)",
        maps.Unit("a", 1) - 0.5 * maps.Unit("b", 2): "a 1 - 0.5 * b 2",
        maps.Unit("a", 1) + maps.Diversity("b"): "a 1 + b diversity",
        -maps.Unit("a", 1): "-a 1",
        maps.Target(maps.Unit("a", 1), 2): "(a 1) to 2",
    }
    for objective, name in names.items():
        assert str(objective) == name


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        (maps.Unit("conv", 3), "unit of conv must be 0 to 2, got 3"),
        (maps.Unit("conv", 0) + maps.Unit("dense", 7), "unit of dense"),
        (maps.Neuron("conv", 0, (5, 0)), "position"),
        (maps.Neuron("conv", 0, (5,)), "position"),
        (maps.Direction("conv", (1, 2)), "vector must hold 3"),
    ],
)
def test_what_a_layer_does_not_have_is_named(objective, says):
    with pytest.raises(ValueError, match=says):
        objective.check(SHAPES)


def test_what_is_not_legal_is_named():
    with pytest.raises(ValueError, match="unit of Unit must be integers"):
        maps.Unit("conv", 1.5)
    with pytest.raises(ValueError, match="weights of Units"):
        maps.Units("conv", (1, 2), (1.0,))
    with pytest.raises(ValueError, match="objective must be an Objective"):
        maps.Unit("conv", 1) + 3


def test_the_taps_of_a_sum_are_each_named_once():
    total = maps.Unit("a", 1) + maps.Unit("b", 2) - maps.Unit("a", 3)
    assert total.taps == (models.cutting.Tap("a"), models.cutting.Tap("b"))


def test_each_row_is_read_at_its_own_unit_whatever_the_others_hold():
    means = tf.constant([[1.0, np.nan, 3.0], [4.0, 5.0, np.inf]])
    with tf.GradientTape() as tape:
        tape.watch(means)
        own = at_units(means, tf.constant([2, 0]))
    np.testing.assert_array_equal(own, [3, 4])
    np.testing.assert_array_equal(tape.gradient(own, means), [[0, 0, 1], [1, 0, 0]])
