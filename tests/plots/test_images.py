import io

import numpy as np
import pytest
from PIL import Image

from helpers.plots import images
from helpers.plots.figure import sheet

RANDOM = np.random.default_rng(0).integers(0, 256, (5, 7, 5), "uint8")


def test_one_channel_is_gray_and_three_are_rgb():
    np.testing.assert_array_equal(images.raster(RANDOM[..., :1]), RANDOM[..., 0])
    np.testing.assert_array_equal(images.raster(RANDOM[..., :3]), RANDOM[..., :3])


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_other_channels_stand_side_by_side_and_none_is_transparency(channels):
    drawn = images.raster(RANDOM[..., :channels])
    assert drawn.shape == (5, 7 * channels)
    for channel in range(channels):
        part = drawn[:, 7 * channel : 7 * channel + 7]
        np.testing.assert_array_equal(part, RANDOM[..., channel])


def test_three_channels_can_be_chosen():
    drawn = images.raster(RANDOM, channels=(4, 0, 2))
    np.testing.assert_array_equal(drawn, RANDOM[..., [4, 0, 2]])
    for wrong in ((0, 1), (0, 1, 5)):
        with pytest.raises(ValueError, match=r"channels must be one or three of 0 to 4, got"):
            images.raster(RANDOM, wrong)


def test_slices_of_a_volume_stand_side_by_side():
    volume = np.arange(20)[:, None, None, None] * np.ones((20, 2, 3, 1))
    drawn = images.raster(volume)
    assert drawn.shape == (2, 3 * images.MOST_SLICES)
    assert drawn[0, ::3].tolist() == [0, 2, 4, 7, 9, 11, 14, 16, 19]


def test_an_image_of_another_rank_is_named():
    with pytest.raises(ValueError, match=r"image must be \(H, W, C\).* got shape \(4,\)"):
        images.raster(np.zeros(4))


@pytest.mark.parametrize(
    ("shape", "side", "size"),
    [
        ((60, 64, 1), 128, (128, 120)),
        ((60, 64, 1), 256, (256, 240)),
        ((48, 40, 3), 128, (80, 96)),
        ((224, 224, 3), 128, (224, 224)),
        ((8, 10, 4), 128, (120, 24)),
    ],
)
def test_an_image_is_drawn_at_a_whole_multiple_of_its_pixels(shape, side, size):
    assert images.display_size(np.zeros(shape), side) == size


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_is_drawn_as_a_whole_square_in_its_own_colour(channels):
    image = RANDOM[..., :channels]
    figure = sheet(40, 30)
    images.show(figure.place(3, 4, 21, 15), image)
    drawn = np.asarray(Image.open(io.BytesIO(figure.png())).convert("RGB"))[4:19, 3:24]
    inside = drawn[1::3, 1::3]
    expected = np.broadcast_to(image, (5, 7, 3)).astype(int)
    np.testing.assert_allclose(inside, expected, atol=0 if channels == 3 else 1)


def test_a_signal_is_drawn_as_a_line_per_channel():
    signal = np.random.default_rng(0).random((50, 2))
    axis = sheet(256, 128).place(0, 0, 256, 128)
    images.show(axis, signal)
    for channel, line in enumerate(axis.lines):
        np.testing.assert_array_equal(line.get_ydata(), signal[:, channel])
    assert len(axis.lines) == 2
