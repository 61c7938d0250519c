import numpy as np
import pytest
import tensorflow as tf

from helpers import maps
from helpers.maps.regularizers import lp_norm, total_variation


def test_values_worked_by_hand():
    x = np.array([[1.0, 3.0, 0.0], [2.0, -1.0, 5.0]], "float32").reshape(1, 2, 3, 1)
    total = 1 + 3**6 + 0 + 2**6 + 1 + 5**6
    assert lp_norm(x).numpy() == pytest.approx([total ** (1 / 6) / 6])
    assert total_variation(x).numpy() == pytest.approx([((1 + 4) + (16 + 9)) / 6])


def test_each_picture_has_its_own_value_and_channels_add_up():
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 2)).astype("float32")
    for measure in (lp_norm, total_variation):
        assert measure(x).shape == (3,)
        np.testing.assert_allclose(measure(x)[1:2], measure(x[1:2]), rtol=1e-6)
    by_channel = [total_variation(x[..., c : c + 1]).numpy() / 2 for c in (0, 1)]
    np.testing.assert_allclose(total_variation(x), sum(by_channel), rtol=1e-6)


@pytest.mark.parametrize("measure", [lp_norm, total_variation])
def test_gradients_are_those_of_differences(measure):
    x = tf.constant(np.random.default_rng(1).uniform(1, 2, (1, 3, 3, 1)), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = measure(x)
    gradient = tape.gradient(value, x).numpy()
    for at in np.ndindex(gradient.shape):
        step = np.zeros_like(gradient)
        step[at] = 1e-5
        difference = (measure(x + step) - measure(x - step)).numpy()[0] / 2e-5
        assert gradient[at] == pytest.approx(difference, abs=1e-6)


@pytest.mark.parametrize(
    ("regularizer", "by_hand"),
    [
        (maps.L1(1.0), lambda x: np.abs(x).mean()),
        (maps.L1(1.0, 127.5), lambda x: np.abs(x - 127.5).mean()),
        (maps.L2(1.0, 100.0), lambda x: ((x - 100) ** 2).mean()),
        (maps.LpNorm(1.0, 4), lambda x: (x**4).sum() ** 0.25 / x.size),
        (
            maps.TotalVariation(1.0, 1.0),
            lambda x: np.hypot(x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]).sum() / x.size,
        ),
    ],
    ids=["L1", "L1 around gray", "L2", "LP", "TV"],
)
def test_values_are_those_of_the_formula(regularizer, by_hand):
    images = np.random.default_rng(0).uniform(0, 255, (3, 6, 5, 3)).astype("float32")
    expected = [by_hand(image.astype("float64")) for image in images]
    np.testing.assert_allclose(regularizer.form.values(tf.constant(images)), expected, rtol=1e-5)


def test_weights_and_exponents_are_checked():
    with pytest.raises(ValueError, match="weight of L1"):
        maps.L1(-1)
    with pytest.raises(ValueError, match="p of LpNorm"):
        maps.LpNorm(1, 3)
