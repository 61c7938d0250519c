import io

import numpy as np
import pytest
from PIL import Image

from helpers import plots

y, x = np.mgrid[:32, :32] / 10
IMAGES = [
    127 + 100 * np.stack([np.sin(a * x), np.cos(a * y), np.sin(x + y)], -1) for a in (1, 2, 3)
]


def test_a_gallery_shows_each_image_at_its_place_in_its_colours():
    rows = {"first": (IMAGES[:2], ["a", "b"]), "second": (IMAGES[2:], ["c\nd"])}
    figure = plots.gallery(rows, title="Three", side=64)
    assert figure.alt == "Three. first: a, b. second: c d"
    drawn = Image.open(io.BytesIO(figure.png()))
    assert drawn.text["Description"] == figure.alt
    pixels = np.asarray(drawn.convert("RGB"), float)
    for axis, image in zip(figure.axes, IMAGES, strict=True):
        left, low, right, high = np.rint(axis.get_window_extent().extents).astype(int)
        shown = pixels[len(pixels) - high : len(pixels) - low, left:right]
        assert shown.shape == (64, 64, 3)
        seen = shown.reshape(32, 2, 32, 2, 3).mean((1, 3))
        assert np.corrcoef(seen.ravel(), image.ravel())[0, 1] > 0.95
        np.testing.assert_allclose(seen.mean((0, 1)), image.mean((0, 1)), atol=4)


def test_words_are_asked_for_each_image():
    with pytest.raises(ValueError, match="words for each image, got 2 images and 1 in 'first'"):
        plots.gallery({"first": (IMAGES[:2], ["a"])}, title="")
