"""Models of the kinds people bring: what is listed and cut is what the model computes."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from tiny import state

from helpers import models
from helpers.models import Tap


def images(*shape, count=2):
    return np.random.default_rng(1).uniform(0, 255, (count, *shape)).astype("float32")


def names(model):
    return [info.name for info in models.layers(model)]


def read(model, *taps, x, **options):
    """Outputs of taps on pixels; the model is left as it was."""
    before = state(model)
    cut = models.cut_at(
        model, [tap if isinstance(tap, Tap) else Tap(tap) for tap in taps], **options
    )
    outputs = keras.tree.flatten(cut(x))
    assert state(model) == before
    assert cut.input_shape[1:] == x.shape[1:]
    assert all(output.dtype == tf.float32 for output in outputs)
    return [np.asarray(output) for output in outputs]


def stem(name="conv", filters=4, **options):
    return layers.Conv2D(filters, 3, name=name, bias_initializer="random_normal", **options)


# --- nested models


def transfer():
    """Outer front, base with a nest inside, head."""
    block = keras.Sequential([keras.Input((None, None, 4)), stem(activation="relu")], name="block")
    i = keras.Input((None, None, 3))
    base = keras.Model(i, block(stem("entry")(i)), name="base")
    head = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation="softmax", name="class")], name="head"
    )
    pixels = keras.Input((12, 12, 3))
    x = layers.Rescaling(1 / 255)(layers.RandomFlip()(pixels))
    x = layers.GlobalAveragePooling2D(name="mean")(base(x, training=False))
    return keras.Model(pixels, head(layers.Dropout(0.5)(x)))


def test_layers_of_nested_models_are_listed_and_cut_by_path():
    model, x = transfer(), images(12, 12, 3)
    assert names(model) == ["base/entry", "base/block/conv", "mean", "head/class"]
    entry, conv, klass = read(model, "base/entry", "base/block/conv", "head/class", x=x)
    base = model.get_layer("base")
    np.testing.assert_allclose(entry, base.get_layer("entry")(x / 255), atol=1e-5)
    np.testing.assert_allclose(conv, base(x / 255), atol=1e-5)
    np.testing.assert_allclose(klass, model.predict(x, verbose=0), atol=1e-6)
    (logits,) = read(model, Tap("head/class", pre_activation=True), x=x)
    np.testing.assert_allclose(ops.softmax(logits), klass, atol=1e-6)
    assert models.unit_count(model, "base/block/conv") == 4
    assert models.check_units(model, "head/class", [2]) == (2,)


def test_a_layer_is_found_by_path_index_bare_name_and_nest():
    model = transfer()
    for layer in ("base/block/conv", "conv", "base", "base/block", 3):
        assert models.find_layer(model, layer).name == "base/block/conv"
    assert models.find_layer(model, -1).name == "head/class"
    assert [info.index for info in models.layers(model)] == [3, 3, 4, 6]
    assert models.keras_layer(model, "base/entry") is model.get_layer("base").get_layer("entry")
    with pytest.raises(ValueError, match="one of .*base/entry.*got 'entri'"):
        models.find_layer(model, "entri")


def test_a_name_in_two_nests_must_be_said_in_full():
    left, right = (
        keras.Sequential([keras.Input((8, 8, 3)), stem()], name=name) for name in ("left", "right")
    )
    i = keras.Input((8, 8, 3))
    model = keras.Model(i, layers.Add(name="both")([left(i), right(i)]))
    with pytest.raises(ValueError, match="one of .*left/conv.*right/conv.*say which"):
        models.find_layer(model, "conv")


def test_each_call_of_a_layer_has_a_name():
    shared = layers.Conv2D(3, 3, padding="same", name="conv")
    nest = keras.Sequential([keras.Input((8, 8, 3)), stem("in", 3, padding="same")], name="nest")
    i = keras.Input((8, 8, 3))
    model = keras.Model(i, nest(shared(nest(shared(i)))))
    assert names(model) == ["conv", "nest/in", "conv#2", "nest#2/in"]
    x = images(8, 8, 3)
    first, second, last = read(model, "conv", "conv#2", "nest#2/in", x=x, preprocessing="0..1")
    np.testing.assert_allclose(first, shared(x / 255), atol=1e-5)
    np.testing.assert_allclose(second, shared(nest(shared(x / 255))), atol=1e-5)
    np.testing.assert_allclose(last, model(x / 255), atol=1e-5)


class Wrapped(layers.Layer):
    """A user's own layer around a base."""

    def __init__(self, base, **options):
        super().__init__(**options)
        self.base = base

    def call(self, x, training=None):
        return ops.relu(self.base(x * 2, training=training) - 0.1)


def test_a_layer_around_a_base_is_followed():
    base = keras.Sequential([keras.Input((8, 8, 3)), stem()], name="base")
    i = keras.Input((8, 8, 3))
    model = keras.Model(i, Wrapped(base, name="wrapped")(i))
    x = images(8, 8, 3)
    assert "wrapped/base/conv" in names(model)
    conv, end = read(model, "wrapped/base/conv", "wrapped", x=x, preprocessing="0..1")
    np.testing.assert_allclose(conv, base(x / 255 * 2), atol=1e-5)
    np.testing.assert_allclose(end, model(x / 255), atol=1e-5)


def test_a_layer_that_cannot_be_followed_runs_as_it_is():
    class Opaque(Wrapped):
        def call(self, x):
            return tf.nn.relu(self.base(tf.stop_gradient(x) * 0 + x))

    base = keras.Sequential([keras.Input((8, 8, 3)), stem()])
    i = keras.Input((8, 8, 3))
    model = keras.Model(i, Opaque(base, name="opaque")(i))
    assert names(model) == ["opaque"]
    (end,) = read(model, "opaque", x=images(8, 8, 3), preprocessing="0..1")
    np.testing.assert_allclose(end, model(images(8, 8, 3) / 255), atol=1e-5)


# --- inputs, outputs, sizes


def test_a_model_without_a_size_runs_at_any():
    i = keras.Input((None, None, 3))
    model = keras.Model(i, stem()(layers.Rescaling(1 / 255)(i)))
    with pytest.raises(ValueError, match="size must be given"):
        models.cut_at(model, [Tap("conv")])
    assert models.image_shape(model, 20) == (20, 20, 3)
    x = images(20, 16, 3)
    (conv,) = read(model, "conv", x=x, size=(20, 16))
    np.testing.assert_allclose(conv, model(x), atol=1e-5)


def test_the_convolutions_of_a_fixed_size_run_at_another():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), stem(), layers.Flatten(),
         layers.Dense(2, name="out")]
    )  # fmt: skip
    x = images(20, 20, 3)
    (conv,) = read(model, "conv", x=x, size=20)
    np.testing.assert_allclose(conv, model.get_layer("conv")(x / 255), atol=1e-5)
    with pytest.raises(
        ValueError, match=r"'out' cannot be computed at size \(20, 20, 3\)"
    ) as caught:
        models.cut_at(model, [Tap("out")], size=20)
    assert len(str(caught.value)) <= 300


def test_a_reshape_that_tears_an_image_apart_is_refused():
    i = keras.Input((8, 8, 3))
    tokens = ops.reshape(stem(strides=2)(i), (-1, 9, 4))
    model = keras.Model(i, layers.Dense(2, name="out")(tokens))
    with pytest.raises(ValueError, match="several examples"):
        models.cut_at(model, [Tap("out")], size=14, preprocessing="0..1")


def test_outputs_are_read_by_their_layers():
    i = keras.Input((8, 8, 3))
    mean = layers.GlobalAveragePooling2D()(stem()(layers.Rescaling(1 / 255)(i)))
    outputs = {name: layers.Dense(n, name=name)(mean) for name, n in (("age", 1), ("kind", 3))}
    model, x = keras.Model(i, outputs), images(8, 8, 3)
    assert models.load_model(model) is model
    age, kind = read(model, "age", "kind", x=x)
    expected = model(x)
    np.testing.assert_allclose(age, expected["age"], atol=1e-5)
    np.testing.assert_allclose(kind, expected["kind"], atol=1e-5)


def with_numbers():
    i, n = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="numbers")
    mean = layers.GlobalAveragePooling2D()(stem()(layers.Rescaling(1 / 255)(i)))
    both = layers.Concatenate()([mean, layers.Dense(4, name="of_numbers")(n)])
    return keras.Model([i, n], layers.Dense(2, name="out")(both))


def test_other_inputs_are_held():
    model, x = with_numbers(), images(8, 8, 3)
    numbers = np.array([1.0, -2, 3, 0.5], "float32")
    for held, value in ((None, 0 * numbers), ({"numbers": numbers}, numbers)):
        conv, out = read(model, "conv", "out", x=x, held=held)
        np.testing.assert_allclose(out, model([x, np.stack([value] * 2)]), atol=1e-5)
    with pytest.raises(ValueError, match="'of_numbers' must follow from the image"):
        models.cut_at(model, [Tap("of_numbers")])
    with pytest.raises(ValueError, match="held must be values of .*numbers.*got 'number'"):
        models.cut_at(model, [Tap("out")], held={"number": 1})
    with pytest.raises(ValueError, match=r"held\['numbers'\] must be \(4,\), got \(3,\)"):
        models.cut_at(model, [Tap("out")], held={"numbers": [1, 2, 3]})


def test_of_two_images_the_one_that_is_not_held_is_it():
    a, b = keras.Input((8, 8, 3), name="a"), keras.Input((8, 8, 3), name="b")
    model = keras.Model([a, b], layers.Subtract(name="difference")([a, b]))
    with pytest.raises(ValueError, match="held must name all inputs but the image.*'b': 0"):
        models.cut_at(model, [Tap("difference")], preprocessing="0..255")
    x = images(8, 8, 3)
    (difference,) = read(model, "difference", x=x, preprocessing="0..255", held={"b": 5})
    np.testing.assert_allclose(difference, x - 5)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
def test_any_number_of_channels(count):
    model = keras.Sequential([keras.Input((8, 8, count)), layers.Rescaling(1 / 255), stem()])
    x = images(8, 8, count)
    assert models.image_shape(model) == (8, 8, count)
    np.testing.assert_allclose(read(model, "conv", x=x)[0], model(x), atol=1e-5)


def test_an_input_without_channels_is_a_gray_image():
    model = keras.Sequential(
        [keras.Input((28, 20)), layers.Rescaling(1 / 255), layers.Flatten(),
         layers.Dense(3, name="out")]
    )  # fmt: skip
    x = images(28, 20, 1)
    assert models.resolve_preprocessing(model) == "0..255"
    np.testing.assert_allclose(read(model, "out", x=x)[0], model(x[..., 0]), atol=1e-4)


def test_a_flat_vector_is_an_image_once_its_size_is_said():
    model = keras.Sequential([keras.Input((60,)), layers.Dense(3, name="out")])
    assert models.load_model(model) is model
    with pytest.raises(ValueError, match="size must be given.*flat vector of 60"):
        models.cut_at(model, [Tap("out")], preprocessing="0..1")
    with pytest.raises(ValueError, match=r"size must be \(height, width\).*got \(7, 7\)"):
        models.cut_at(model, [Tap("out")], preprocessing="0..1", size=(7, 7))
    assert models.image_shape(model, (4, 5)) == (4, 5, 3)
    x = images(6, 10, 1)
    (out,) = read(model, "out", x=x, preprocessing="0..1", size=(6, 10))
    np.testing.assert_allclose(out, model(x.reshape(2, 60) / 255), atol=1e-4)


def test_signals_and_volumes_keep_their_axes():
    signal = keras.Sequential([keras.Input((30, 2)), layers.Conv1D(4, 5, name="conv")])
    x = images(30, 2)
    (conv,) = read(signal, "conv", x=x, preprocessing=(-2, 2))
    np.testing.assert_allclose(conv, signal(x / 255 * 4 - 2), atol=1e-5)
    volume = keras.Sequential([keras.Input((6, 7, 8, 1)), layers.Conv3D(4, 3, name="conv")])
    x = images(6, 7, 8, 1)
    (conv,) = read(volume, "conv", x=x, preprocessing="0..1")
    np.testing.assert_allclose(conv, volume(x / 255), atol=1e-5)
    assert models.layers(volume)[0].output_shape == (4, 5, 6, 4)


def test_tokens_have_units_on_the_last_axis():
    i = keras.Input((8, 8, 3))
    x = layers.Reshape((16, 8))(
        layers.Conv2D(8, 2, 2, name="patches")(layers.Rescaling(1 / 255)(i))
    )
    x = layers.Add(name="attended")([x, layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    model = keras.Model(i, layers.Dense(6, "gelu", name="mlp")(x))
    assert [(info.name, info.output_shape) for info in models.layers(model)] == [
        ("patches", (4, 4, 8)), ("attention", (16, 8)), ("attended", (16, 8)), ("mlp", (16, 6)),
    ]  # fmt: skip
    pixels = images(8, 8, 3)
    (mlp,) = read(model, "mlp", x=pixels)
    np.testing.assert_allclose(mlp, model(pixels), atol=1e-5)


def test_channels_first_inputs_and_layers_are_refused():
    first, four = (
        keras.Sequential([keras.Input(shape), layers.Permute((2, 3, 1)), stem()])
        for shape in ((3, 8, 9), (4, 8, 8))
    )
    for model in (first, four):
        with pytest.raises(ValueError, match=r"channels last.*Permute\(\(3, 1, 2\)\)"):
            models.load_model(model)
        with pytest.raises(ValueError, match=r"channels last.*Permute\(\(3, 1, 2\)\)"):
            models.cut_at(model, [Tap("conv")], preprocessing="0..1")
    handled = keras.Sequential([keras.Input((8, 9, 3)), layers.Permute((3, 1, 2)), first])
    x = images(8, 9, 3)
    path = names(models.load_model(handled))[0]
    (conv,) = read(handled, path, x=x, preprocessing="0..1")
    np.testing.assert_allclose(conv, first.get_layer("conv")(x / 255), atol=1e-5)


# --- dtypes


POLICIES = ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"]


def of_policy(policy):
    keras.utils.set_random_seed(0)
    i = keras.Input((8, 8, 3))
    x = stem(activation="relu", dtype=policy)(layers.Rescaling(1 / 255, dtype=policy)(i))
    x = layers.ReLU(name="relu", dtype=policy)(
        layers.BatchNormalization(name="norm", dtype=policy)(x)
    )
    x = layers.TimeDistributed(layers.Conv1D(4, 3, dtype=policy), name="rows", dtype=policy)(x)
    x = ops.cast(x, "float16") if "16" in policy else x
    x = layers.Reshape((-1, 4), dtype=policy)(x)
    x = layers.MultiHeadAttention(2, 2, name="attention", dtype=policy)(x, x)
    x = layers.GlobalAveragePooling1D(name="mean", dtype=policy)(x)
    return keras.Model(i, layers.Dense(3, activation="softmax", name="out", dtype=policy)(x))


@pytest.mark.parametrize("is_global", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
def test_every_dtype_policy_is_computed_in_float32_at_least(policy, is_global):
    """A processor without AVX-512 has no convolution in bfloat16: the process would die of it."""
    exact, model, x = of_policy("float32"), of_policy(policy), images(8, 8, 3)
    exact.set_weights([ops.cast(weight, "float32") for weight in model.weights])
    policies = [layer.dtype_policy for layer in model._flatten_layers()]
    taps = [Tap(name, pre) for name in names(model) for pre in (False, True)]
    usual = keras.config.dtype_policy()
    try:
        if is_global:
            keras.config.set_dtype_policy(policy)
        outputs = read(model, *taps, x=x)
        assert models.resolve_preprocessing(model) == "0..255"
        cut = models.with_quick_gradients(models.cut_at(model, [Tap("out", True)]))
        gradient = input_gradient(cut, x)
    finally:
        keras.config.set_dtype_policy(usual)
    assert [layer.dtype_policy for layer in model._flatten_layers()] == policies
    for output, wanted in zip(outputs, read(exact, *taps, x=x), strict=True):
        np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    wanted = input_gradient(models.cut_at(exact, [Tap("out", True)]), x)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def input_gradient(cut, x):
    @tf.function
    def gradient(pixels):
        return tf.gradients(cut(pixels)[:, 0], pixels)[0]

    return gradient(tf.constant(x)).numpy()


def test_whole_number_inputs_are_floats_before_the_cast():
    i = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(i, stem()(ops.cast(i, "float32") / 255))
    assert models.resolve_preprocessing(model) == "0..255"
    x = np.round(images(8, 8, 3))
    cut = models.cut_at(model, [Tap("conv")])
    np.testing.assert_allclose(cut(x), model(x.astype("uint8")), atol=1e-5)
    models.check_gradient(cut)


# --- what the model computes


class Gain(layers.Layer):
    def __init__(self, gain=1.0, **options):
        super().__init__(**options)
        self.gain = gain

    def call(self, x):
        return x * self.gain

    def get_config(self):
        """Forgets the gain, as people's own layers do."""
        return layers.Layer.get_config(self)


def test_the_model_itself_runs_not_a_copy_of_its_configuration():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), stem(), Gain(-50.0, name="gain"),
         layers.Conv2D(2, 3, activation="tanh", name="end")]
    )  # fmt: skip
    x = images(8, 8, 3)
    gain, end, raw = read(model, "gain", "end", Tap("end", pre_activation=True), x=x)
    np.testing.assert_allclose(gain, -50 * model.get_layer("conv")(x / 255), atol=1e-4)
    np.testing.assert_allclose(end, model(x), atol=1e-5)
    np.testing.assert_allclose(np.tanh(raw), end, atol=1e-5)
    with pytest.raises(ValueError, match="made again from its configuration") as caught:
        models.reinitialised(model, seed=0)
    assert len(str(caught.value)) <= 300


def relu(x):
    """Named like a built-in, and something else."""
    return ops.maximum(x, 0) * 10 + 7


class OwnConv(layers.Conv2D):
    """A subclass that does more than Conv2D, before its activation function."""

    def call(self, x):
        return self.activation(2 * self.convolution_op(x, self.kernel) + self.bias - 1)


class Gated(layers.Dense):
    """Its activation function is not the last thing that it does."""

    def call(self, x):
        return self.activation(ops.matmul(x, self.kernel)) + 1


@pytest.mark.parametrize(
    ("layer", "activation"),
    [
        (stem(activation=relu), lambda z: np.maximum(z, 0) * 10 + 7),
        (stem(activation=lambda x: ops.tanh(x) * 2), lambda z: np.tanh(z) * 2),
        (stem(activation=layers.LeakyReLU(0.5)), lambda z: np.where(z > 0, z, z / 2)),
        (OwnConv(4, 3, activation="relu", name="conv"), lambda z: np.maximum(z, 0)),
        (
            layers.SpectralNormalization(layers.Conv2D(4, 3, activation="relu"), name="conv"),
            lambda z: np.maximum(z, 0),
        ),
        (layers.SeparableConv2D(4, 3, activation="elu", name="conv"), lambda z: ops.elu(z)),
        (layers.Conv2DTranspose(4, 3, activation="tanh", name="conv"), np.tanh),
    ],
)
def test_the_pre_activation_is_what_the_activation_function_is_applied_to(layer, activation):
    i = keras.Input((8, 8, 3))
    model, x = keras.Model(i, layer(layers.Rescaling(1 / 255, -0.5)(i))), images(8, 8, 3)
    output, raw = read(model, "conv", Tap("conv", pre_activation=True), x=x)
    np.testing.assert_allclose(output, model(x), atol=1e-5)
    assert raw.min() < 0 < raw.max()
    np.testing.assert_allclose(activation(raw), output, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer", [layers.Activation(relu), layers.ReLU(), layers.PReLU(), layers.Softmax()]
)
def test_of_an_activation_layer_it_is_the_input(layer):
    i = keras.Input((8, 8, 3))
    model = keras.Model(i, layer(stem()(layers.Rescaling(1 / 255)(i))))
    raw, conv = read(model, Tap(layer.name, pre_activation=True), "conv", x=images(8, 8, 3))
    np.testing.assert_array_equal(raw, conv)


@pytest.mark.parametrize(
    "layer", [Gated(3, activation="relu", name="end"), layers.LSTM(3, name="end")]
)
def test_a_layer_without_a_pre_activation_says_so(layer):
    model = keras.Sequential([keras.Input((30, 2)), layers.Conv1D(4, 3)])
    model.add(layer)
    with pytest.raises(ValueError, match="'end'.*no pre-activation"):
        models.cut_at(model, [Tap("end", pre_activation=True)], preprocessing="0..1")


def test_random_layers_are_off_and_the_activation_is_that_of_predict():
    augment = keras.Sequential(
        [keras.Input((12, 12, 3)), layers.RandomFlip(), layers.RandomRotation(0.3)], name="augment"
    )
    i = keras.Input((12, 12, 3))
    x = layers.RandomContrast(0.5)(augment(i))
    x = layers.GaussianNoise(1.0)(stem()(layers.Rescaling(1 / 255)(x)))
    model = keras.Model(i, layers.Dropout(0.5)(layers.BatchNormalization(name="end")(x)))
    x = images(12, 12, 3)
    first, again = (read(model, "end", x=x)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, model.predict(x, verbose=0), atol=1e-5)


def test_random_layers_inside_of_a_users_own_layer_are_off():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.flip, self.drop, self.conv = layers.RandomFlip(), layers.Dropout(0.5), stem()

        def call(self, x):
            return self.drop(self.conv(tf.identity(self.flip(x))))

    i = keras.Input((12, 12, 3))
    model = keras.Model(i, Block()(layers.Rescaling(1 / 255)(i)))
    x = images(12, 12, 3, count=8)
    (block,) = read(model, "block", x=x)
    np.testing.assert_allclose(block, model.predict(x, verbose=0), atol=1e-5)


class Free(layers.Layer):
    """A user's own, whatever `training` says."""

    def __init__(self, function, name):
        super().__init__(name=name)
        self.function, self.norm = function, layers.BatchNormalization()

    def call(self, x):
        return self.function(self, x)


def test_own_layers_that_read_the_batch_are_refused_and_chance_is_named():
    def of(function):
        i = keras.Input((8, 8, 3))
        return keras.Model(i, Free(function, "own")(stem()(layers.Rescaling(1 / 255)(i))))

    batch = of(lambda own, x: own.norm(tf.identity(x), training=True))
    models.cut_at(batch, [Tap("conv")])
    with pytest.raises(ValueError, match=r"\['own'\].*other images of its batch") as caught:
        models.cut_at(batch, [Tap("own")])
    assert len(str(caught.value)) <= 300
    with pytest.warns(UserWarning, match=r"\['own'\] draw random numbers"):
        models.cut_at(of(lambda own, x: x + keras.random.normal(ops.shape(x))), [Tap("own")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models.cut_at(of(lambda own, x: own.norm(x) * 2), [Tap("own")])


def test_an_own_layer_that_ends_in_arithmetic_has_its_own_name_at_every_trace():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.dense = layers.Dense(4, name="dense")

        def call(self, x):
            return (ops.relu(self.dense(x)) - 0.5) * 2

    i = keras.Input((8, 8, 3))
    model, x = keras.Model(i, layers.ReLU()(Block()(layers.Rescaling(1 / 255)(i)))), images(8, 8, 3)
    for _ in range(2):
        assert names(model)[:2] == ["block/dense", "block"]
        assert models.find_layer(model, "block").name == "block"
    block, end = read(model, "block", model.layers[-1].name, x=x)
    np.testing.assert_array_equal(np.maximum(block, 0), end)


def test_statistics_of_a_batch_are_refused():
    i = keras.Input((8, 8, 3))
    model = keras.Model(i, layers.BatchNormalization(name="norm")(stem()(i), training=True))
    models.cut_at(model, [Tap("conv")], preprocessing="0..1")
    with pytest.raises(ValueError, match="'norm' is called with training=True"):
        models.cut_at(model, [Tap("norm")], preprocessing="0..1")


@pytest.mark.parametrize(
    "cut_off", [ops.round, lambda x: ops.cast(x, "int32"), lambda x: ops.argmax(x, -1)]
)
def test_a_model_without_a_gradient_says_so(cut_off):
    i = keras.Input((8, 8, 1))
    x = ops.cast(cut_off(stem()(layers.Rescaling(1 / 255)(i))), "float32")
    model = keras.Model(i, layers.Dense(2, name="out")(layers.Flatten()(x)))
    models.check_gradient(models.cut_at(model, [Tap("conv")]))
    with pytest.raises(ValueError, match="'out' has no gradient by the image"):
        models.check_gradient(models.cut_at(model, [Tap("out")]))


# --- subclassed models


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.conv, self.base = stem(), keras.Sequential([stem("inner")], name="base")
        self.drop, self.out = layers.Dropout(0.5), layers.Dense(2, name="out")

    def call(self, x, training=None):
        x = self.base(ops.relu(self.conv(x / 255)), training=training)
        return self.out(self.drop(ops.mean(x, axis=(1, 2)), training=training))


def test_a_subclassed_model_is_followed():
    model, x = Subclassed(), images(8, 8, 3)
    with pytest.raises(ValueError, match="call it once on an image"):
        models.load_model(model)
    expected = np.asarray(model(x))
    loaded = models.load_model(model)
    assert [name for name in names(loaded) if "mean" not in name] == ["conv", "base/inner", "out"]
    assert models.resolve_preprocessing(loaded) == "0..255"
    np.testing.assert_allclose(read(loaded, "out", x=x)[0], expected, atol=1e-5)
    model.out.bias.assign([5, 5])
    np.testing.assert_allclose(read(loaded, "out", x=x)[0], expected + 5, atol=1e-5)


def test_a_subclassed_model_that_cannot_be_followed_says_how():
    class Free(keras.Model):
        def call(self, x):
            return tf.nn.relu(x) if float(tf.reduce_sum(x)) > 0 else x

    model = Free()
    model(images(8, 8, 3))
    with pytest.raises(ValueError, match="subclassed.*keras.Model.*keras.Input") as caught:
        models.load_model(model)
    assert len(str(caught.value)) <= 300


# --- the rest


def test_messages_stay_short_on_large_models():
    stack = [layers.Conv2D(3, 1, name=f"a_rather_long_name_of_layer_{i}") for i in range(90)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *stack])
    with pytest.raises(ValueError, match="layer_77.*more") as caught:
        models.find_layer(model, "a_rather_long_name_of_layer_77_")
    assert len(str(caught.value)) <= 300


def test_receptive_fields_and_new_weights_of_nested_models():
    model = transfer()
    field = models.receptive_field(model, "base/block/conv")
    assert (field.size, field.stride, field.start) == ((5, 5), (1, 1), (0, 0))
    assert models.receptive_field(model, "head/class").size == (12, 12)
    one, same, other = (models.reinitialised(model, seed=seed) for seed in (0, 0, 1))
    x = images(12, 12, 3)
    kernels = [m.get_layer("base").get_layer("entry").kernel.numpy() for m in (one, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).max() > 0.01
    assert np.abs(kernels[0] - model.get_layer("base").get_layer("entry").kernel).max() > 0.01
    np.testing.assert_array_equal(one(x, training=False), same(x, training=False))


def test_the_digest_follows_what_is_inside_a_nested_model():
    model = transfer()
    digest = models.weight_digest(model)
    model.get_layer("base").get_layer("block").get_layer("conv").activation = keras.activations.elu
    assert models.weight_digest(model) != digest


def test_shortcuts_of_stride_2_survive_the_gradient():
    i = keras.Input((64, 64, 1))
    x = layers.ReLU()(layers.BatchNormalization()(stem("a", 8)(layers.Rescaling(1 / 255)(i))))
    short = layers.Conv2D(16, 1, strides=2, padding="same", name="shortcut")(x)
    x = layers.SeparableConv2D(16, 3, padding="same")(x)
    x = layers.Add(name="add")([layers.MaxPooling2D(3, 2, padding="same")(x), short])
    model = keras.Model(i, x)
    cut = models.cut_at(model, [Tap("add"), Tap("shortcut", True)])
    models.check_gradient(cut)
    models.check_gradient(models.with_quick_gradients(cut))
