import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.maps.spec import MapSpec
from helpers.publish import sheets
from helpers.sweeps import store


@pytest.fixture(scope="module")
def drawn(small_experiment):
    return list(sheets.stored_sheets(small_experiment))


def test_maps_that_differ_in_the_grid_only_are_one_sheet(drawn):
    conv, dense = drawn
    assert [sheet.model for sheet in drawn] == ["seen", "seen"]
    assert conv.title == "conv, activation: 3 units, 9 maps by batched, 4 steps"
    assert list(conv.tiles)[:3] == [(0, 1e-3, 10.0, 0), (0, 1e-1, 10.0, 0), (0, 1e-1, 10.0, 1)]
    assert dense.spec.objective == "pre-activation" and len(dense.tiles) == 2


def test_each_tile_of_the_image_is_its_map(drawn, small_experiment):
    stored = store.load(small_experiment / "results" / "b.nc")
    image = np.asarray(drawn[0].image())
    assert image.shape == (8, 6 * sheets.COLUMNS)
    tile = list(drawn[0].tiles).index((2, 1e-1, 10.0, 1))
    expected = stored["display"].sel(unit=2, tv_weight=1e-1, seed=1).squeeze().values
    np.testing.assert_array_equal(image[:, tile * 6 : tile * 6 + 6], expected)


def test_the_description_holds_the_numbers_and_a_spec(drawn, small_experiment):
    stored = store.load(small_experiment / "results" / "a.nc")
    described = drawn[0].description("maps/x.png")
    one = stored.sel(unit=1, tv_weight=1e-1).squeeze()
    numbers = next(m for m in described["maps"] if m[:4] == [1, 1e-1, 10.0, 0])[4:]
    expected = [float(one[name]) for name in sheets.NUMBERS]
    np.testing.assert_allclose(numbers, expected, rtol=5e-3)
    assert MapSpec.from_toml(described["toml"]).layer == "conv"
    assert (described["height"], described["width"], described["sheet"]) == (8, 6, "maps/x.png")


def test_rows_follow_after_sixteen_tiles_and_large_maps_are_scaled_down():
    spec = MapSpec("conv", 0)
    tiles = {(u, 1.0, 1.0, 0): np.full((256, 128, 3), u, "uint8") for u in range(17)}
    sheet = sheets.Sheet("net", spec, tiles, {})
    image = sheet.image()
    assert image.size == (64 * 16, 128 * 2) and image.mode == "RGB"
    assert image.getpixel((5, 130)) == (16, 16, 16)
    assert image.getpixel((64 * 15 + 5, 5)) == (15, 15, 15)


def test_other_maths_other_models_and_damaged_files_are_left_out(small_experiment, tmp_path):
    shutil.copytree(small_experiment, tmp_path / "copy")
    results = tmp_path / "copy" / "results"
    old = store.load(results / "a.nc").assign_attrs(numerics="0")
    store.save(old, results / "a.nc")
    strange = store.load(results / "b.nc").assign_attrs(weight_digest="00")
    store.save(strange, results / "b.nc")
    (results / "d.nc").write_text("no netCDF")
    with pytest.warns(UserWarning, match="left out.*d.nc"):
        left = list(sheets.stored_sheets(tmp_path / "copy"))
    assert [sheet.spec.layer for sheet in left] == ["dense"]


def test_models_that_the_study_declares_elsewhere_count(small_experiment, tmp_path):
    other = tmp_path / "experiment8"
    shutil.copytree(small_experiment / "results", other / "results")
    shutil.copytree(small_experiment, tmp_path / "experiment7")
    (other / "experiment.toml").write_text(
        '[nets.a]\nmain = "../experiment7/seen.keras"\n[grids.conv]\nlayer = "conv"\n'
    )
    (other / "architectures.toml").write_text("[nets.a]\nfilters = [3]\n")
    assert [path.name for path in sheets.models_of(other)] == ["seen.keras"]
    assert [sheet.model for sheet in sheets.stored_sheets(other)] == ["seen", "seen"]


def test_a_value_that_is_not_finite_is_no_number():
    spec, key = MapSpec("conv", 0), (0, 1.0, 1.0, 0)
    tile = np.zeros((2, 2, 1), "uint8")
    sheet = sheets.Sheet("net", spec, {key: tile}, {key: (float("nan"), 1.23456, 0.0, 1e-9)})
    assert sheet.description("")["maps"] == [[*key, None, 1.23, 0.0, 1e-9]]
    assert isinstance(sheet.image(), Image.Image)
