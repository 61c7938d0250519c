"""The loop over steps, and what runs where TensorFlow sees a GPU, on the CPU: one XLA program."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from helpers import maps
from helpers.maps.programs import STEPS_PER_CALL, compiled, repeated
from helpers.maps.transforms import apply, draw

SHAPE = (12, 14, 3)
STEPS = 4


def small_net():
    keras.utils.set_random_seed(0)
    x = pixels = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.Conv2D(8, 3, use_bias=False, name="conv")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Conv2D(4, 3, activation="relu", bias_initializer="ones", name="second")(x)
    x = layers.Flatten()(x)
    return keras.Model(pixels, layers.Dense(3, activation="softmax", name="out")(x))


@pytest.fixture
def on_both(monkeypatch):
    """What a function of a fresh model gives without a GPU, and where there seems to be one."""

    def run(function):
        usual = function(small_net())
        devices = tf.config.list_logical_devices
        seen = lambda kind=None: devices("CPU") if kind == "GPU" else devices(kind)  # noqa: E731
        compiled, jit = tf.function, []
        with monkeypatch.context() as patched:
            patched.setattr(tf.config, "list_logical_devices", seen)
            patched.setattr(
                tf,
                "function",
                lambda *a, **o: jit.append(o.get("jit_compile")) or compiled(*a, **o),
            )
            program = function(small_net())
        assert True in jit
        return usual, program

    return run


def check(usual, program, atol=0.02):
    np.testing.assert_allclose(program["raw"], usual["raw"], atol=atol)
    np.testing.assert_allclose(program["loss"], usual["loss"], rtol=1e-3, atol=1e-5)
    assert float(usual["loss"].diff("step").max()) != 0


@pytest.mark.parametrize("layer", ["second", "out"])
def test_keras_viss_loop(layer, on_both):
    options = {"steps": STEPS, "engine": "batched", "tv_weights": [1e-2], "progress": False}
    check(*on_both(lambda model: maps.happy_maps(model, layer=layer, units=[0, 2], **options)))


@pytest.mark.parametrize(
    ("parametrization", "wake_steps"), [(maps.FourierImage(), STEPS), (maps.BoundedPixels(), 0)]
)
def test_the_loop_of_any_recipe(parametrization, wake_steps, on_both):
    check(
        *on_both(
            lambda model: maps.maximize(
                model,
                [maps.Unit("second", 1), maps.Unit("second", 3)],
                parametrization=parametrization,
                transforms=(maps.Blur(0.8), *maps.ROBUST),
                regularizers=(maps.TotalVariation(1e-3),),
                steps=STEPS,
                wake_steps=wake_steps,
                progress=False,
            )
        )
    )


def test_noise_is_the_same_numbers_as_one_program():
    noise = (maps.GaussianNoise(8.0),)
    draws = tf.constant(np.stack([draw(noise, seed, 1)[0] for seed in range(3)]))
    images = tf.fill([3, *SHAPE], 127.5)
    as_program = tf.function(lambda draws: apply(noise, images, draws), jit_compile=True)
    seeds = (draws.numpy()[:, 0] * 2.0**24).astype("int32")
    usual = [127.5 + 8 * tf.random.stateless_normal(SHAPE, (seed, 0)) for seed in seeds]
    for made in (as_program(draws), apply(noise, images, draws)):
        np.testing.assert_allclose(made, usual, atol=1e-3)


@pytest.mark.parametrize("count", [0, 3, STEPS_PER_CALL])
def test_steps_follow_each_other_and_their_parts_are_kept(count):
    def step(number, doubled):
        return 2 * doubled, tf.stack([doubled, tf.cast(number, tf.float32) + 0 * doubled])

    run = compiled(lambda state, count: repeated(step, state, count, (2, 2)))
    last, parts = run(tf.constant([1.0, 3.0]), tf.constant(count))
    np.testing.assert_array_equal(last, [2.0**count, 3 * 2.0**count])
    numbers = np.arange(count)
    expected = np.zeros((STEPS_PER_CALL, 2, 2))
    expected[:count, 0] = 2.0 ** numbers[:, None] * [1, 3]
    expected[:count, 1] = numbers[:, None]
    np.testing.assert_array_equal(parts, expected)
