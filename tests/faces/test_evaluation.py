import numpy as np
import pytest
from tiny import brightness_net

from helpers.faces import evaluation
from helpers.faces.dataset import Faces
from helpers.images import as_input

SHAPE = (24, 24, 1)


def test_evaluation_by_hand():
    levels = np.array([50, 90, 120, 200, 140], "float32") / 255
    images = np.broadcast_to(levels[:, None, None, None], (5, *SHAPE))
    labels = np.array([0, 1, 1, 0, 0])
    faces = Faces(images, labels, labels, labels, ("dark", "bright"), "tiny", 0)
    found = evaluation.evaluate(brightness_net(SHAPE), faces)
    assert found.accuracy == pytest.approx(2 / 5)
    assert found.confusion.tolist() == [[1, 2], [1, 1]]
    assert found.mistakes.tolist() == [3, 4, 1]
    expected = 1 / (1 + np.exp(-0.1 * (255 * levels - 100)))
    np.testing.assert_allclose(found.probabilities[:, 1], expected, rtol=1e-4)


def test_outside_pictures_are_brought_to_the_nets_input():
    rgb = np.random.default_rng(0).random((2, 8, 10, 3)).astype("float32")
    gray = as_input(rgb, (8, 10, 1))
    np.testing.assert_allclose(gray[..., 0], 255 * rgb.mean(-1), rtol=1e-5)
    again = as_input(rgb[..., :1], (8, 10, 3))
    np.testing.assert_allclose(again, 255 * np.repeat(rgb[..., :1], 3, -1), rtol=1e-6)
    assert as_input(rgb, (4, 5, 3)).shape == (2, 4, 5, 3)
    flat = as_input(np.full((1, 8, 10, 3), 0.5, "float32"), (5, 7, 1))
    np.testing.assert_allclose(flat, 127.5, rtol=1e-5)
