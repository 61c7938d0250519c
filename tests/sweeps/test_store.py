import errno
import random
import resource

import h5py
import numpy as np
import pytest
import xarray as xr

from helpers.sweeps import store


def dataset(done=True, values=(1.5, 2.5), units=(3, 7)):
    return xr.Dataset(
        {"raw": ("unit", np.array(values, "float32")), "done": ("unit", [True, done])},
        {"unit": list(units)},
        {"layer": "conv", "input_range": [0.0, 255.0]},
    )


def test_round_trip_keeps_values_types_and_provenance(tmp_path):
    path = store.save(dataset(), tmp_path / "new" / "a.nc")
    xr.testing.assert_identical(store.load(path).drop_attrs(), dataset().drop_attrs())
    assert store.load(path)["done"].dtype == bool
    assert store.load(path).attrs["layer"] == "conv"
    np.testing.assert_array_equal(store.load(path).attrs["input_range"], [0, 255])
    assert store.is_intact(path)


def test_other_readers_of_netcdf_read_it(tmp_path):
    path = store.save(dataset(), tmp_path / "a.nc")
    with h5py.File(path) as file:
        assert file["raw"][()].tolist() == [1.5, 2.5]
    xr.testing.assert_equal(xr.load_dataset(path, engine="h5netcdf"), dataset())


def test_a_file_of_another_writer_is_read(tmp_path):
    dataset().to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert store.is_intact(tmp_path / "a.nc")
    xr.testing.assert_equal(store.load(tmp_path / "a.nc"), dataset())


def test_unfinished_maps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1 unfinished maps"):
        store.save(dataset(done=False), tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_an_error_that_names_it(tmp_path):
    path = store.save(dataset(), tmp_path / "a.nc")
    whole = path.read_bytes()
    for size in (0, 200, len(whole) // 2):
        path.write_bytes(whole[:size])
        assert not store.is_intact(path)
        with pytest.raises(ValueError, match=r"a\.nc"):
            store.load(path)


def test_any_changed_bit_is_noticed(tmp_path):
    path = store.save(dataset(), tmp_path / "a.nc")
    whole = path.read_bytes()
    choose = random.Random(0)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[choose.randrange(len(whole) - store.CHECKSUM_SIZE)] ^= 1 << choose.randrange(8)
        path.write_bytes(damaged)
        assert not store.is_intact(path)
        with pytest.raises(ValueError, match=r"a\.nc"):
            store.load(path)


def test_a_missing_file_is_named(tmp_path):
    assert not store.is_intact(tmp_path / "b.nc")
    with pytest.raises(FileNotFoundError, match=r"b\.nc"):
        store.load(tmp_path / "b.nc")
    with pytest.raises(FileNotFoundError, match=r"b\.nc"):
        store.open_together([tmp_path / "b.nc"], "unit")


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # the write stops half-way
    try:
        with pytest.raises(OSError, match="must be a folder with room") as caught:
            store.save(dataset(), tmp_path / "a.nc")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file/results must be a folder"):
        store.save(dataset(), tmp_path / "file" / "results" / "a.nc")


def test_files_open_together_unread(tmp_path):
    parts = [dataset(), dataset(values=(3.5, 4.5), units=(8, 9))]
    paths = [store.save(part, tmp_path / f"{i}.nc") for i, part in enumerate(parts)]
    together = store.open_together(paths, "unit")
    assert together["raw"].chunks == ((2, 2),)
    xr.testing.assert_equal(together.compute(), xr.concat(parts, "unit"))
    (tmp_path / "damaged.nc").write_bytes(b"no netCDF")
    with pytest.raises(ValueError, match=r"damaged\.nc must be a netCDF"):
        store.open_together([paths[0], tmp_path / "damaged.nc"], "unit")
