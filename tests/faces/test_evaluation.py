import numpy as np
import pytest
from tiny import brightness_net

from helpers.faces import evaluate
from helpers.images import LabelledImages

SHAPE = (24, 24, 1)


def test_evaluation_by_hand():
    levels = np.array([50, 90, 120, 200, 140], "float32") / 255
    values = np.broadcast_to(levels[:, None, None, None], (5, *SHAPE))
    images = LabelledImages(values, np.array([0, 1, 1, 0, 0]), ("dark", "bright"))
    result = evaluate(brightness_net(SHAPE), images)
    assert result.accuracy == pytest.approx(2 / 5)
    assert result.confusion.tolist() == [[1, 2], [1, 1]]
    assert result.mistakes.tolist() == [3, 4, 1]
    expected = 1 / (1 + np.exp(-0.1 * (255 * levels - 100)))
    np.testing.assert_allclose(result.probabilities[:, 1], expected, rtol=1e-4)
