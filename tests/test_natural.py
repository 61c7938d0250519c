import numpy as np
import pytest
from PIL import Image
from skimage import data

from helpers import natural


def test_photographs_come_with_their_names_at_the_size_asked_for():
    photographs = natural.photographs(64)
    names, images = photographs.class_names, photographs.images
    assert names == natural.PHOTOGRAPHS
    assert photographs.labels.tolist() == list(range(len(names)))
    assert images.shape == (len(names), 64, 64, 3)
    assert images.max() == 1 and (images.std((1, 2, 3)) > 0.02).all()
    gray = images[[name in natural.GRAY_PHOTOGRAPHS for name in names]]
    assert (gray == gray[..., :1]).all()


def test_the_middle_of_a_photograph_is_kept():
    images = natural.photographs((300, 200), ["chelsea"]).images
    photograph = data.chelsea()
    assert photograph.shape == (300, 451, 3)
    middle = photograph[:, 125:325].astype(float)
    assert np.abs(255 * images[0] - middle).mean() < 6  # a crop by half a pixel is an interpolation


def test_an_unknown_photograph_lists_those_there_are():
    with pytest.raises(ValueError, match="names must be some of .*chelsea.* got 'lenna'"):
        natural.photographs(names=["coffee", "lenna"])


def test_a_folder_and_its_folders_are_read(tmp_path):
    colours = {"b.png": (255, 0, 0), "cats/a.bmp": (0, 0, 255), "cats/B.PNG": (9, 9, 9)}
    for name, colour in colours.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), colour).save(tmp_path / name)
    Image.new("L", (4, 4), 77).save(tmp_path / "gray.png")
    (tmp_path / "notes.txt").write_text("no image")
    images = natural.folder(tmp_path, (6, 8))
    assert images.class_names == ("b", "cats/B", "cats/a", "gray")
    pixels = np.rint(255 * images.images)
    assert pixels.shape == (4, 6, 8, 3)
    assert pixels[:, 3, 4].tolist() == [[255, 0, 0], [9, 9, 9], [0, 0, 255], [77, 77, 77]]


def test_a_photograph_stands_upright(tmp_path):
    pixels = np.zeros((8, 16, 3), "uint8")
    pixels[:, 8:] = 255
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was turned: show it turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=turned)
    images = natural.folder(tmp_path, (16, 8)).images
    assert images[0, 0, 4, 0] == 0
    assert images[0, 15, 4, 0] == 1


def test_a_folder_without_images_or_with_a_broken_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="path must be a folder with images .*png"):
        natural.folder(tmp_path / "nowhere")
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image"):
        natural.folder(tmp_path)
