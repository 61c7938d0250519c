import numpy as np
import pytest

from experiments.experiment6 import ears


def planted(strength):
    """Weights (1000, 200) of which the first feature tells hanging from pricked ears."""
    weights = np.random.default_rng(0).normal(size=(1000, 200))
    hanging = [*ears.LONG, *ears.TERRIERS_DROP, *ears.ELEPHANTS]
    pricked = [*ears.PRICK, *ears.TERRIERS_PRICK, *ears.WILD]
    weights[hanging, 0] += strength
    weights[pricked, 0] -= strength
    return weights


def test_auc_counts_ties_half():
    assert ears.auc(np.array([3.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(3.5 / 4)


def test_a_planted_direction_is_detected_and_shuffled_breeds_have_none():
    weights = planted(2.5)
    assert np.argmax(ears.direction(weights)) == 0
    checks = ears.checks(weights, permutations=100)
    assert (checks["AUC"] > 0.9).all()
    assert (checks["p"].dropna() < 0.1).all()
    assert ears.ranking(weights, 3).shape == (3, 2)


def test_without_one_the_check_is_at_chance():
    checks = ears.checks(planted(0.0), permutations=100)
    assert (abs(checks["AUC"] - 0.5) < 0.3).all()
    assert (checks["p"].dropna() > 0.05).all()


def test_the_two_objectives_differ_by_their_sign_but_for_the_mean_dog():
    up, down = (
        dict(zip(one.units, one.weights, strict=True)) for one in map(ears.objective, (1, -1))
    )
    mean_dog = 1 / len(ears.DOGS)
    for unit in set(up) & set(down):
        assert up[unit] - mean_dog == pytest.approx(-(down[unit] - mean_dog), abs=1e-6)
    assert sum(up.values()) == pytest.approx(1)
