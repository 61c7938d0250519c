import keras
import numpy as np

from helpers.models.forward import Forward

IMAGES = np.random.default_rng(0).uniform(size=(5, 4, 4, 1)).astype("float32")


def model(*extra):
    return keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), *extra])


def test_batches_are_the_models_outputs_in_order():
    dense = model(keras.layers.Dense(3))
    forward = Forward(dense)
    kernel, bias = dense.get_weights()
    expected = IMAGES.reshape(5, -1) @ kernel + bias
    np.testing.assert_allclose(forward(IMAGES, batch=2), expected, rtol=1e-5, atol=1e-6)
    assert [len(part) for part in forward.batches(IMAGES, batch=2)] == [2, 2, 1]


def test_random_layers_are_off_and_new_weights_count():
    dropped = model(keras.layers.Dropout(0.9), keras.layers.Dense(2))
    forward = Forward(dropped)
    np.testing.assert_array_equal(forward(IMAGES), forward(IMAGES))
    dropped.set_weights([np.zeros((16, 2)), np.array([1.0, 2.0])])
    np.testing.assert_array_equal(forward(IMAGES), np.tile([1, 2], (5, 1)))


def test_outputs_are_float32_whatever_the_models_policy():
    half = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(dtype="float16")], name="half"
    )
    assert Forward(half)(IMAGES).dtype == np.float32
