import base64
import io
import re

import ipywidgets
import numpy as np
import pytest
from PIL import Image
from tiny import tiny_net

from helpers import maps, sweeps
from helpers.maps import dataset
from helpers.maps.spec import MapSpec
from helpers.panel import parts
from helpers.panel.elements import ImageView
from helpers.panel.wanted import Wanted
from helpers.plots import read_recipe
from helpers.publish.reproduce import reproduce

SPEC = MapSpec("conv", (2, 0), tv_weights=(0.5, 1), seeds=(3,), steps=4, preprocessing="0..255")


@pytest.fixture
def happy():
    return maps.compute(tiny_net(), SPEC, progress=False)


def decoded(url: str) -> bytes:
    return base64.b64decode(url.split("base64,")[1])


def test_the_words_hold_the_numbers(happy):
    one = dataset.select(happy)
    raw, displayed = one["activation_raw"].item(), one["activation_display"].item()
    assert parts.caption(one).splitlines() == [
        "HappyMap of conv",
        "unit 2, activation",
        "TV 0.5, LP 10, seed 3",
        parts.reached(one),
    ]
    assert parts.reached(one).startswith(f"{raw:.3g} → {displayed:.3g}")
    assert parts.line(one) == (
        f"HappyMap of conv unit 2: activation {parts.reached(one)} (raw map → displayed map)"
    )
    assert parts.details(one).splitlines() == [
        "unit 2, activation",
        "TV 0.5, LP 10, seed 3",
        f"seed input: {one['activation_seed'].item():.3g},"
        f" gradient {one['gradient_seed'].item():.2g}",
        f"lowest loss: {one['loss'].min().item():.4g}",
        f"raw map: values from {one['raw'].min().item():.3g} to {one['raw'].max().item():.3g}",
    ]


def test_a_map_that_is_not_raised_or_silent_is_marked(happy):
    one = dataset.select(happy)
    high, low = (one.assign(activation_seed=one["activation_seed"] * 0 + seed) for seed in (9, -9))
    assert parts.reached(high).endswith(", not raised")
    assert "not raised" not in parts.reached(low)
    silent = high.assign(gradient_seed=one["gradient_seed"] * 0)
    assert "no gradient: the regularizers act alone" in parts.details(silent)
    assert parts.reached(silent).endswith(", not raised: no gradient")


def test_a_map_taken_by_scalars_reads_the_same(happy):
    one = dataset.select(happy, unit=1, tv_weight=1)
    scalar = happy.sel(unit=0, tv_weight=1.0, seed=3, lp_weight=10.0)
    scalar = scalar.assign_attrs(spec=one.attrs["spec"])
    assert parts.line(scalar) == parts.line(one) and parts.details(scalar) == parts.details(one)
    np.testing.assert_array_equal(parts.pixels(scalar), parts.pixels(one))


def test_an_activation_weight_other_than_1_is_named():
    spec = MapSpec("conv", (0,), activation_weight=2)
    assert "unit 0, activation, weight 2" in parts.describe(Wanted(spec))


@pytest.mark.parametrize(
    ("engine", "pixels"), [("batched", "free"), ("batched", "bounded"), ("keras-vis", "free")]
)
def test_a_growing_image_is_displayed_as_the_map_at_the_end(engine, pixels):
    spec = MapSpec("conv", (1,), steps=6, engine=engine, pixels=pixels, preprocessing="0..255")
    seen = []
    one = sweeps.optimize(tiny_net(), spec, lambda _, image: seen.append(image))
    losses = one["loss"].values.ravel()
    assert losses.argmin() == losses.size - 1  # the map is the last image
    grown = parts.growing(seen[-1], Wanted(spec)).astype(int)
    np.testing.assert_allclose(grown, parts.pixels(one), atol=1)


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
def test_values_that_are_not_numbers_are_named(dim, text):
    with pytest.raises(ValueError, match=rf"{dim}s must be numbers like .*, got '{text}'"):
        parts.parse_values(dim, text)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_pixels(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), "uint8")
    back = np.asarray(Image.open(io.BytesIO(parts.png(pixels))))
    np.testing.assert_array_equal(back.reshape(pixels.shape), pixels)


@pytest.mark.parametrize(("length", "width"), [(28, 252), (64, 256), (227, 227), (400, 256)])
def test_a_pixel_is_displayed_as_a_square_of_whole_pixels(length, width):
    assert parts.whole_width(np.zeros((length, length, 3), "uint8"), 256) == width


def test_caption_and_details_are_the_text_alternative():
    view = ImageView()
    parts.fill(view, np.zeros((4, 4, 1), "uint8"), "a\nb", "c\nd")
    assert (view.alt, view.caption, view.details) == ("a; b; c; d", "a\nb", "c\nd")
    assert view.png == parts.png(np.zeros((4, 4, 1), "uint8"))


def test_downloads_hold_the_files_under_a_safe_name():
    spec = MapSpec("block/conv <1>", (2,), tv_weights=(1e-3,), seeds=(4,))
    name = parts.file_name(Wanted(spec))
    assert re.fullmatch(r"[\w.+-]+", name) and "unit_2_TV_0.001_LP_10_seed_4" in name
    html = parts.downloads(name, b"image", spec.to_toml())
    assert re.findall(r">([^<]+)</a>", html) == ["Download PNG", "Download TOML"]
    assert "Download PNG of it</a>" in parts.downloads("it", b"", "", " of it")
    links = dict(re.findall(r'download="([^"]+)" href="([^"]+)"', html))
    assert decoded(links[f"{name}.png"]) == b"image"
    assert MapSpec.from_toml(decoded(links[f"{name}.toml"]).decode()) == spec


def test_a_shown_map_is_made_again_from_its_download_alone(happy, tmp_path):
    tiny_net().save(tmp_path / "model.keras")
    one = dataset.select(happy, unit=1, tv_weight=1)
    view, links = ImageView(), ipywidgets.HTML()
    parts.show(view, links, one)
    assert (view.caption, view.details) == (parts.line(one), parts.details(one))
    file = tmp_path / "map.png"
    file.write_bytes(decoded(re.search(r'png" href="([^"]+)"', links.value)[1]))
    np.testing.assert_array_equal(np.asarray(Image.open(file)), parts.pixels(one)[..., 0])
    recipe, _ = read_recipe(file)
    assert recipe.specs == (dataset.spec_of(one),)
    again = reproduce(file, tmp_path / "model.keras")
    assert max(again.raw, again.display) < 1e-6


def test_the_strip_shows_each_map_with_its_words(happy):
    kept = [dataset.select(happy, unit=unit) for unit in (0, 1)]
    html = parts.strip(kept)
    alts = re.findall(r'<img alt="([^"]+)"', html)
    assert alts == [parts.caption(one).replace("\n", "; ") for one in kept]
    sources = re.findall(r'src="([^"]+)"', html)
    assert [decoded(s) for s in sources] == [parts.png(parts.pixels(one)) for one in kept]
