import numpy as np
import pytest
from PIL import Image
from tiny import tiny_net

from helpers import attribution, images, maps, natural, plots
from helpers.images import LabelledImages
from helpers.panel import parts, why_view
from helpers.panel.controls import Controls
from helpers.panel.elements import ImageView, Status
from helpers.panel.why_view import WhyView

GIVEN = LabelledImages(
    np.random.default_rng(0).uniform(size=(3, 8, 10, 1)).astype("float32"),
    np.array([0, 1, 1]),
    ("left", "right"),
    source="drawn",
)


@pytest.fixture
def build():
    def make(**chosen):
        view = []
        follow = lambda: view and view[0].follow()  # noqa: E731
        controls = Controls(tiny_net(), None, Status(), follow, layer="out", **chosen)
        of_map = ImageView(png=b"map", alt="a map")
        view.append(WhyView(controls, of_map, GIVEN))
        return view[0], controls, of_map

    return make


def test_the_heatmap_is_that_of_the_same_target_over_the_chosen_image(build):
    view, _, of_map = build(unit=1)
    view.source.value, view.method.value = 2, "Integrated gradients"
    view.render()
    pixels = images.as_input(GIVEN.images[[2]], (8, 10, 1))
    target = maps.Unit("out", 1, pre_activation=True)
    made = attribution.integrated_gradients(tiny_net(), pixels, target)
    overlay = plots.overlay(pixels[0], made["heatmap"].values[0, 0])
    assert view.heat.png == parts.png(np.rint(255 * overlay).astype("uint8"))
    assert view.photo.png == parts.png(np.rint(pixels[0]).astype("uint8"))
    assert view.photo.caption == "drawn 2: right (2)"
    assert f"of out unit 1: score {made['score'].item():.3g}; red raises" in view.heat.caption
    assert (view.map.png, view.map.alt) == (of_map.png, of_map.alt)


def test_a_file_and_a_photograph_can_be_chosen(build, tmp_path):
    view, *_ = build()
    assert view.file.layout.display == "none"
    view.source.value = why_view.OWN_FILE
    assert view.file.layout.display == ""
    assert "give under Your image the path" in view.status.text
    rgb = np.random.default_rng(0).integers(0, 256, (8, 10, 3), "uint8")
    Image.fromarray(rgb).save(tmp_path / "own.png")
    view.file.value = str(tmp_path / "own.png")
    view.render()
    assert view.photo.png == parts.png(np.rint(rgb.mean(-1, keepdims=True)).astype("uint8"))
    view.source.value = "coffee"
    view.render()
    coffee = images.as_input(natural.photographs((8, 10), ["coffee"]).images, (8, 10, 1))
    assert view.photo.png == parts.png(np.rint(coffee[0]).astype("uint8"))


def test_what_is_of_another_target_is_cleared_and_made_anew_where_it_is_seen(build):
    view, controls, _ = build()
    view.render()
    assert view.heat.png
    controls.unit.value = 1
    assert view.heat.png == b"" and view.photo.png == b""
    view.show(True)
    view.wait()
    assert "of out unit 1" in view.heat.caption
    controls.unit.value = 0
    view.wait()
    assert "of out unit 0" in view.heat.caption


def test_occlusion_covers_patches_of_the_images_size(build):
    view, *_ = build()
    view.method.value = "Occlusion"
    view.wait()
    assert "Occlusion of out unit 0: score" in view.heat.caption


def test_a_method_that_needs_a_layer_before_the_target_says_so(build):
    view, controls, _ = build()
    view.method.value = "Grad-CAM"
    view.wait()
    assert view.status.text == "Where out unit 0 sees its reason."
    controls.layer.value = "conv"
    with pytest.raises(ValueError, match="method must be another for conv: Grad"):
        view.render()
