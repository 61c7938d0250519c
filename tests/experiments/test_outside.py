"""Faces of other styles: each style changes what it says, and nothing else."""

import numpy as np
import pytest

from experiments.architectures.outside import FADED, STYLES, outside_faces
from helpers.faces.dataset import POSES
from helpers.faces.renderer import render_people

SMALL_SET = {"people": 1, "per_person": 4, "seed": 3}
PLAIN = outside_faces("other people", **SMALL_SET)


def test_other_people_are_the_renderers():
    images, _, poses = render_people(1, 4, POSES, seed=3)
    np.testing.assert_array_equal(PLAIN.images, images)
    assert PLAIN.poses.tolist() == poses.tolist()
    assert PLAIN.labels.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("style", [style for style in STYLES if style != "other people"])
def test_a_style_changes_images_and_not_labels(style):
    drawn = outside_faces(style, **SMALL_SET)
    assert drawn.images.shape == PLAIN.images.shape and drawn.images.dtype == np.float32
    assert drawn.images.min() >= 0 and drawn.images.max() <= 1
    assert np.abs(drawn.images - PLAIN.images).mean() > 0.01
    np.testing.assert_array_equal(drawn.labels, PLAIN.labels)
    np.testing.assert_array_equal(drawn.images, outside_faces(style, **SMALL_SET).images)


def test_gray_is_the_mean_of_the_channels():
    gray = outside_faces("gray", **SMALL_SET).images
    for channel in range(3):
        np.testing.assert_allclose(gray[..., channel], PLAIN.images.mean(-1), atol=1e-6)


def test_faded_has_the_mean_and_less_contrast():
    faded = outside_faces("faded", **SMALL_SET).images
    np.testing.assert_allclose(faded.mean((1, 2, 3)), PLAIN.images.mean((1, 2, 3)), atol=1e-5)
    ratio = faded.std((1, 2, 3)) / PLAIN.images.std((1, 2, 3))
    np.testing.assert_allclose(ratio, FADED, rtol=1e-3)


def test_small_heads_leave_the_crown_to_the_background():
    small = outside_faces("small heads", **SMALL_SET).images[0]
    crown = slice(8, 12), slice(30, 34)
    background = small[8:12, :2].mean((0, 1))
    assert np.abs(small[crown].mean((0, 1)) - background).max() < 0.02
    assert np.abs(PLAIN.images[0][crown].mean((0, 1)) - background).max() > 0.05


def test_harsh_light_leaves_one_side_dark():
    def difference(faces):
        head = faces.images[0, 25:45, 16:48].mean((0, 2))
        return abs(head[:16].mean() - head[16:].mean())

    assert difference(outside_faces("harsh light", **SMALL_SET)) > 1.5 * difference(PLAIN)


def test_an_unknown_style_is_named():
    with pytest.raises(ValueError, match="style must be one of .*got 'cubist'"):
        outside_faces("cubist", seed=0)
