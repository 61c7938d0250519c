import keras
import numpy as np
import pytest
from keras import layers
from tiny import PIXELS, small_net, state

from helpers import models
from helpers.models.preprocessing import from_pixels, input_front, resolve_preprocessing


def bare_net(channels=3):
    pixels = keras.Input((6, 7, channels))
    return keras.Model(pixels, layers.Activation("linear")(pixels))


@pytest.mark.parametrize(
    ("preprocessing", "expected"),
    [
        ("0..255", PIXELS),
        ("0..1", PIXELS / 255),
        ("-1..1", PIXELS / 127.5 - 1),
        ("caffe", PIXELS[..., ::-1] - np.array([103.939, 116.779, 123.68])),
        ("torch", (PIXELS / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ((-3, 5), PIXELS / 255 * 8 - 3),
    ],
)
def test_pixels_become_what_the_net_expects(preprocessing, expected):
    model = bare_net()
    before = state(model)
    front = from_pixels(model, preprocessing)
    np.testing.assert_allclose(front(PIXELS), expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(input_front(preprocessing)(PIXELS), expected, rtol=1e-5, atol=1e-4)
    assert front.input_shape == (None, 6, 7, 3)
    assert state(model) == before


@pytest.mark.parametrize("mode", ["caffe", "torch"])
def test_the_front_agrees_with_keras_applications(mode):
    expected = keras.applications.imagenet_utils.preprocess_input(PIXELS.copy(), mode=mode)
    front = from_pixels(bare_net(), mode)
    np.testing.assert_allclose(front(PIXELS), expected, rtol=1e-5, atol=1e-4)


def test_a_net_with_a_rescaling_inside_takes_pixels_as_it_is():
    for sequential in (False, True):
        model = small_net(sequential=sequential)
        assert resolve_preprocessing(model) == "0..255"
        assert from_pixels(model) is model


def test_the_preprocessing_is_never_guessed():
    with pytest.raises(ValueError, match="preprocessing must be given.*'0..1'.*caffe"):
        from_pixels(bare_net())


@pytest.mark.parametrize(
    "bad", ["vgg", (1, 0), (0, np.inf), (0, 1, 2), 255, ("a", "b"), (None, 1), {}]
)
def test_an_illegal_preprocessing_lists_the_legal_ones(bad):
    with pytest.raises(ValueError, match="preprocessing must be one of .*caffe.* got"):
        from_pixels(bare_net(), bad)


def test_imagenet_preprocessings_need_rgb():
    with pytest.raises(ValueError, match="'caffe' needs 3 channels, got 1"):
        from_pixels(bare_net(channels=1), "caffe")


# --- inferred from numbers


def begun_with(*first, shape=(6, 7, 3), dtype="float32"):
    """A model that begins with some layers or functions, and has no other numbers."""
    x = pixels = keras.Input(shape, dtype=dtype)
    for one in first:
        x = one(x)
    return keras.Model(pixels, layers.Conv2D(2, 3, name="conv")(x))


def adapted(low, high, a=2, b=2):
    layer = layers.Normalization()
    draw = np.random.default_rng(0).beta(a, b, (200, 6, 7, 3))
    layer.adapt((low + (high - low) * draw).astype("float32"))
    return layer


def batch_norm(mean, sd):
    pixels = keras.Input((6, 7, 3))
    layer = layers.BatchNormalization()
    keras.Model(pixels, layer(pixels))
    layer.set_weights([np.ones(3), np.zeros(3), np.full(3, mean), np.full(3, sd**2)])
    return layer


class Preprocess(layers.Layer):
    """A user's own layer without weights."""

    def call(self, x):
        return (x / 255 - 0.45) / 0.225


def applications(name):
    return getattr(keras.applications, name).preprocess_input


FRONTS = {
    "rescaled": ([layers.Rescaling(1 / 255)], "0..255"),
    "rescaled about 0": ([layers.Rescaling(1 / 127.5, -1)], "0..255"),
    "to 255": ([layers.Rescaling(255.0)], "0..1"),
    "from -1..1": ([layers.Rescaling(127.5, 127.5)], "-1..1"),
    "0..1 to -1..1": ([layers.Rescaling(2, -1)], "0..1"),
    "adapted to 0..1": ([adapted(0, 1)], "0..1"),
    "adapted to dark 0..1": ([adapted(0, 1, 1, 6)], "0..1"),
    "adapted to 0..255": ([adapted(0, 255)], "0..255"),
    "adapted to dark -1..1": ([adapted(-1, 1, 1, 6)], "-1..1"),
    "batch norm of 0..255": ([batch_norm(120, 60)], "0..255"),
    "batch norm of 0..1": ([batch_norm(0.45, 0.25)], "0..1"),
    "augmented": (
        [
            layers.RandomFlip(),
            layers.RandomRotation(0.2),
            layers.Resizing(9, 9),
            layers.CenterCrop(8, 8),
            layers.RandomZoom(0.1),
            layers.Rescaling(1 / 255),
        ],
        "0..255",
    ),
    "nested": ([keras.Sequential([keras.Input((6, 7, 3)), layers.Rescaling(1 / 255)])], "0..255"),
    "arithmetic": ([lambda x: x / 127.5 - 1], "0..255"),
    "multiplied": ([lambda x: 255 * x, lambda x: (x - 127.5) / 127.5], "0..1"),
    "inverted": ([lambda x: 1 - x / 255], "0..255"),
    "own layer": ([Preprocess()], "0..255"),
    "Lambda": ([layers.Lambda(lambda x: x / 255)], "0..255"),
    "mobilenet_v2": ([applications("mobilenet_v2")], "0..255"),
    "resnet50": ([applications("resnet50")], "0..255"),
    "densenet": ([applications("densenet")], "0..255"),
    "padded": ([layers.Rescaling(1 / 255), layers.ZeroPadding2D(1)], "0..255"),
}


@pytest.mark.parametrize("front", FRONTS)
def test_the_numbers_of_the_front_tell_the_range(front):
    first, expected = FRONTS[front]
    model = begun_with(*first)
    before = state(model)
    assert resolve_preprocessing(model) == expected
    assert state(model) == before


def test_whole_numbers_are_pixels():
    model = begun_with(lambda x: keras.ops.cast(x, "float32"), dtype="uint8")
    assert resolve_preprocessing(model) == "0..255"


@pytest.mark.parametrize(
    "first",
    [[], [layers.RandomFlip()], [layers.BatchNormalization()], [adapted(-1.7, 1.7)],
     [lambda x: x[..., ::-1]], [layers.Rescaling(1.0)]],
)  # fmt: skip
def test_where_the_numbers_do_not_tell_the_likely_choices_are_named(first):
    with pytest.raises(ValueError, match="must be given.*'conv'.*0..1.*-1..1.*caffe") as caught:
        resolve_preprocessing(begun_with(*first))
    assert len(str(caught.value)) <= 300


# --- said


YUV = [[0, 128, 128], [255, 128, 128], [76.245, 90.488, 284.768]]
"""Black, white and red, by OpenCV's weights."""


@pytest.mark.parametrize(
    ("preprocessing", "expected"),
    [
        ("BGR 0..255", PIXELS[..., ::-1]),
        ("BGR -1..1", PIXELS[..., ::-1] / 127.5 - 1),
        (models.Standardized((0.1, 0.2, 0.3), 0.5), (PIXELS / 255 - [0.1, 0.2, 0.3]) / 0.5),
        (models.Standardized(120, (50, 60, 70), scale=255), (PIXELS - 120) / [50, 60, 70]),
        (layers.Rescaling(1 / 255, -0.5), PIXELS / 255 - 0.5),
        (lambda pixels: keras.ops.sqrt(pixels), np.sqrt(PIXELS)),
    ],
)
def test_any_preprocessing_can_be_said(preprocessing, expected):
    model = begun_with()
    cut = models.cut_at(model, [models.Tap("conv")], preprocessing=preprocessing)
    np.testing.assert_allclose(cut(PIXELS), model(expected), rtol=1e-4, atol=1e-3)


def test_yuv_is_opencvs():
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], "float32")[None, None]
    np.testing.assert_allclose(input_front("YUV 0..255")(colours)[0, 0], YUV, atol=0.05)
    inside = begun_with(layers.Rescaling(1 / 127.5, -1))
    assert resolve_preprocessing(inside, "YUV") == "YUV 0..255"
    with pytest.raises(ValueError, match="must be given"):
        resolve_preprocessing(begun_with(), "YUV")
    with pytest.raises(ValueError, match="needs 3 channels, got 1"):
        resolve_preprocessing(begun_with(shape=(6, 7, 1)), "YUV 0..1")


def test_standardized_is_checked():
    assert hash(models.Standardized([0.1, 0.2], np.array([1.0, 0.5])))
    with pytest.raises(ValueError, match="scale=255"):
        models.Standardized((123, 117, 104), (58, 57, 57))
    with pytest.raises(ValueError, match="sd above 0"):
        models.Standardized(0.5, 0)
    with pytest.raises(ValueError, match="per channel, 3 or 1"):
        resolve_preprocessing(begun_with(), models.Standardized((0.1, 0.2), 0.5))


def test_without_its_rescaling_a_model_takes_what_it_gave():
    pixels = keras.Input((6, 7, 3))
    x = layers.Conv2D(2, 3, name="conv")(layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, layers.Dense(2)(layers.Flatten()(x)))
    bare = models.without_rescaling(model)
    np.testing.assert_allclose(bare(PIXELS / 255), model(PIXELS), rtol=1e-5, atol=1e-5)
    assert bare.get_layer("conv") is model.get_layer("conv")
    with pytest.raises(ValueError, match="begin with a Rescaling, got Conv2D"):
        models.without_rescaling(bare)
