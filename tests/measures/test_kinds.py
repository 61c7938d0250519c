import numpy as np
import pytest
import xarray as xr

from helpers import faces
from helpers.maps import dataset
from helpers.measures import kinds

ROWS, COLUMNS = np.mgrid[0:64, 0:64]
DRAW = np.random.default_rng(0)


def blob(row, column, radius=8):
    return np.exp(-((ROWS - row) ** 2 + (COLUMNS - column) ** 2) / (2 * radius**2))


def wave(period, axis):
    return np.sin(2 * np.pi * axis / period)


PLANTED = {
    "bright": 0.1 * blob(32, 32),
    "staticky": DRAW.normal(size=(64, 64)),
    "edge-like": wave(8, COLUMNS),
    "textured": wave(8, COLUMNS) * wave(8, ROWS),
    "object-like": blob(24, 40, 5) - blob(40, 28, 5),
    "diffuse": wave(32, COLUMNS) * wave(32, ROWS),
}


def maps(planes, sign="happy", input_range=(0, 255)):
    """Planes around 0 -> maps of mean pixel 100; that of "bright" has 250."""
    pixels = np.stack([100 + 20 * plane for plane in planes])
    if len(planes) == len(PLANTED):
        pixels[list(PLANTED).index("bright")] += 150
    z_score = (pixels - pixels.mean((1, 2), keepdims=True)) / pixels.std((1, 2), keepdims=True)
    low, high = input_range
    grid = (slice(None), None, None, None, ..., None)
    dims = ("unit", "tv_weight", "lp_weight", "seed", "height", "width", "channel")
    count = len(planes)
    return xr.Dataset(
        {
            "display": (dims, np.clip(127.5 + 25 * z_score, 0, 255).astype("uint8")[grid]),
            "raw": (dims, (low + pixels * (high - low) / 255)[grid]),
            "activation_raw": (dims[:4], np.arange(count, dtype=float)[:, None, None, None]),
            "activation_display": (dims[:4], np.zeros((count, 1, 1, 1))),
            "activation_seed": (("unit", "seed"), np.ones((count, 1))),
        },
        {"unit": range(count), "seed": [0]},
        {"sign": sign, "input_range": list(input_range)},
    )


MAPS = maps(list(PLANTED.values()))
REAL = faces.load_faces("rendered", people=6, per_person=8).images
LEVELS = kinds.levels(kinds.of_images(REAL, MAPS))


def test_planted_pictures_get_their_kind():
    numbers = kinds.of_maps(MAPS)
    assert kinds.kind(numbers, LEVELS).values.ravel().tolist() == list(PLANTED)


def test_a_frame_does_not_decide():
    framed = PLANTED["staticky"].copy()
    framed[:6] += 5
    assert kinds.kind(kinds.of_maps(maps([framed])), LEVELS) == "staticky"


def test_real_images_are_object_like():
    found = kinds.kind(kinds.of_images(REAL, MAPS), LEVELS)
    assert float((found == "object-like").mean()) > 0.6
    assert int((found == "bright").sum()) == 3  # 5 % of 48


def test_shares_add_to_one_and_brightness_is_in_pixels():
    numbers = kinds.of_maps(MAPS).squeeze()
    shares = [numbers[f"{name} share"] for name in ("high-frequency", "texture", "coarse")]
    np.testing.assert_allclose(sum(shares), 1)
    small = kinds.of_maps(maps(list(PLANTED.values()), input_range=(-1, 1))).squeeze()
    np.testing.assert_allclose(small["brightness"], numbers["brightness"])
    assert float(numbers["brightness"][2]) == pytest.approx(100)


def test_extent_by_hand():
    def picture(plane):
        return xr.DataArray(plane[None, ..., None], dims=("unit", "height", "width", "channel"))

    checkers = (ROWS + COLUMNS) % 2.0
    assert float(kinds.extent(picture(checkers))[0]) == pytest.approx(1)
    assert np.isnan(kinds.extent(picture(np.ones((8, 8))))).all()
    two = np.zeros((64, 64))
    two[10, 20], two[10, 30] = 1, -1
    assert float(kinds.extent(picture(two))[0]) == pytest.approx(5 / np.sqrt((64**2 - 1) / 6))


def test_a_coloured_plane_with_faint_noise_is_flat():
    gray = kinds.of_maps(MAPS)
    np.testing.assert_allclose(gray["spatial share"].isel(unit=[1, 2, 3]), 1, rtol=0.01)
    framed = np.zeros((64, 64)) + 0.01 * PLANTED["staticky"]
    framed[:6] = 1
    assert kinds.kind(kinds.of_maps(maps([framed])), LEVELS) == "flat"
    colour = np.stack([60 + PLANTED["staticky"], 180 + PLANTED["staticky"]], -1)[None]
    picture = xr.DataArray(colour, dims=("unit", "height", "width", "channel"))
    share = float(kinds.spatial_share(picture)[0])
    assert share == pytest.approx(1 / (1 + 60**2), rel=0.05)
    numbers = gray.isel(unit=1).assign({"spatial share": share})
    assert kinds.kind(numbers, LEVELS) == "flat"


def test_brightness_spread_by_hand():
    halves = np.repeat([[0.0, 10.0]], 16, axis=0).repeat(8, axis=1)[None, ..., None]
    picture = xr.DataArray(halves, dims=("unit", "height", "width", "channel"))
    assert float(kinds.brightness_spread(picture)[0]) == 5
    checkers = ((ROWS + COLUMNS) % 2.0)[None, ..., None]
    flat = xr.DataArray(checkers, dims=("unit", "height", "width", "channel"))
    assert float(kinds.brightness_spread(flat)[0]) == 0


def test_found_is_beyond_the_seed_input_either_way():
    assert dataset.raised(MAPS).values.ravel().tolist() == [False, False, True, True, True, True]
    turned = MAPS["activation_raw"].copy(data=MAPS["activation_raw"].values[::-1])
    shown = MAPS.assign(activation_display=turned)
    assert dataset.raised(shown).values.ravel().tolist() == [True] * 6
    sad = MAPS.assign_attrs(sign="sad").assign(activation_display=MAPS["activation_raw"])
    assert dataset.raised(sad).values.ravel().tolist() == [True] + [False] * 5
