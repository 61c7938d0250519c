"""Models: loading, layers and units; numbers against NumPy."""

import json

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from tiny import PIXELS, conv_by_numpy, small_net

from helpers import models
from helpers.models import cutting

RNG = np.random.default_rng(0)


# --- loading


def test_a_model_in_memory_is_returned_as_is():
    model = small_net()
    assert models.load_model(model) is model


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_saved_model_comes_back(tmp_path, suffix):
    model = small_net()
    model.save(tmp_path / f"net{suffix}")
    loaded = models.load_model(tmp_path / f"net{suffix}")
    np.testing.assert_array_equal(loaded(PIXELS), model(PIXELS))
    assert models.weight_digest(loaded) == models.weight_digest(model)


INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
}
KERAS_2_CONV = {
    "name": "conv2d_1", "trainable": True, "batch_input_shape": [None, 6, 7, 3],
    "dtype": "float32", "filters": 5, "kernel_size": [3, 3], "strides": [1, 1],
    "padding": "valid", "data_format": "channels_last", "dilation_rate": [1, 1],
    "activation": "relu", "use_bias": True, "kernel_initializer": INITIALIZER,
    "bias_initializer": {"class_name": "Zeros", "config": {}}, "kernel_regularizer": None,
    "bias_regularizer": None, "activity_regularizer": None, "kernel_constraint": None,
    "bias_constraint": None,
}  # fmt: skip
KERAS_2_INPUT = {
    "class_name": "InputLayer",
    "name": "input_1",
    "inbound_nodes": [],
    "config": {
        "batch_input_shape": [None, 6, 7, 3],
        "dtype": "float32",
        "sparse": False,
        "name": "input_1",
    },
}
CONV = {"class_name": "Conv2D", "config": KERAS_2_CONV}
CALLED = CONV | {"name": "conv2d_1", "inbound_nodes": [[["input_1", 0, 0, {}]]]}
ENDS = {"input_layers": [["input_1", 0, 0]], "output_layers": [["conv2d_1", 0, 0]]}
KERAS_2_MODELS = {
    "Sequential of 2.2.2": {"class_name": "Sequential", "config": [CONV]},
    "Sequential of 2.2.4": {"class_name": "Sequential", "config": {"name": "s", "layers": [CONV]}},
    "Sequential of 2.4": {
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [KERAS_2_INPUT, CONV]},
    },
    "Functional of 2.2": {
        "class_name": "Model",
        "config": {"name": "m", "layers": [KERAS_2_INPUT, CALLED], **ENDS},
    },
}


@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")
@pytest.mark.parametrize("version", KERAS_2_MODELS)
def test_a_legacy_keras_2_file_loads(tmp_path, version):
    conv = small_net().get_layer("conv")
    conv.bias.assign(RNG.normal(size=5))
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"2.2.4", b"tensorflow"
        file.attrs["model_config"] = json.dumps(KERAS_2_MODELS[version]).encode()
        weights = file.create_group("model_weights")
        weights.attrs["keras_version"], weights.attrs["backend"] = b"2.2.4", b"tensorflow"
        weights.attrs["layer_names"] = [b"conv2d_1"]
        group = weights.create_group("conv2d_1")
        group.attrs["weight_names"] = [b"conv2d_1/kernel:0", b"conv2d_1/bias:0"]
        group["conv2d_1/kernel:0"], group["conv2d_1/bias:0"] = conv.get_weights()
    loaded = models.load_model(tmp_path / "old.h5")
    expected = np.maximum(conv_by_numpy(PIXELS * 255, conv), 0)
    np.testing.assert_allclose(loaded(PIXELS), expected, rtol=1e-4, atol=1e-3)
    assert [one.name for one in models.layers(loaded)] == ["conv2d_1"]


def test_a_file_that_would_run_code_is_refused(tmp_path):
    pixels = keras.Input((6, 7, 3))
    model = keras.Model(pixels, layers.Lambda(lambda x: x * 2)(pixels))
    model.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="cannot be read.*[Ll]ambda.*trusted=True"):
        models.load_model(tmp_path / "code.keras")


def test_files_that_are_none_are_named(tmp_path):
    with pytest.raises(ValueError, match="exists, got .*none.keras"):
        models.load_model(tmp_path / "none.keras")
    with pytest.raises(ValueError, match=r"\.keras.*\.h5.*got .*net.pb"):
        models.load_model(tmp_path / "net.pb")
    (tmp_path / "bad.keras").write_text("no zip")
    with pytest.raises(ValueError, match="bad.keras cannot be read"):
        models.load_model(tmp_path / "bad.keras")


def of_shape(*shape):
    a = keras.Input(shape)
    return keras.Model(a, layers.Dense(2)(a))


def channels_first():
    a = keras.Input((3, 6, 7))
    return keras.Model(a, layers.Conv2D(2, 3, data_format="channels_first", name="first")(a))


def with_weight(value):
    model = small_net()
    kernel = model.get_layer("conv").kernel
    values = kernel.numpy()
    values[0, 1, 2, 3] = value
    kernel.assign(values)
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.Sequential([layers.Dense(2)]), "built Functional or Sequential"),
        (lambda: of_shape(2, 2, 2, 2, 2), r"images \(H, W, C\).*\(2, 2, 2, 2, 2\)"),
        (lambda: 3, "a Keras model or a file.*got int"),
        (channels_first, "channels_first in 'first'"),
        (lambda: with_weight(np.nan), "finite weights.*conv/kernel"),
        (lambda: with_weight(-np.inf), "finite weights.*conv/kernel"),
    ],
)
def test_models_that_cannot_be_visualised_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        models.load_model(make())


def test_the_digest_follows_names_weights_and_activations():
    model = small_net()
    digest = models.weight_digest(model)
    assert len(digest) == 64
    assert models.weight_digest(small_net()) != digest
    bias = model.get_layer("scores").bias
    bias.assign([0, 0, 0, 1e-7])
    assert models.weight_digest(model) != digest
    bias.assign([0, 0, 0, 0])
    assert models.weight_digest(model) == digest
    assert models.weight_digest(cutting.at_layer(model, "scores", pre_activation=True)) != digest


# --- layers and units


@pytest.mark.parametrize("sequential", [False, True])
def test_visualisable_layers_are_those_with_units(sequential):
    model = small_net(own_softmax=True, sequential=sequential)
    found = models.layers(model)
    assert [(one.name, one.kind, one.units, one.output_shape) for one in found] == [
        ("conv", "Conv2D", 5, (4, 5, 5)),
        ("pool", "MaxPooling2D", 5, (2, 2, 5)),
        ("scores", "Dense", 4, (4,)),
        ("softmax", "Activation", 4, (4,)),
    ]
    assert all(model.layers[one.index].name == one.name for one in found)


def test_layers_that_hand_units_on_are_left_out():
    x = pixels = keras.Input((8, 8, 3))
    for layer in [
        layers.Normalization(mean=0.0, variance=1.0),
        layers.RandomFlip(),
        layers.ZeroPadding2D(),
        layers.GaussianNoise(0.1),
        layers.SpatialDropout2D(0.1),
        layers.UpSampling2D(),
        layers.Identity(),
        layers.Conv2D(2, 3, name="conv"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
        layers.GlobalAveragePooling2D(name="average"),
        layers.Reshape((1, 1, 2)),
    ]:
        x = layer(x)
    names = [one.name for one in models.layers(keras.Model(pixels, x))]
    assert names == ["conv", "norm", "relu", "average"]


def test_layers_are_found_by_name_and_index():
    model = small_net()
    assert models.find_layer(model, "conv").name == "conv"
    assert models.find_layer(model, 2).name == "conv"
    assert models.find_layer(model, np.int64(-1)).name == "scores"
    assert models.unit_count(model, "conv") == 5


@pytest.mark.parametrize("layer", ["conv2d", 7, -8, None, 1.0, True])
def test_an_unknown_layer_gives_the_legal_ones(layer):
    with pytest.raises(ValueError, match=r"-7 to 6 or one of \['conv', 'pool', 'scores'\], got"):
        models.find_layer(small_net(), layer)


@pytest.mark.parametrize("layer", ["flatten", "dropout", "rescaling", 0])
def test_a_layer_without_units_gives_those_that_have_some(layer):
    for call in (models.unit_count, models.check_units, cutting.at_layer):
        with pytest.raises(ValueError, match=r"have units.*\['conv', 'pool', 'scores'\], got"):
            call(small_net(), layer)


def test_units_are_checked():
    model = small_net()
    assert models.check_units(model, "scores") == (0, 1, 2, 3)
    assert models.check_units(model, "conv", 4) == (4,)
    assert models.check_units(model, "conv", np.array([3, 0])) == (3, 0)
    for bad in (5, -1, [0, 9], 1.0, True, "0"):
        with pytest.raises(ValueError, match="units of conv must be integers 0 to 4, got"):
            models.check_units(model, "conv", bad)
