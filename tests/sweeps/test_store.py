import errno
import random
import resource

import h5py
import numpy as np
import pytest
import xarray as xr

from helpers import files
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
    assert store.is_whole(path)


def test_other_readers_of_netcdf_read_it(tmp_path):
    path = store.save(dataset(), tmp_path / "a.nc")
    with h5py.File(path) as file:
        assert file["raw"][()].tolist() == [1.5, 2.5]
    xr.testing.assert_equal(xr.load_dataset(path, engine="h5netcdf"), dataset())


def test_a_file_of_another_writer_is_read(tmp_path):
    dataset().to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert store.is_whole(tmp_path / "a.nc")
    xr.testing.assert_equal(store.load(tmp_path / "a.nc"), dataset())


def test_unfinished_maps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1 maps not done"):
        store.save(dataset(done=False), tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with files.whole_file(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_truncated_file_is_an_error_that_names_it(tmp_path):
    path = store.save(dataset(), tmp_path / "a.nc")
    whole = path.read_bytes()
    for size in (0, 200, len(whole) // 2):
        path.write_bytes(whole[:size])
        assert not store.is_whole(path)
        with pytest.raises(ValueError, match=r"a\.nc"):
            store.load(path)


def test_any_changed_bit_is_noticed(tmp_path):
    path = store.save(dataset(), tmp_path / "a.nc")
    whole = path.read_bytes()
    choose = random.Random(0)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[choose.randrange(len(whole) - store.SEAL_SIZE)] ^= 1 << choose.randrange(8)
        path.write_bytes(damaged)
        assert not store.is_whole(path)
        with pytest.raises(ValueError, match=r"a\.nc"):
            store.load(path)


def test_a_missing_file_is_named(tmp_path):
    assert not store.is_whole(tmp_path / "b.nc")
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
    for write in (files.claim, lambda path: store.save(dataset(), path)):
        with pytest.raises(NotADirectoryError, match="file/results must be a folder"):
            write(tmp_path / "file" / "results" / "a.nc")


def test_files_open_together_unread(tmp_path):
    parts = [dataset(), dataset(values=(3.5, 4.5), units=(8, 9))]
    paths = [store.save(part, tmp_path / f"{i}.nc") for i, part in enumerate(parts)]
    both = store.open_together(paths, "unit")
    assert both["raw"].chunks == ((2, 2),)
    xr.testing.assert_equal(both.compute(), xr.concat(parts, "unit"))
    (tmp_path / "damaged.nc").write_bytes(b"no netCDF")
    with pytest.raises(ValueError, match=r"damaged\.nc must be a netCDF"):
        store.open_together([paths[0], tmp_path / "damaged.nc"], "unit")


def test_a_damaged_file_is_set_aside(tmp_path):
    (tmp_path / "a.nc").write_text("damaged")
    with pytest.warns(UserWarning, match=r"a\.nc is damaged: set aside as a\.unreadable"):
        files.set_aside(tmp_path / "a.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["a.unreadable"]
    files.set_aside(tmp_path / "a.nc")


def test_a_right_is_had_by_one(tmp_path):
    right = files.claim(tmp_path / "a.nc")
    assert files.claim(tmp_path / "a.nc") is None
    other = files.claim(tmp_path / "b.nc")
    files.release(right)
    files.release(files.claim(tmp_path / "a.nc"))
    files.release(other)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed_and_no_other(tmp_path):
    for name in (".a-x1.nc", ".b-x1.nc", "a.nc"):
        (tmp_path / name).write_text("")
    files.release(files.claim(tmp_path / "a.nc"))
    assert sorted(p.name for p in tmp_path.iterdir()) == [".b-x1.nc", "a.nc"]
