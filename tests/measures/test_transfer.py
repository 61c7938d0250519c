import numpy as np
import pytest
from tiny import brightness_net

from helpers import measures

MAPS = np.stack([np.full((4, 4, 1), value, "float32") for value in (10, 90, 150, 240)])


def test_transfer_is_the_share_of_judges_that_agree():
    judges = [brightness_net((4, 4, 1), threshold) for threshold in (50, 100, 200)]
    shares = measures.transfer(MAPS, [1, 1, 1, 1], judges)
    np.testing.assert_allclose(shares, [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(measures.transfer(MAPS, [0, 0, 1, 0], judges), [1, 2 / 3, 2 / 3, 0])


def test_a_judge_of_another_size_takes_the_maps():
    judge = brightness_net((9, 7, 1), 100)
    np.testing.assert_array_equal(measures.transfer(MAPS, [0, 0, 1, 1], [judge]), 1)


def test_distance_by_hand():
    """References at 0, 60 and 120 degrees: each is 1 - cos 60 = 0.5 from its nearest."""
    angles = np.radians([0, 60, 120])
    references = np.stack([np.cos(angles), np.sin(angles)], -1)
    maps = np.array([[5.0, 0.0], [0.0, -1.0], [np.cos(np.radians(30)), 0.5], [0.0, 0.0]])
    nearest = np.array([0, 1 - np.cos(np.radians(90)), 1 - np.cos(np.radians(30))])
    distances = measures.distance_to_images(maps, references)
    np.testing.assert_allclose(distances[:3], nearest / 0.5, atol=1e-12)
    assert np.isnan(distances[3])


def test_natural_images_lie_at_a_distance_of_about_one_from_others():
    draw = np.random.default_rng(0)
    references, others = draw.normal(1, 1, (2, 60, 20))
    assert np.median(measures.distance_to_images(others, references)) == pytest.approx(1, abs=0.1)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="judges must be at least one"):
        measures.transfer(MAPS, [0] * 4, [])
    with pytest.raises(ValueError, match="classes must be 4, one per map, got 3"):
        measures.transfer(MAPS, [0] * 3, [brightness_net((4, 4, 1))])
    with pytest.raises(ValueError, match="reference_features must be at least 2, got 1"):
        measures.distance_to_images(np.ones((2, 3)), np.ones((1, 3)))
