import numpy as np
import pytest
import xarray as xr

from helpers import plots
from helpers.plots.heatmaps import normalised


def made(heat, pixels=None, **more):
    heat = np.asarray(heat, "float32")
    images, targets, height, width = heat.shape
    if pixels is None:
        pixels = np.full((images, height, width, 1), 100.0)
    return xr.Dataset(
        {
            "heatmap": (("image", "target", "height", "width"), heat),
            "score": (("image", "target"), np.arange(images * targets).reshape(images, targets)),
            "pixels": (("image", "height", "width", "channel"), pixels),
            **more,
        },
        {"image": [f"image {i}" for i in range(images)], "target": list("abcd")[:targets]},
        {"method": "Saliency", "layer": "out"},
    )


def test_full_colour_is_a_quantile_and_not_one_pixel():
    heat = np.linspace(0, 1, 10000).reshape(100, 100)
    heat[0, 0] = 1000
    assert normalised(heat).max() == 1 and normalised(heat)[50, 50] == pytest.approx(
        0.508, abs=0.01
    )
    one_pixel = np.zeros((40, 40))
    one_pixel[3, 4] = -2
    assert normalised(one_pixel)[3, 4] == -1
    assert not normalised(np.zeros((3, 3))).any()


def test_an_overlay_leaves_the_image_where_there_is_no_heat():
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 4, 3))
    heat = np.zeros((4, 4))
    heat[1, 2] = 3.0
    image = plots.overlay(pixels, heat, opacity=1.0)
    gray = 0.25 + 0.75 * pixels.mean(-1) / 255
    np.testing.assert_allclose(image[0], np.repeat(gray[0, :, None], 3, -1))
    red, green, blue = image[1, 2]
    assert red > 0.4 and green < 0.1 and blue < 0.2
    raised, lowered = plots.overlay(pixels[:1, :2], np.array([[1.0, -1.0]]), opacity=1.0)[0]
    assert raised[0] > raised[2] and lowered[2] > lowered[0]


def test_a_column_for_each_target_and_what_is_said():
    heat = np.zeros((2, 2, 6, 9))
    heat[0, 0, 0, 0] = heat[0, 1, 5, 8] = heat[1, 0, 3, 4] = 1
    marked = xr.DataArray([[False, True], [False, True]], dims=("image", "target"))
    figure = plots.heatmap_grid(made(heat, random_too=marked), title="Where")
    drawn = [axis for axis in figure.axes if axis.images]
    assert len(drawn) == 6
    for said in (
        "image 0, a: top left",
        "image 0, b: bottom right, random weights too",
        "image 1, a: middle centre",
        "image 1, b: nowhere",
    ):
        assert said in figure.alt
    captions = [axis.get_xlabel() for axis in drawn]
    assert captions == ["", "score 0", "score 1, random weights too"] + [
        "",
        "score 2",
        "score 3, random weights too",
    ]
    assert [axis.get_title() for axis in drawn[:3]] == ["image", "a", "b"]
    assert figure.png().startswith(b"\x89PNG")


def test_methods_beside_each_other():
    heat = np.random.default_rng(0).normal(size=(1, 1, 6, 9))
    figure = plots.heatmap_grid({"saliency": made(np.abs(heat)), "signed": made(heat)})
    assert [axis.get_title() for axis in figure.axes[:3]] == ["image", "saliency", "signed"]
    scale = [text.get_text() for text in figure.axes[-1].get_yticklabels()]
    assert scale == ["lowers", "0", "raises"]


def test_bad_input():
    with pytest.raises(ValueError, match="saliency must have one target, got"):
        plots.heatmap_grid({"saliency": made(np.zeros((1, 2, 3, 3)))})
    small = made(np.zeros((1, 1, 3, 3))).rename(height="row", width="column")
    with pytest.raises(ValueError, match="a must hold heatmaps of the images' size"):
        plots.heatmap_grid(small)
    one, other = (made(np.zeros((1, 1, 3, 3)), np.full((1, 3, 3, 1), v)) for v in (1.0, 2.0))
    with pytest.raises(ValueError, match="b must be of the same images as the first"):
        plots.heatmap_grid({"a": one, "b": other})
