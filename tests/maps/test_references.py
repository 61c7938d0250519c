import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tiny import PIXELS, small_net

from helpers import maps, models
from helpers.maps.references import DistributionMatch, Stay


def score(objective, values):
    """Of activations (N, ..., units) by hand-made parameters, the same for every map."""
    values = tf.constant(np.asarray(values, "float32"))
    parameters = tuple(tf.stack([p] * len(values)) for p in map(tf.constant, objective.parameters))
    groups = tf.zeros([len(values)], tf.int32)
    return objective.scores({objective.taps[0]: values}, parameters, groups).numpy()


def test_a_match_by_hand():
    """Unit 0 has 4, 1, 3, 2, sorted and halved 1.5, 3.5; unit 1 is 0 everywhere."""
    values = np.zeros((1, 2, 2, 2))
    values[0, ..., 0] = [[4, 1], [3, 2]]
    match = DistributionMatch("conv", levels=(1.0, 3.0, 2.0, 2.0), weights=(3.0, 1.0))
    distance = 3 * (0.5**2 + 0.5**2) / 2 + 1 * (2**2 + 2**2) / 2
    size = 3 * (1 + 9) / 2 + 1 * (4 + 4) / 2
    assert score(match, values) == pytest.approx(-distance / size)


def test_a_match_asks_what_is_there_and_not_where():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(1, 6, 5, 3))
    flat = values.reshape(30, 3)
    moved = draw.permutation(flat, axis=0).reshape(values.shape)
    levels = np.sort(flat, 0).reshape(10, 3, 3).mean(1).T.ravel()
    match = DistributionMatch("conv", tuple(levels.tolist()), (1.0, 2.0, 0.5))
    np.testing.assert_allclose(score(match, np.concatenate([values, moved])), 0, atol=1e-6)
    assert score(match, 0 * values) == pytest.approx(-1)


def test_levels_and_relevance_of_references_are_numpys():
    model = small_net()
    conv = models.at_layer(model, "conv")
    values = np.asarray(conv(PIXELS))  # (3, 4, 5, 5)
    relevance = maps.Unit("scores", 2, pre_activation=True)
    total = maps.match_distribution(model, ["conv"], PIXELS, relevance=relevance, levels=5)
    (match,) = (term.objective for term in total.terms)
    sorted_values = np.sort(values.reshape(3, 20, 5), axis=1)
    expected = sorted_values.reshape(3, 5, 4, 5).mean((0, 2)).T
    np.testing.assert_allclose(np.reshape(match.levels, (5, 5)), expected, rtol=2e-3, atol=1e-3)

    kernel = model.get_layer("scores").get_weights()[0][:, 2].reshape(2, 2, 5)
    pooled_gradient = np.zeros_like(values)
    for n, row, column, unit in np.ndindex(3, 2, 2, 5):
        window = np.s_[n, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, unit]
        largest = np.unravel_index(values[window].argmax(), (2, 2))
        pooled_gradient[n, 2 * row + largest[0], 2 * column + largest[1], unit] = kernel[
            row, column, unit
        ]
    weights = np.abs((values * pooled_gradient).sum((1, 2))).mean(0)
    np.testing.assert_allclose(match.weights, weights, rtol=2e-3)


def test_a_map_comes_to_match_its_references():
    model = small_net()
    match = maps.match_distribution(model, ["conv"], PIXELS)
    options = {"transforms": (), "steps": 40, "wake_steps": 0, "progress": False}
    made = maps.maximize(model, match, parametrization=maps.BoundedPixels(), **options)
    assert made["activation_raw"].item() > made["activation_seed"].item() / 2
    assert made["activation_raw"].item() > -0.2


def test_staying_by_hand():
    stay = Stay("conv", activations=(1.0, 2.0, 0.0, 1.0))
    values = np.array([[[[1.0, 2], [0, 1]]], [[[1, 0], [0, 3]]], [[[0, 0], [0, 0]]]])
    np.testing.assert_allclose(score(stay, values), [0, -8 / 6, -1])


@pytest.mark.filterwarnings("ignore:.*not raised")
def test_staying_near_keeps_a_map_at_its_image():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="tanh", name="conv")(layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, layers.GlobalAveragePooling2D(name="mean")(x))
    image = np.random.default_rng(0).uniform(60, 200, (8, 8, 1)).astype("float32")
    stay = maps.stay_near(model, "conv", image)
    options = {"parametrization": maps.BoundedPixels(), "transforms": (), "steps": 30}
    options |= {"wake_steps": 0, "seed_input": image, "progress": False}
    free, near = (
        maps.maximize(model, maps.Unit("mean", 0) + weight * stay, **options)
        for weight in (0.0, 100.0)
    )
    moved = [np.abs(made["raw"].values.squeeze() - image[..., 0]).mean() for made in (free, near)]
    assert moved[1] < moved[0] / 4
    read = maps.maximize(model, stay, **options | {"steps": 1})
    assert read["activation_seed"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DistributionMatch("conv", (1.0, 2.0, 3.0), (1.0, 1.0)), "levels of Distribution"),
        (lambda: maximized(DistributionMatch("conv", (1.0, 2.0), (1.0, 1.0))), "weights of .* 5"),
        (lambda: maximized(Stay("conv", (1.0, 2.0))), "activations of Stay must be 100"),
    ],
)
def test_numbers_that_do_not_fit_the_layer_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def maximized(objective):
    return maps.maximize(small_net(), objective, steps=1, progress=False)
