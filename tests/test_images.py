from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from helpers.images import LabelledImages, as_input, as_pixels, display, fit, load_folder

SET = LabelledImages(
    np.linspace(0, 1, 3 * 4).reshape(3, 2, 2, 1).astype("float32"),
    np.array([0, 1, 1]),
    ("a", "b"),
    np.array(["x", "y", "y"]),
    "made",
)


def test_a_selection_keeps_all_that_belongs_to_an_image():
    chosen = SET[np.array([2, 0])]
    np.testing.assert_array_equal(chosen.images, SET.images[[2, 0]])
    assert chosen.labels.tolist() == [1, 0] and chosen.groups.tolist() == ["y", "x"]
    assert chosen.class_names == SET.class_names and chosen.source == "made"
    assert len(SET[1:]) == 2 and SET[SET.labels == 0].groups.tolist() == ["x"]


def test_without_groups_each_image_is_a_group_of_its_own():
    alone = replace(SET, groups=None)
    assert alone.group_names.tolist() == ["0", "1", "2"]
    assert alone[:2].groups is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": SET.images * 255}, "0..1, got 0 to 255; divide"),
        ({"images": SET.images[0]}, r"\(N, H, W, C\), got shape \(2, 2, 1\)"),
        ({"labels": np.array([0, 1])}, "labels must have one entry per image, 3, got 2"),
        ({"labels": np.array([0, 1, 2])}, "labels must be 0 to 1"),
        ({"groups": np.array(["x"])}, "groups must have one entry per image"),
    ],
)
def test_a_set_that_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SET, **change)


def save(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), colour).save(path)


def test_a_folder_has_classes_groups_and_one_size(tmp_path):
    save(tmp_path / "dogs" / "rex" / "1.png", (255, 0, 0))
    save(tmp_path / "dogs" / "rex" / "2.png", (255, 0, 0))
    save(tmp_path / "cats" / "tom.jpg", (0, 0, 255))
    (tmp_path / "cats" / "broken.png").write_bytes(b"no image")
    images = load_folder(tmp_path, (8, 12))
    assert images.images.shape == (3, 8, 12, 3) and images.images.dtype == np.float32
    assert images.class_names == ("cats", "dogs") and images.labels.tolist() == [0, 1, 1]
    assert images.groups.tolist() == ["cats/tom.jpg", "rex", "rex"]
    assert images.skipped == 1 and images.source == "folder"
    np.testing.assert_allclose(images.images[1, 0, 0], [1, 0, 0])


@pytest.mark.parametrize(
    ("size", "message"), [((0, 8), "size"), (8, "size"), ((8, 8), "two sub-folders")]
)
def test_a_folder_that_cannot_be_read_is_named(tmp_path, size, message):
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path, size)
    with pytest.raises(ValueError, match="path must be a folder"):
        load_folder(tmp_path / "none", (8, 8))


def test_images_are_fitted_to_a_models_input():
    rgb = np.random.default_rng(0).random((2, 8, 10, 3)).astype("float32")
    gray = as_input(rgb, (8, 10, 1))
    np.testing.assert_allclose(gray[..., 0], 255 * rgb.mean(-1), rtol=1e-5)
    again = as_input(rgb[..., :1], (8, 10, 3))
    np.testing.assert_allclose(again, 255 * np.repeat(rgb[..., :1], 3, -1), rtol=1e-6)
    assert as_input(rgb, (4, 5, 3)).shape == (2, 4, 5, 3)
    even = as_input(np.full((1, 8, 10, 3), 0.5, "float32"), (5, 7, 1))
    np.testing.assert_allclose(even, 127.5, rtol=1e-5)
    pixels = as_pixels(rgb)
    assert pixels.dtype == np.float32 and pixels.max() > 200
    np.testing.assert_array_equal(fit(pixels, (8, 10, 3)), pixels)


def test_a_displayed_map_is_its_z_score_around_mid_gray():
    raw = np.array([0.0, 2, 4, 6]).reshape(1, 2, 2, 1)
    z = (raw - 2) / np.sqrt(
        8 / 3
    )  # mean and sd without the corner that total variation leaves free
    np.testing.assert_array_equal(display(raw), ((z * 0.1 + 0.5) * 255).astype("uint8"))
    np.testing.assert_array_equal(display(7 * raw - 100), display(raw))
    assert display(np.array([1.0] + [0] * 99).reshape(1, 10, 10, 1)).max() == 255


def test_the_free_corner_does_not_rule_the_display():
    raw = np.random.default_rng(0).normal(size=(1, 6, 7, 3))
    far = raw.copy()
    far[:, -1, -1] = 1e4
    np.testing.assert_array_equal(display(far)[:, :-1], display(raw)[:, :-1])
    np.testing.assert_array_equal(display(far)[:, -1, :-1], display(raw)[:, -1, :-1])
