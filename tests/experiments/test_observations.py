"""The post's statements as numbers, on maps whose content is planted."""

import numpy as np
import pytest
import xarray as xr

from experiments.experiment1 import observations
from experiments.experiment1.observations import Evidence, Grid, Observation
from helpers.maps.dataset import GRID, IMAGE

SHAPE = (40, 40, 3)
ROWS, COLUMNS = np.indices(SHAPE[:2])
COLOUR = np.array([1.0, 1.0, 1.0])


def picture(plane, colour=COLOUR):
    return 127.5 + 25 * np.asarray(plane, float)[..., None] * np.asarray(colour)


def noise(seed):
    return picture(np.random.default_rng(seed).normal(size=SHAPE[:2]))


def curves(seed):
    phase = 3.0 * seed
    return picture(np.sin(2 * np.pi * ROWS / 40 + phase) * np.cos(2 * np.pi * COLUMNS / 40 + phase))


def stripes(period, *, wavy=0.0):
    return picture(np.sin(2 * np.pi * (ROWS + wavy * np.sin(COLUMNS / 4)) / period))


def waffle(period):
    return picture(np.sin(2 * np.pi * ROWS / period) * np.sin(2 * np.pi * COLUMNS / period))


def even(colour):
    return np.broadcast_to(127.5 + 60 * np.asarray(colour), SHAPE)


def as_maps(images, tv_weights=(1e-3,), lp_weights=(10,), silent=None):
    """Images (unit, tv_weight, lp_weight, seed, H, W, C) as `happy_maps` returns them."""
    images = np.asarray(images, float)
    units, *_, seeds = images.shape[:4]
    gradient = np.ones((units, seeds))
    gradient[list(silent or ())] = 0
    shown = np.clip(images, 0, 255).round().astype("uint8")
    return xr.Dataset(
        {
            "display": ((*GRID, *IMAGE), shown),
            "raw": ((*GRID, *IMAGE), images.astype("float32")),
            "gradient_seed": (("unit", "seed"), gradient),
        },
        {
            "unit": range(units),
            "tv_weight": list(tv_weights),
            "lp_weight": list(lp_weights),
            "seed": range(seeds),
        },
    )


def one_weight(units, silent=None):
    """Units' images, one seed or a list of seeds each, at one weight."""
    seeds = [unit if isinstance(unit, list) else [unit] for unit in units]
    return as_maps(np.array(seeds)[:, None, None], silent=silent)


def alone_like(maps, make=curves):
    """The regularizers' own map: `make(seed)` at every weight."""
    each = [make(seed) for seed in range(maps.sizes["seed"])]
    grid = np.broadcast_to(
        np.array(each), (1, maps.sizes["tv_weight"], maps.sizes["lp_weight"], len(each), *SHAPE)
    )
    return as_maps(grid, maps["tv_weight"].values, maps["lp_weight"].values)


def evidence(**maps):
    looks = {name: observations.look(each, alone_like(each)) for name, each in maps.items()}
    return Evidence(maps, looks)


def test_the_checkerboard_goes_and_the_rest_stays():
    checkerboard = 1 - 2 * ((ROWS + COLUMNS) % 2)
    base = stripes(8)
    noisy = xr.DataArray(base + 20 * checkerboard[..., None], dims=IMAGE)
    clean = observations.without_checkerboard(noisy)
    np.testing.assert_allclose(clean[3:-3, 3:-3], base[3:-3, 3:-3], atol=0.6)
    white = xr.DataArray(noise(0), dims=IMAGE)
    kept = observations.without_checkerboard(white).var() / white.var()
    # a Gaussian g of sd 1 has g(0) = 1 / (2 pi), sum g^2 = 1 / (4 pi): kept is 1 - 2 g(0) + sum g^2
    assert kept.item() == pytest.approx(1 - 1 / np.pi + 1 / (4 * np.pi), abs=0.04)


def test_a_look_says_what_is_on_a_map():
    maps = one_weight([curves(0), even([1, -1, 0]), noise(1), stripes(8), waffle(8)], silent=[0])
    look = observations.look(maps, alone_like(maps)).squeeze()
    assert look["shows"].values.tolist() == [False, True, True, True, True]
    assert look["even"].values.tolist() == [False, True, False, False, False]
    assert look["static"].values.tolist() == [False, False, True, False, False]
    assert look["pattern"].values.tolist() == [False, False, False, True, True]
    assert look["silent"].values.tolist() == [True, False, False, False, False]
    assert look["edges"].values[3] > 0.95 and look["edges"].values[4] < 0.05
    assert look["alone"].values[0] == pytest.approx(1)


def test_the_mean_period_is_that_of_the_stripes():
    images = xr.DataArray([stripes(8), stripes(20)], dims=("unit", *IMAGE))
    np.testing.assert_allclose(observations.mean_period(images), [8, 20], rtol=1e-6)


def test_blue_is_what_blue_has_more_than_the_others():
    blue = xr.DataArray([even([0, 0.2, 0.5])], dims=("unit", *IMAGE))
    assert observations.blueness(blue).item() == pytest.approx(0.3 * 60)
    assert np.isnan(observations.blueness(blue.isel(channel=[0])).item())


def test_what_shows_is_counted_among_units_with_a_gradient():
    images = [[stripes(8), stripes(8)], [curves(0), stripes(8)], [curves(0), curves(0)]]
    maps = as_maps(np.array(images)[:, :, None, None], (1e-3, 1e-2), silent=[2])
    given = evidence(filters=maps, dense=one_weight([stripes(8), waffle(8)]))
    assert observations.share_that_shows(given, ["filters"], [1e-3]) == 0.5
    assert observations.share_that_shows(given, ["filters"], [1e-3, 1e-2]) == 1
    assert observations.dense_less_filters(given, ["filters"], ["dense"], [1e-3]) == 0.5
    silent = evidence(first=one_weight([curves(0)], silent=[0]))
    assert np.isnan(observations.share_that_shows(silent, ["first"], [1e-3]))


def test_the_lp_weight_is_judged_by_neighbouring_weights():
    images = [[stripes(8), stripes(8), waffle(8)], [noise(0), noise(1), noise(2)]]
    maps = as_maps(np.array(images)[:, None, :, None], lp_weights=(1, 10, 100), silent=[1])
    value = observations.similarity_over_lp(evidence(lp=maps), ["lp"])
    assert value == pytest.approx(0.5, abs=0.02)  # of 1 and 0; the silent unit is left out


def test_static_and_even_have_to_be_so_at_every_weight():
    red, blue = even([1, -1, -1]), even([-1, -1, 1])
    images = [[noise(0), noise(1)], [noise(0), stripes(8)], [red, blue], [red, stripes(8)]]
    given = evidence(first=as_maps(np.array(images)[:, :, None, None], (1e-3, 1e-2)))
    assert observations.share_static(given, ["first"], [1e-3, 1e-2]) == 0.25
    assert observations.share_static(given, ["first"], [1e-3]) == 0.5
    assert observations.share_even(given, ["first"], [1e-3, 1e-2]) == 0.25


def test_wavy_stripes_are_edges_and_waffles_are_two_dimensional():
    given = evidence(first=one_weight([stripes(8, wavy=1.5), waffle(8), noise(0), curves(0)]))
    assert observations.share_of_edges(given, ["first"], [1e-3], 0.3) == 0.25
    assert observations.share_two_dimensional(given, ["first"], [1e-3], 0.3) == 0.5
    assert observations.share_of_patterns(given, ["first"], [1e-3]) == 0.5


def test_maps_without_a_pattern_are_described():
    runs = [[curves(0), curves(1)], [curves(0), curves(1)], [stripes(8), stripes(8)]]
    given = evidence(first=one_weight(runs))
    assert observations.share_like_alone(given, ["first"]) == pytest.approx(2 / 3)
    assert observations.coarse_share_of_like_alone(given, ["first"]) > 0.85
    assert abs(observations.blue_of_like_alone(given, ["first"])) < 1
    over_seeds = observations.similarity_over_seeds_of_like_alone(given, ["first"])
    a, b = (curves(seed)[4:-4, 4:-4, 0] for seed in (0, 1))
    assert over_seeds == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=0.02)
    assert observations.similarity_over_seeds_of_shown(given, ["first"], [1e-3]) == pytest.approx(
        1, abs=1e-4
    )


def test_thicknesses_spread_as_the_periods_do():
    given = evidence(second=one_weight([stripes(6), stripes(16)]))
    low, high = np.quantile(given.looks["second"]["period"], [0.1, 0.9])
    value = observations.spread_of_periods(given, ["second"], [1e-3])
    assert value == pytest.approx(high / low) and 1.8 < value < 16 / 6


def test_twins_are_counted_in_pairs_of_one_layer():
    twins = one_weight([stripes(8), stripes(8), waffle(8)])
    given = evidence(dense_1=twins, dense_2=one_weight([stripes(8)]))
    value = observations.share_of_twins(given, ["dense_1", "dense_2"], [1e-3], 0.8)
    assert value == pytest.approx(1 / 3)
    lonely = evidence(dense_1=one_weight([stripes(8)]))
    assert np.isnan(observations.share_of_twins(lonely, ["dense_1"], [1e-3], 0.8))


def test_outputs_are_complements_at_the_weight_where_they_are_most_so():
    negative = 255 - stripes(8)
    images = [[stripes(8), stripes(8)], [waffle(8), negative]]
    given = evidence(outputs=as_maps(np.array(images)[:, :, None, None], (1e-3, 1e-2)))
    assert observations.similarity_of_outputs(given, ["outputs"]) == pytest.approx(-1, abs=0.01)


def test_a_face_is_recognised_by_the_side_it_turns_to():
    left, right = waffle(16)[..., 0], stripes(16)[..., 0]
    maps = one_weight([255 - waffle(16), waffle(16)])
    looks = {"outputs": observations.look(maps, alone_like(maps))}
    given = Evidence({"outputs": maps}, looks, left, right)
    assert observations.camera_left(given, ["outputs"]) == pytest.approx(1, abs=0.05)
    other = Evidence({"outputs": maps}, looks, right, left)
    assert observations.camera_left(other, ["outputs"]) == pytest.approx(-1, abs=0.05)
    assert np.isnan(observations.camera_left(Evidence({"outputs": maps}, looks), ["outputs"]))


def test_a_statement_holds_by_the_mean_of_most_trainings():
    half = Observation("", "", "share_static", at_least=0.35, at_most=0.65)
    assert half.holds([0.3, 0.5, 0.5]) and not half.holds([0.3, 0.3, 0.3])
    assert not half.holds([0.7, 0.7, 0.6])
    assert half.holds([0.5, 0.5, np.nan]) and not half.holds([0.5, np.nan, np.nan])


def test_every_statement_of_the_post_has_a_number_and_a_threshold():
    grids, statements = observations.read()
    assert len(statements) >= 14
    for name, one in statements.items():
        assert one.post and one.number, name
        assert np.isfinite(one.at_least) or np.isfinite(one.at_most), name
    assert grids["outputs"] == Grid(
        "dense_3", 2, (1e-5, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2), seeds=(0, 1)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('measure = "guess"\ngrids = ["a"]', "measure of x must be one of .*'guess'"),
        ('measure = "share_static"\ngrids = ["b"]', r"grids of x must be of \['a'\].*'b'"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    file = tmp_path / "observations.toml"
    file.write_text(
        '[grids.a]\nlayer = "conv"\nunits = 1\ntv_weights = [1]\n'
        f'[observations.x]\npost = "p"\nnumber = "n"\n{text}\n'
    )
    with pytest.raises(ValueError, match=message):
        observations.read(file)


def test_the_table_has_every_statement_and_set_up():
    statements = {
        "a": Observation("", "", "share_static", at_least=0.5),
        "b": Observation("", "", "share_even", at_most=0.5),
    }
    numbers = {"one": [{"a": 1.0, "b": np.nan}, {"a": 0.5, "b": np.nan}], "two": [{"a": 0, "b": 0}]}
    found = observations.table(numbers, statements)
    assert found["one", "number"].to_dict() == pytest.approx({"a": 0.75, "b": np.nan}, nan_ok=True)
    assert found["one", "holds"].to_dict() == {"a": True, "b": False}
    assert found["two", "holds"].to_dict() == {"a": False, "b": True}


def test_the_regularizers_alone_do_not_see_the_unit():
    grid = Grid("any", 1, (0.0,), (0,), (3,))
    alone = observations.regularizers_alone((8, 8, 3), grid)
    start = observations.regularizers_alone((8, 8, 3), Grid("any", 1, (0.0,), (0,), (3, 4)))
    assert alone["gradient_seed"].item() == 0
    # no objective and no regularizer: the seed's noise stays as it is (mean 127.5, sd 12.75)
    assert alone["raw"].mean().item() == pytest.approx(127.5, abs=1e-3)
    assert alone["raw"].std().item() == pytest.approx(12.75, rel=1e-4)
    np.testing.assert_array_equal(alone["raw"][..., 0, :, :, :], start["raw"][..., 0, :, :, :])


def test_seed_inputs_lie_in_the_input_range():
    grid = Grid("any", 1, (0.0,), (0,), (3, 4))
    alone = observations.regularizers_alone((8, 8, 3), grid, (0, 1))["raw"].squeeze()
    np.testing.assert_allclose(alone.mean(IMAGE), 0.5, atol=1e-5)
    np.testing.assert_allclose(alone.std(IMAGE), 0.05, rtol=1e-4)
    assert abs(alone[0] - alone[1]).max() > 0.01
