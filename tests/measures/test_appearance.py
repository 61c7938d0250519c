import numpy as np
import pytest
import xarray as xr

from helpers import faces
from helpers.images import as_pixels
from helpers.measures import appearance
from helpers.measures.repeatability import NO_MAP

SIZE = 40
INSIDE = 32
ROWS, COLUMNS = np.mgrid[0:SIZE, 0:SIZE]
NOISE = np.random.default_rng(0).normal(size=(8, SIZE, SIZE))
DIMS = ("unit", "height", "width", "channel")


def as_images(*planes):
    """Planes (H, W) -> labelled (unit, height, width, channel)."""
    values = np.stack(planes)[..., None].astype("float32")
    return xr.DataArray(values, {"unit": range(len(planes))}, DIMS)


def colours(*planes):
    """Planes (H, W), one per channel -> one labelled image."""
    return xr.DataArray(np.stack(planes, -1)[None], dims=DIMS)


def grating(cycles):
    return np.sin(2 * np.pi * cycles * COLUMNS / INSIDE)


def test_the_frame_is_a_tenth_on_each_side_and_at_least_one_pixel():
    inner = appearance.without_frame(as_images(NOISE[0]))
    np.testing.assert_array_equal(inner[0, ..., 0], np.float32(NOISE[0][4:-4, 4:-4]))
    sizes = {n: appearance.without_frame(as_images(np.ones((n, n)))).sizes["width"] for n in (1, 2)}
    assert sizes == {1: 1, 2: 2}
    assert appearance.without_frame(as_images(np.ones((4, 6)))).shape == (1, 2, 4, 1)


def test_high_frequency_share_of_gratings_and_noise():
    slow, fast = grating(2), grating(12)
    share = appearance.high_frequency_share(as_images(slow, fast, slow + fast))
    np.testing.assert_allclose(share, [0, 1, 0.5], atol=1e-9)
    noise = appearance.high_frequency_share(as_images(*NOISE)).mean()
    assert noise == pytest.approx(1 - np.pi / 16, abs=0.02)


@pytest.mark.parametrize(
    "measure",
    [
        appearance.high_frequency_share,
        appearance.texture_share,
        appearance.coarse_share,
        appearance.extent,
        lambda images: appearance.orientation(images)["edge_strength"],
    ],
)
def test_the_frame_does_not_count(measure):
    framed = NOISE[0].copy()
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 9, -9, 7, 100
    np.testing.assert_allclose(measure(as_images(framed)), measure(as_images(NOISE[0])))


@pytest.mark.parametrize(
    "measure", [appearance.spatial_share, appearance.brightness, appearance.brightness_spread]
)
def test_the_free_pixel_at_the_bottom_right_does_not_count(measure):
    corner = NOISE[0].copy()
    corner[-1, -1] = 1e4
    np.testing.assert_allclose(measure(as_images(corner)), measure(as_images(NOISE[0])))


def test_bands_share_the_whole_energy():
    stack = as_images(*NOISE)
    shares = (appearance.coarse_share, appearance.texture_share, appearance.high_frequency_share)
    np.testing.assert_allclose(sum(share(stack) for share in shares), 1)
    mean = float(appearance.texture_share(stack).mean())
    assert mean == pytest.approx(15 * np.pi / 256, abs=0.02)


def test_a_flat_image_has_no_share_and_no_orientation():
    flat = as_images(np.full((SIZE, SIZE), 7.0))
    assert np.isnan(appearance.high_frequency_share(flat)).all()
    assert np.isnan(appearance.orientation(flat)["edge_strength"]).all()
    assert np.isnan(appearance.extent(flat)).all()
    assert np.isnan(appearance.spatial_share(flat)).all()


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 150])
def test_orientation_of_a_grating_is_the_angle_of_its_stripes(angle):
    radians = np.radians(angle)
    across = -np.sin(radians) * COLUMNS - np.cos(radians) * ROWS
    edges = appearance.orientation(as_images(np.sin(2 * np.pi * 4 * across / INSIDE)))
    off = (float(edges["edge_angle"][0]) - angle + 90) % 180 - 90
    assert abs(off) < 3
    assert float(edges["edge_strength"][0]) > 0.95


def test_noise_has_no_orientation():
    assert (appearance.orientation(as_images(*NOISE))["edge_strength"] < 0.2).all()


def test_what_differs_in_colour_only_counts():
    red_green = colours(grating(12), -grating(12), np.zeros((SIZE, SIZE)))
    assert float(appearance.high_frequency_share(red_green)[0]) == pytest.approx(1)
    assert float(appearance.orientation(red_green)["edge_strength"][0]) > 0.95
    assert float(appearance.orientation(red_green)["edge_angle"][0]) == pytest.approx(90, abs=3)


def test_extent_by_hand():
    checkers = (ROWS + COLUMNS) % 2.0
    assert float(appearance.extent(as_images(checkers))[0]) == pytest.approx(1)
    two = np.zeros((SIZE, SIZE))
    two[10, 20], two[10, 30] = 1, -1
    expected = 5 / np.sqrt((INSIDE**2 - 1) / 6)
    assert float(appearance.extent(as_images(two))[0]) == pytest.approx(expected)


def test_brightness_by_hand():
    image = xr.DataArray(np.array([[[[1.0, 2.0]], [[3.0, 6.0]]]]), dims=DIMS)
    assert float(appearance.brightness(image)[0]) == 1.5  # the last pixel is the free one
    halves = np.repeat([[0.0, 10.0]], 16, axis=0).repeat(8, axis=1)
    assert float(appearance.brightness_spread(as_images(halves))[0]) == 5
    assert float(appearance.brightness_spread(as_images((ROWS + COLUMNS) % 2.0))[0]) < 0.02


def test_spatial_share_of_a_coloured_plane_with_faint_noise():
    share = float(appearance.spatial_share(colours(60 + NOISE[0], 180 + NOISE[0]))[0])
    assert share == pytest.approx(1 / (1 + 60**2), rel=0.1)


def test_top_orders_and_leaves_out_nan():
    values = xr.DataArray([3.0, np.nan, 9.0, 1.0], {"unit": [10, 11, 12, 13]}, ("unit",))
    assert appearance.top(values, 2).tolist() == [12, 10]
    assert appearance.top(values, 9, largest=False).tolist() == [13, 10, 12]


Y, X = np.mgrid[0:64, 0:64]


def blob(row, column, radius=8):
    return np.exp(-((Y - row) ** 2 + (X - column) ** 2) / (2 * radius**2))


def wave(period, axis):
    return np.sin(2 * np.pi * axis / period)


PLANTED = {
    "bright": 0.1 * blob(32, 32),
    "staticky": np.random.default_rng(1).normal(size=(64, 64)),
    "edge-like": wave(8, X),
    "textured": wave(8, X) * wave(8, Y),
    "object-like": blob(24, 40, 5) - blob(40, 28, 5),
    "diffuse": wave(32, X) * wave(32, Y),
}


def maps(planes, input_range=(0, 255)):
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
            "activation_seed": (("unit", "seed"), np.full((count, 1), 0.5)),
        },
        {"unit": range(count), "seed": [0], "tv_weight": [1.0], "lp_weight": [1.0]},
        {"sign": "happy", "input_range": list(input_range)},
    )


MAPS = maps(list(PLANTED.values()))
REAL = as_pixels(faces.load_faces("rendered", people=6, per_person=8).images)
LEVELS = appearance.class_levels(appearance.measure_images(REAL, MAPS))


def classes(numbers):
    return appearance.appearance_class(numbers, LEVELS).values.ravel().tolist()


def test_planted_images_get_their_class():
    assert classes(appearance.measure_appearance(MAPS)) == list(PLANTED)


def test_a_frame_does_not_decide_and_a_frame_alone_is_flat():
    framed = PLANTED["staticky"].copy()
    framed[:6] += 5
    assert classes(appearance.measure_appearance(maps([framed]))) == ["staticky"]
    empty = 0.01 * PLANTED["staticky"]
    empty[:6] = 1
    assert classes(appearance.measure_appearance(maps([empty]))) == ["flat"]


def test_real_images_are_object_like():
    names = classes(appearance.measure_images(REAL, MAPS))
    assert names.count("object-like") / len(names) > 0.6
    assert names.count("bright") == 3  # 5 % of 48


def test_brightness_is_in_pixels_whatever_the_models_range():
    numbers = appearance.measure_appearance(MAPS).squeeze()
    small = appearance.measure_appearance(maps(list(PLANTED.values()), (-1, 1))).squeeze()
    np.testing.assert_allclose(small["brightness"], numbers["brightness"])
    assert float(numbers["brightness"][2]) == pytest.approx(100, abs=0.1)


def test_units_have_the_means_of_raised_maps_and_no_class_without_one():
    numbers, unit_classes = appearance.unit_appearance(MAPS, REAL)
    assert unit_classes.values.ravel().tolist() == [NO_MAP, *list(PLANTED)[1:]]
    assert np.isnan(numbers["extent"].sel(unit=0)).all()
    one_seed, same = appearance.unit_appearance(MAPS.sel(seed=0), REAL)
    assert same.values.ravel().tolist() == unit_classes.values.ravel().tolist()
    np.testing.assert_allclose(one_seed["extent"].squeeze(), numbers["extent"].squeeze())
