"""Quick calls against TensorFlow's own: outputs and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tiny import state

from helpers import models
from helpers.models import machine_code, thin_convolution
from helpers.models.fast_layers import quick_call
from helpers.models.own_units import own_product
from helpers.models.relu_gradients import relu_gradient


def gradient(model, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = tf.reduce_sum(tf.sin(model(x)))
    return tape.gradient(score, x).numpy()


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel_size", [(3, 3), (2, 5), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_and_gradients_are_tensorflows(channels, kernel_size, padding):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((9, 8, channels))
    usual = layers.Conv2D(5, kernel_size, padding=padding, bias_initializer="ones", name="conv")
    model = keras.Model(pixels, usual(pixels))
    assert quick_call(usual) is not None
    thin = models.with_quick_gradients(model)
    x = np.random.default_rng(0).normal(size=(4, 9, 8, channels)).astype("float32")
    np.testing.assert_allclose(thin(x), model(x), atol=1e-6)
    np.testing.assert_allclose(gradient(thin, x), gradient(model, x), atol=1e-5)


@pytest.fixture
def in_one(monkeypatch):
    """For each convolution run by its own machine code from now on: is a pooling in it?"""
    seen, convolve = [], thin_convolution.convolve

    def recorded(*args, pool=False, **options):
        seen.append(pool)
        return convolve(*args, pool=pool, **options)

    monkeypatch.setattr(thin_convolution, "convolve", recorded)
    return seen


def conv(activation=None, **options):
    options = {"filters": 8, "kernel_size": 3, "bias_initializer": "ones"} | options
    return layers.Conv2D(**options, activation=activation, name="conv")


def chained(*chain, channels=3):
    keras.utils.set_random_seed(0)
    x = pixels = keras.Input((9, 8, channels))
    for layer in chain:
        x = layer(x)
    return keras.Model(pixels, x)


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def check_same(model):
    """Quick outputs and gradients are the model's own, and nothing of it is changed."""
    before = state(model)
    quick = models.with_quick_gradients(model)
    x = noise(4, *model.input_shape[1:])
    np.testing.assert_allclose(quick(x), model(x), atol=1e-5)
    np.testing.assert_allclose(gradient(quick, x), gradient(model, x), atol=1e-5)
    assert state(model) == before


PAIRS = {
    "relu": lambda: [conv("relu"), layers.MaxPooling2D()],
    "none": lambda: [conv(), layers.MaxPooling2D()],
    "no bias": lambda: [conv("relu", use_bias=False), layers.MaxPooling2D()],
    "same": lambda: [conv("relu", padding="same"), layers.MaxPooling2D()],
    "layer": lambda: [conv(), layers.ReLU(), layers.MaxPooling2D()],
    "activation": lambda: [conv(), layers.Activation("relu"), layers.MaxPooling2D()],
    "between": lambda: [layers.Rescaling(2), conv(), layers.MaxPooling2D(), layers.Conv2D(4, 3)],
}
APART = {
    "two": lambda: [conv(), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D()],
    "elu": lambda: [conv("elu"), layers.MaxPooling2D()],
    "relu6": lambda: [conv(), layers.ReLU(6), layers.MaxPooling2D()],
    "leaky": lambda: [conv(), layers.ReLU(negative_slope=0.1), layers.MaxPooling2D()],
    "pool of 3": lambda: [conv("relu"), layers.MaxPooling2D(3)],
    "norm": lambda: [conv(), layers.BatchNormalization(), layers.MaxPooling2D()],
    "strides": lambda: [conv("relu", strides=2), layers.MaxPooling2D()],
}


@pytest.mark.parametrize("activation", ["relu", "elu", None])
@pytest.mark.parametrize("strides", [1, (2, 3)])
@pytest.mark.parametrize("after", [[], [layers.ReLU()], [layers.Dropout(0.5)]])
def test_a_first_convolution_without_pooling(activation, strides, after, in_one):
    check_same(chained(conv(activation, strides=strides), *after))
    assert in_one == [False] * len(in_one) and in_one


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("chain", PAIRS.values(), ids=PAIRS)
def test_a_first_convolution_and_its_pooling_run_in_one(chain, channels, in_one):
    check_same(chained(*chain(), channels=channels))
    assert in_one and all(in_one)


@pytest.mark.parametrize("chain", APART.values(), ids=APART)
def test_another_convolution_and_pooling_run_apart(chain, in_one):
    check_same(chained(*chain()))
    assert not any(in_one)


@pytest.mark.parametrize("chain", PAIRS.values(), ids=PAIRS)
def test_layers_give_the_same_where_llvm_is_missing(chain, in_one, monkeypatch):
    monkeypatch.setattr(machine_code, "ir", None)
    check_same(chained(*chain()))
    assert not in_one


def test_what_others_read_between_convolution_and_pooling_is_there(in_one):
    first = conv("relu", padding="same")
    inner = chained(first, layers.MaxPooling2D())
    both = keras.Model(inner.inputs, [inner.output, first.output])
    x = noise(4, 9, 8, 3)
    for ours, own in zip(models.with_quick_gradients(both)([x]), both([x]), strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-5)
    twice = layers.Flatten()(layers.UpSampling2D()(inner.output))
    flat = layers.Flatten()(first.output)
    check_same(keras.Model(inner.inputs, layers.Concatenate()([twice, flat])))
    assert not any(in_one)


def test_an_open_size_is_left_to_tensorflow_until_it_is_known(in_one):
    pixels = keras.Input((None, None, 3))
    model = keras.Model(pixels, layers.MaxPooling2D()(conv("relu")(pixels)))
    quick = models.with_quick_gradients(model)
    x = noise(2, 9, 8, 3)
    still_open = tf.function(quick, input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_allclose(still_open(x), model(x), atol=1e-5)
    assert not in_one
    np.testing.assert_allclose(quick(x), model(x), atol=1e-5)
    assert in_one == [True]


@pytest.mark.parametrize(("kind", "bias"), [("guided", 1), ("rectified", 1), ("waking", -30)])
@pytest.mark.parametrize("after", [[], [layers.MaxPooling2D()]], ids=["alone", "pooled"])
def test_another_gradient_through_the_relu_reaches_it(kind, bias, after):
    first = conv("relu", bias_initializer=keras.initializers.Constant(bias))
    model = chained(first, *after)

    def by(kind, model):
        @tf.function
        def run(x):
            with relu_gradient(kind):
                return tf.gradients(-tf.reduce_sum(tf.sin(model(x))), x)[0]

        return run(tf.constant(noise(4, 9, 8, 3))).numpy()

    quick = by(kind, models.with_quick_gradients(model))
    np.testing.assert_allclose(quick, by(kind, model), atol=1e-5)
    assert np.abs(quick - by(None, model)).max() > 0.1


@pytest.mark.parametrize("pool_size", [(2, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize("pixels", ["noise", "flat"])
def test_pooling_hands_the_gradient_to_the_first_largest_as_tensorflow_does(pixels, pool_size):
    image = keras.Input((9, 8, 5))
    pool = layers.MaxPooling2D(pool_size, name="pool")
    model = keras.Model(image, pool(image))
    assert quick_call(pool) is not None
    quick = models.with_quick_gradients(model)
    x = np.random.default_rng(0).normal(size=(4, 9, 8, 5)).astype("float32")
    x = np.round(x) if pixels == "noise" else np.ones_like(x)  # whole numbers: many ties
    np.testing.assert_array_equal(quick(x), model(x))
    np.testing.assert_array_equal(gradient(quick, x), gradient(model, x))


NORMALIZED = {
    "conv": lambda: [conv(filters=6, kernel_size=1)],
    "no bias": lambda: [layers.Conv2D(6, 3, use_bias=False)],
    "same": lambda: [conv(strides=2, padding="same")],
    "dilated": lambda: [layers.Conv2D(6, 3, dilation_rate=2)],
    "groups": lambda: [layers.Conv2D(6, 3, groups=3)],
    "depthwise": lambda: [layers.DepthwiseConv2D(3, bias_initializer="ones")],
    "multiplied": lambda: [layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)],
    "depthwise strides": lambda: [layers.DepthwiseConv2D(3, strides=2, padding="same")],
    "depthwise dilated": lambda: [layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")],
    "wide depthwise": lambda: [layers.Conv2D(16, 1), layers.DepthwiseConv2D(5, padding="same")],
}


def normalization(**options):
    """With statistics, factors and terms that differ from channel to channel."""
    draws = iter([(0.5, 1.5), (-1, 1), (-1, 1), (0.5, 2)])
    return layers.BatchNormalization(
        **{
            name: keras.initializers.RandomUniform(*next(draws), seed=1)
            for name in (
                "gamma_initializer",
                "beta_initializer",
                "moving_mean_initializer",
                "moving_variance_initializer",
            )
        },
        **options,
    )


@pytest.fixture
def is_folded(monkeypatch):
    """For each batch normalization from now on: did it not run by itself?"""
    ran, call = [], layers.BatchNormalization.call

    def recorded(self, inputs, training=None, mask=None):
        ran.append(self)
        return call(self, inputs, training=training, mask=mask)

    monkeypatch.setattr(layers.BatchNormalization, "call", recorded)

    def ask(model, x):
        ran.clear()
        models.with_quick_gradients(model)(x)
        return not ran

    return ask


@pytest.mark.parametrize("chain", NORMALIZED.values(), ids=NORMALIZED)
def test_a_normalization_runs_in_one_with_its_convolution(chain, is_folded):
    model = chained(*chain(), normalization(), layers.ReLU(6))
    check_same(model)
    assert is_folded(model, noise(1, 9, 8, 3))


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}], ids=str)
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.DepthwiseConv2D])
def test_a_normalization_without_factor_or_term(kind, options, is_folded):
    first = layers.Conv2D(4, 3) if kind is layers.Conv2D else layers.DepthwiseConv2D(3)
    model = chained(first, normalization(**options))
    check_same(model)
    assert is_folded(model, noise(1, 9, 8, 3))


@pytest.mark.parametrize(
    "chain",
    [
        lambda: [conv(), normalization(axis=1)],
        lambda: [conv("relu"), normalization()],
        lambda: [layers.DepthwiseConv2D(3, activation="relu"), normalization()],
        lambda: [conv(), layers.ReLU(), normalization()],
    ],
    ids=["another axis", "activated", "depthwise activated", "after a ReLU"],
)
def test_another_normalization_runs_as_it_is(chain, is_folded):
    model = chained(*chain())
    check_same(model)
    assert not is_folded(model, noise(1, 9, 8, 3))


@pytest.mark.parametrize("kind", [layers.Conv2D, layers.DepthwiseConv2D])
def test_what_others_read_between_convolution_and_normalization_is_there(kind, is_folded):
    first = layers.Conv2D(4, 3) if kind is layers.Conv2D else layers.DepthwiseConv2D(3)
    inner = chained(first, normalization())
    both = keras.Model(inner.inputs, [inner.output, first.output])
    x = noise(4, 9, 8, 3)
    for ours, own in zip(models.with_quick_gradients(both)(x), both(x), strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-5)
    check_same(keras.Model(inner.inputs, layers.Concatenate()([inner.output, first.output])))
    assert not is_folded(both, x)


@pytest.mark.parametrize("kind", [layers.Conv2D, layers.DepthwiseConv2D])
def test_weights_changed_later_are_seen(kind):
    first = layers.Conv2D(4, 3) if kind is layers.Conv2D else layers.DepthwiseConv2D(3)
    norm = normalization()
    model = chained(first, norm)
    quick, x = tf.function(models.with_quick_gradients(model)), noise(4, 9, 8, 3)
    before = quick(x).numpy()
    for weight in (*first.weights, *norm.weights):
        weight.assign(weight * 1.5 + 0.25)
        np.testing.assert_allclose(quick(x), model(x), atol=1e-5)
        assert np.abs(quick(x).numpy() - before).max() > 1e-2
        before = quick(x).numpy()


class OwnConv(layers.Conv2D):
    def call(self, inputs):
        return 2 * super().call(inputs)


def replaced_call():
    conv = layers.Conv2D(2, 3)
    usual = conv.call
    conv.call = lambda x: usual(x) + 1
    return conv


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.MaxPooling2D(2, strides=1),
        lambda: layers.MaxPooling2D(2, padding="same"),
        lambda: layers.Conv2D(2, 3, strides=2),
        lambda: layers.Conv2D(2, 3, dilation_rate=2),
        lambda: layers.DepthwiseConv2D(3),
        lambda: OwnConv(2, 3),
        replaced_call,
    ],
)
def test_any_other_layer_runs_as_it_is(make):
    layer = make()
    pixels = keras.Input((9, 8, 3))
    model = keras.Model(pixels, layer(pixels))
    assert quick_call(layer) is None
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    np.testing.assert_array_equal(
        models.with_quick_gradients(model)(x), np.asarray(model(x), "float32")
    )


def test_own_activation_functions_regularizers_and_initializers_stay():
    def relu(x):
        return keras.ops.maximum(x, 0) * 10 + 7

    class Own(keras.regularizers.Regularizer):
        def __call__(self, weight):
            return 0.0

    pixels = keras.Input((9, 8, 3))
    conv = layers.Conv2D(
        4, 3, activation=relu, kernel_regularizer=Own(), bias_initializer=lambda s, dtype: s[0] * 0
        + keras.ops.ones(s, dtype)
    )  # fmt: skip
    model = keras.Model(pixels, conv(pixels))
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    quick = models.with_quick_gradients(model)
    np.testing.assert_allclose(quick(x), model(x), rtol=1e-5)
    assert float(np.min(quick(x))) == 7
    np.testing.assert_allclose(gradient(quick, x), gradient(model, x), atol=1e-3)


def test_a_model_inside_is_quick_too_and_nothing_is_changed():
    keras.utils.set_random_seed(0)
    x = inner_input = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, name="thin")(x)
    x = layers.Conv2D(4, 3, strides=2, name="strided")(x)
    inner = keras.Model(inner_input, layers.DepthwiseConv2D(3, padding="same")(x), name="inner")
    pixels = keras.Input((12, 12, 3))
    model = keras.Model(pixels, inner(layers.Rescaling(1 / 255)(pixels)))
    before = state(model)
    quick = models.with_quick_gradients(model)
    x = np.random.default_rng(1).uniform(0, 255, (2, 12, 12, 3)).astype("float32")
    np.testing.assert_allclose(quick(x), model(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient(quick, x), gradient(model, x), atol=1e-6)
    assert state(model) == before


def test_the_last_plain_layer_can_be_taken_off():
    model = keras.Sequential(
        [keras.Input((9, 8, 3)), layers.Conv2D(4, 3, name="a"), layers.Conv2D(5, 3, name="b")]
    )
    x = np.random.default_rng(1).uniform(0, 255, (2, 9, 8, 3)).astype("float32")
    cut = models.cut_at(model, [models.Tap("b")], preprocessing="0..1")
    body, last = models.before_last(cut)
    assert last is model.layers[-1]
    np.testing.assert_allclose(last(body(x)), cut(x), rtol=1e-5, atol=1e-6)
    two = models.cut_at(model, [models.Tap("a"), models.Tap("b")], preprocessing="0..1")
    assert models.before_last(two) is None


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("moves", [{}, {"strides": (2, 3)}, {"dilation_rate": (2, 3)}], ids=str)
@pytest.mark.parametrize("kernel_size", [(3, 3), (4, 5), (1, 1)])
def test_one_kernel_for_each_image_gives_its_channel_and_gradient(kernel_size, moves, padding):
    keras.utils.set_random_seed(0)
    layer = layers.Conv2D(4, kernel_size, padding=padding, use_bias=False, **moves)
    check_own_products(layer, noise(3, 13, 18, 6))


@pytest.mark.parametrize("shape", [(3, 6), (3, 5, 6)])
def test_one_column_for_each_example_gives_its_output_and_gradient(shape):
    keras.utils.set_random_seed(0)
    check_own_products(layers.Dense(4, use_bias=False), noise(*shape))


def check_own_products(layer, x):
    layer.build(x.shape)
    units = [2, 0, 2]
    kernels = tf.stack([layer.kernel[..., unit] for unit in units])

    def chosen(x):
        return tf.gather(layer(x), units, axis=-1, batch_dims=1)

    def own(x):
        return own_product(layer, x, kernels)

    np.testing.assert_allclose(own(tf.constant(x)), chosen(x), atol=1e-5)
    usual = tf.function(lambda x: tf.gradients(tf.reduce_sum(tf.sin(chosen(x))), x)[0])
    np.testing.assert_allclose(gradient(own, x), usual(tf.constant(x)), atol=1e-5)
