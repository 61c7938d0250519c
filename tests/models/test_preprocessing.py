import keras
import numpy as np
import pytest
from keras import layers
from tiny import PIXELS, small_net, state

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
    with pytest.raises(ValueError, match="preprocessing must be given.*caffe.*'activation"):
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
