import numpy as np
import pytest
import xarray as xr

from helpers import store


def dataset(done=True):
    return xr.Dataset(
        {"raw": ("unit", np.array([1.5, 2.5], "float32")), "done": ("unit", [True, done])},
        {"unit": [3, 7]},
        {"layer": "conv", "input_range": [0.0, 255.0]},
    )


def test_round_trip_keeps_values_types_and_provenance(tmp_path):
    path = store.save(dataset(), tmp_path / "new" / "a.nc")
    xr.testing.assert_identical(store.load(path).drop_attrs(), dataset().drop_attrs())
    assert store.load(path)["done"].dtype == bool
    assert store.load(path).attrs["layer"] == "conv"
    np.testing.assert_array_equal(store.load(path).attrs["input_range"], [0, 255])


def test_unfinished_maps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1 maps not done"):
        store.save(dataset(done=False), tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with store.whole_file(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_truncated_file_is_an_error_that_names_it(tmp_path):
    path = store.save(dataset(), tmp_path / "a.nc")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"a\.nc"):
        store.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"b\.nc"):
        store.load(tmp_path / "b.nc")
