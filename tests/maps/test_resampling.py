from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import map_coordinates

from helpers.maps.resampling import resample
from helpers.models import machine_code

SHAPES = {
    "colour": ((3, 9, 7, 3), (11, 9)),
    "gray": ((2, 6, 8, 1), (6, 8)),
    "signal": ((2, 1, 20, 5), (1, 20)),
    "column": ((2, 20, 1, 2), (15, 1)),
    "volume": ((2, 12, 10, 40), (5, 17)),
    "many channels": ((1, 5, 5, 70), (4, 6)),
}


def drawn(shape):
    """Images, and for each a turn and a scale, and a shift that leaves them in part."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, shape).astype("float32")
    origins = np.tile(np.eye(3, dtype="float32"), (len(images), 1, 1))
    for matrix in origins:
        angle, scale = rng.uniform(-1, 1), rng.uniform(0.3, 2)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        x, y = rng.uniform(-0.5, 0.5, 2) * (shape[2], shape[1])
        matrix[:2] = [[cos, -sin, x], [sin, cos, y]]
    return images, origins


def by_scipy(images, origins, size, has_gray):
    y, x = np.mgrid[: size[0], : size[1]]
    mode = "grid-constant" if has_gray else "mirror"
    result = np.empty((len(images), *size, images.shape[-1]))
    for image, matrix, out in zip(images, origins.astype("float64"), result, strict=True):
        places = np.einsum("ij,jhw->ihw", matrix[:2], [x, y, np.ones(size)])[::-1]
        for c in range(image.shape[-1]):
            out[..., c] = map_coordinates(image[..., c], places, None, 1, mode, 127.5, False)
    return result


@pytest.fixture(params=["machine code", "tensorflow"])
def by_either(request, monkeypatch):
    if request.param == "tensorflow":
        monkeypatch.setattr(machine_code, "ir", None)


@pytest.mark.parametrize("has_gray", [False, True], ids=["mirror", "gray"])
@pytest.mark.parametrize(("shape", "size"), SHAPES.values(), ids=SHAPES)
def test_values_are_scipys_and_the_gradient_is_the_adjoint(shape, size, has_gray, by_either):
    images, origins = drawn(shape)
    weights = np.random.default_rng(1).normal(size=(shape[0], *size, shape[-1])).astype("float32")

    def run(images):
        values = resample(images, tf.constant(origins), size, has_gray=has_gray)
        return values, tf.gradients(tf.reduce_sum(weights * values), images)[0]

    values, gradient = tf.function(partial(run))(tf.constant(images))
    np.testing.assert_allclose(values, by_scipy(images, origins, size, has_gray), atol=0.01)
    black = by_scipy(np.zeros_like(images), origins, size, has_gray)
    by_weights = np.sum(weights * (values.numpy() - black), (1, 2, 3))
    by_gradient = np.sum(gradient.numpy() * images, (1, 2, 3))
    np.testing.assert_allclose(by_gradient, by_weights, rtol=1e-3, atol=0.1)
    assert np.ptp(values) > 100
