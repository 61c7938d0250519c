import functools
import sys
import urllib.request
from urllib.error import URLError

import keras
import numpy as np
import pytest
from keras import layers
from tiny import PIXELS

from helpers import models, natural
from helpers.images import as_pixels

APPLICATIONS = sorted(set(models.ZOO) - {"EfficientNetLite0"})


@pytest.fixture(scope="module")
def lite0():
    return models.zoo("EfficientNetLite0")


@pytest.fixture
def no_connection(monkeypatch, tmp_path):
    """Keras downloads into an empty folder, and every connection is refused."""

    def refuse(*_, **__):
        raise URLError("no route")

    downloader = sys.modules[keras.utils.get_file.__module__]
    empty = functools.partial(keras.utils.get_file, cache_dir=tmp_path)
    monkeypatch.setattr(downloader, "get_file", empty)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def module_of(name):
    return sys.modules[getattr(keras.applications, name).__module__]


@pytest.mark.parametrize(
    ("photograph", "logits"),
    [
        ("chelsea", {285: 8.9876, 282: 8.8339, 281: 8.1657, 0: -0.8868, 130: 0.7009, 999: 2.0112}),
        ("coffee", {967: 10.9823, 968: 6.9526, 925: 6.1974, 0: 0.2833, 130: 1.2997, 999: 0.7435}),
    ],
)
def test_logits_of_the_offline_model_are_those_stored(lite0, photograph, logits):
    pixels = as_pixels(natural.photographs(224, [photograph]).images)
    computed = models.at_layer(lite0, "logits")(pixels.astype("float32"))[0]
    np.testing.assert_allclose(computed.numpy()[list(logits)], list(logits.values()), atol=1e-3)


def test_the_offline_model_knows_a_cat_and_a_coffee(lite0):
    pixels = as_pixels(natural.photographs(224, ["chelsea", "coffee"]).images)
    probabilities = np.asarray(lite0(pixels.astype("float32")))
    names = [models.class_names()[index] for index in probabilities.argmax(-1)]
    assert names == ["Egyptian cat", "espresso"]
    np.testing.assert_allclose(probabilities.max(-1), [0.38, 0.94], atol=0.01)


def test_logits_and_probabilities_are_layers_of_the_offline_model(lite0):
    pixels = PIXELS_224
    logits, before, probabilities = (
        np.asarray(cut(pixels))
        for cut in (
            models.at_layer(lite0, "logits"),
            models.at_layer(lite0, "predictions", pre_activation=True),
            lite0,
        )
    )
    np.testing.assert_array_equal(before, logits)
    exponentials = np.exp(logits - logits.max())
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(), rtol=1e-4)


def test_the_offline_model_has_the_layers_of_its_paper(lite0):
    """Every layer that EfficientNet-B0 also has, has its name there; parameters as published."""
    reference = {layer.name for layer in keras.applications.EfficientNetB0(weights=None).layers}
    ours = {layer.name for layer in lite0.layers}
    assert ours - reference - {"rescaling"} == {"pixels", "logits"}
    assert {name for name in reference if name.endswith("add")} <= ours
    assert lite0.count_params() == 4_694_024
    assert lite0.get_layer("block5c_add").output.shape == (None, 14, 14, 112)
    assert lite0.get_layer("top_activation").output.shape == (None, 7, 7, 1280)


def test_the_offline_model_can_have_random_weights_or_those_of_a_file(lite0, tmp_path):
    random = models.zoo("EfficientNetLite0", weights=None)
    assert models.weight_digest(random) != models.weight_digest(lite0)
    random.save_weights(tmp_path / "my.weights.h5")
    again = models.zoo("EfficientNetLite0", weights=tmp_path / "my.weights.h5")
    assert models.weight_digest(again) == models.weight_digest(random)


def test_the_zoo_has_every_model_of_keras_applications():
    assert sorted(n for n in dir(keras.applications) if n[0].isupper()) == APPLICATIONS


@pytest.mark.parametrize("name", APPLICATIONS)
def test_preprocessing_is_that_of_keras_applications(name):
    expected = module_of(name).preprocess_input(PIXELS.copy())
    front = models.input_front(models.ZOO[name].preprocessing)
    np.testing.assert_allclose(front(PIXELS), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", [n for n in APPLICATIONS if not n.startswith("MobileNetV3")])
def test_size_is_that_of_the_pretrained_weights(name):
    size = models.ZOO[name].size
    with pytest.raises(ValueError, match=rf"should be \({size}, {size}, 3\)"):
        getattr(keras.applications, name)(input_shape=(97, 97, 3))


def test_a_model_has_its_preprocessing_in_front_and_takes_pixels(tmp_path):
    published = keras.applications.MobileNet(weights=None, classifier_activation=None)
    published.get_layer("conv_preds").bias.assign(np.linspace(-2, 2, 1000))
    file = tmp_path / "mobilenet.h5"
    published.save(file)
    model = models.load_model(models.zoo("MobileNet", weights=file))
    expected = published(keras.applications.mobilenet.preprocess_input(PIXELS_224.copy()))
    logits = models.at_layer(model, "predictions", pre_activation=True)(PIXELS_224)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert models.resolve_preprocessing(model) == "0..255"
    assert isinstance(model.get_layer("conv1"), layers.Conv2D)


def test_a_caffe_model_takes_rgb_pixels():
    model = models.zoo("ResNet50", weights=None)
    published = keras.applications.ResNet50(weights=None)
    published.set_weights(model.get_weights())
    features, expected = (
        keras.Model(one.input, one.get_layer("conv2_block1_out").output)
        for one in (model, published)
    )
    assert isinstance(model.input, keras.KerasTensor)
    prepared = keras.applications.resnet50.preprocess_input(PIXELS_224.copy())
    np.testing.assert_allclose(features(PIXELS_224), expected(prepared), rtol=1e-3, atol=1e-3)


def test_layers_are_named_the_same_whatever_was_built_before():
    first, second = (models.zoo("MobileNetV3Small", weights=None) for _ in range(2))
    names = [layer.name for layer in second.layers]
    assert names == [layer.name for layer in first.layers]
    assert {"rescaling", "activation", "activation_1", "re_lu", "re_lu_1"} <= set(names)


@pytest.mark.parametrize(
    ("name", "near"),
    [("vgg16", "VGG16, "), ("efficientnetlite", "EfficientNetLite0"), ("what" * 99, "ResNet50")],
)
def test_an_unknown_name_says_in_short_what_is_near(name, near):
    with pytest.raises(
        ValueError, match=f"models.ZOO, such as .*{near}.* got '{name[:9]}"
    ) as error:
        models.zoo(name)
    assert len(str(error.value)) <= 300


def test_without_a_connection_one_error_says_what_was_tried_and_the_way_out(no_connection):
    wanted = r"(?s)weights of MobileNet .*mobilenet_1_0_224_tf.h5.*no route.*weights=None.*Lite0"
    with pytest.raises(ConnectionError, match=wanted) as raised:
        models.zoo("MobileNet")
    assert len(str(raised.value)) <= 300


def test_another_error_than_that_of_the_download_is_not_hidden(tmp_path):
    with pytest.raises(ValueError, match="weights"):
        models.zoo("MobileNet", weights=tmp_path / "nowhere.h5")


PIXELS_224 = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype("float32")
