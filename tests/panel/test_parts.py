import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_net

from helpers import maps
from helpers.maps import dataset
from helpers.maps.spec import MapSpec
from helpers.panel import parts
from helpers.panel.elements import Picture
from helpers.plots.recipe import read_recipe
from helpers.publish.reproduce import reproduce

SPEC = MapSpec("conv", (2, 0), tv_weights=(0.5, 1), seeds=(3,), steps=4, preprocessing="0..255")


@pytest.fixture
def found():
    return maps.compute(tiny_net(), SPEC, progress=False)


def decoded(url: str) -> bytes:
    return base64.b64decode(url.split("base64,")[1])


def test_select_takes_one_map_whose_spec_makes_it_again(found):
    one = dataset.select(found, unit=1, tv_weight=1)
    spec = dataset.spec_of(one)
    assert (spec.units, spec.tv_weights, spec.seeds, spec.steps) == ((0,), (1.0,), (3,), 4)
    again = parts.find(tiny_net(), spec, lambda *_: None)
    np.testing.assert_array_equal(parts.pixels(one), parts.pixels(again))
    assert dataset.is_grid(SPEC) and not dataset.is_grid(spec)


def test_the_words_hold_the_numbers(found):
    one = dataset.select(found)
    raw, shown = one["activation_raw"].item(), one["activation_display"].item()
    assert parts.caption(one).splitlines() == [
        "HappyMap of conv",
        "unit 2, activation",
        "TV 0.5, LP 10, seed 3",
        f"{raw:.3g} → {shown:.3g}",
    ]
    assert parts.numbers(one).splitlines() == [
        "(raw map → map as shown)",
        f"seed input: {one['activation_seed'].item():.3g},"
        f" gradient {one['gradient_seed'].item():.2g}",
        f"lowest loss: {one['loss'].min().item():.4g}",
    ]
    silent = one.assign(gradient_seed=one["gradient_seed"] * 0)
    assert "no gradient: the regularizers act alone" in parts.numbers(silent)
    assert parts.reached(silent).endswith("(no gradient at seed)")


def test_an_activation_weight_other_than_1_is_said():
    spec = MapSpec("conv", (0,), activation_weight=2)
    assert "unit 0, activation, weight 2" in parts.describe(spec)


@pytest.mark.parametrize(
    ("engine", "pixels"), [("batched", "free"), ("batched", "bounded"), ("keras-vis", "free")]
)
def test_a_growing_picture_is_shown_as_the_map_at_the_end(engine, pixels):
    spec = MapSpec("conv", (1,), steps=6, engine=engine, pixels=pixels, preprocessing="0..255")
    seen = []
    one = parts.find(tiny_net(), spec, lambda _, picture: seen.append(picture))
    losses = one["loss"].values.ravel()
    assert losses.argmin() == losses.size - 1  # the map is the last picture
    shown = parts.growing(seen[-1], spec).astype(int)
    np.testing.assert_allclose(shown, parts.pixels(one), atol=1)


@pytest.mark.parametrize(
    ("dim", "text", "values"),
    [
        ("unit", "0-2, 7", (0, 1, 2, 7)),
        ("seed", "4", (4,)),
        ("tv_weight", "1e-3, 0.5 10", (1e-3, 0.5, 10.0)),
        ("lp_weight", " 0 ,1 ", (0.0, 1.0)),
    ],
)
def test_values_of_an_axis(dim, text, values):
    assert parts.parse_values(dim, text) == values


@pytest.mark.parametrize(("dim", "text"), [("unit", "1.5"), ("seed", ""), ("tv_weight", "0-3")])
def test_values_that_are_no_numbers_are_named(dim, text):
    with pytest.raises(ValueError, match=rf"{dim}s must be numbers like .*, got '{text}'"):
        parts.parse_values(dim, text)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_pixels(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), "uint8")
    back = np.asarray(Image.open(io.BytesIO(parts.png(pixels))))
    np.testing.assert_array_equal(back.reshape(pixels.shape), pixels)


@pytest.mark.parametrize(("length", "shown"), [(28, 252), (64, 256), (227, 227), (400, 400)])
def test_a_pixel_is_shown_as_a_square_of_whole_pixels(length, shown):
    black = np.zeros((length, length, 3), "uint8")
    assert parts.whole_width(black, 256) == shown
    picture = Picture()
    parts.fill(picture, black, "a\nb")
    assert (picture.width, picture.alt, picture.caption) == (shown, "a; b", "a\nb")


def test_downloads_hold_the_files_under_a_safe_name():
    spec = MapSpec("block/conv <1>", (2,), tv_weights=(1e-3,), seeds=(4,))
    name = parts.file_name(spec)
    assert re.fullmatch(r"[\w.+-]+", name) and "unit_2_TV_0.001_LP_10_seed_4" in name
    html = parts.downloads(name, b"picture", spec.to_toml())
    assert re.findall(r">([^<]+)</a>", html) == ["Download PNG", "Download TOML"]
    assert "Download PNG of it</a>" in parts.downloads("it", b"", "", " of it")
    links = dict(re.findall(r'download="([^"]+)" href="([^"]+)"', html))
    assert decoded(links[f"{name}.png"]) == b"picture"
    assert MapSpec.from_toml(decoded(links[f"{name}.toml"]).decode()) == spec


def test_a_downloaded_map_is_made_again_from_its_file_alone(found, tmp_path):
    tiny_net().save(tmp_path / "net.keras")
    one = dataset.select(found, unit=1, tv_weight=1)
    file = tmp_path / "map.png"
    file.write_bytes(parts.map_png(one))
    np.testing.assert_array_equal(np.asarray(Image.open(file)), parts.pixels(one)[..., 0])
    recipe, _ = read_recipe(file)
    assert recipe.specs == (dataset.spec_of(one),)
    assert recipe.activation_raw == (one["activation_raw"].item(),)
    again = reproduce(file, tmp_path / "net.keras")
    assert max(again.raw, again.display) < 1e-6


def test_the_strip_shows_each_map_with_its_words(found):
    ones = [dataset.select(found, unit=unit) for unit in (0, 1)]
    html = parts.strip(ones)
    alts = re.findall(r'<img alt="([^"]+)"', html)
    assert alts == [parts.caption(one).replace("\n", "; ") for one in ones]
    sources = re.findall(r'src="([^"]+)"', html)
    assert [decoded(s) for s in sources] == [parts.png(parts.pixels(one)) for one in ones]
