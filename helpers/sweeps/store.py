"""Maps on disk: netCDF files, written atomically, with a checksum and their provenance."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import dask
import xarray as xr

from helpers.files import atomic_write, writable
from helpers.maps.dataset import joined_attributes

COMPRESSED = {"zlib": True, "complevel": 4, "shuffle": True}
MARK = b"\nsha256 "
CHECKSUM_SIZE = len(MARK) + 64
"""Bytes after the netCDF content, which readers of netCDF ignore: the SHA-256 of the content."""


def save(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write a Dataset as netCDF (engine h5netcdf), compressed, atomically.

    It ends in the SHA-256 of its content, by which `load` and `is_intact` notice damage.

    Raises:
        ValueError: some of its maps are not done, so the file would look complete and not be.
        OSError: the folder cannot be written (full, read-only, no folder); nothing is left of it.
    """
    if "done" in dataset and not bool(dataset["done"].all()):
        missing = int((~dataset["done"]).sum())
        raise ValueError(f"dataset must be complete to be stored, got {missing} unfinished maps")
    encoding = {name: COMPRESSED for name, v in dataset.data_vars.items() if v.ndim > 0}
    with dask.config.set(scheduler="threads"):  # a user's cluster would lock the file by its name
        content = bytes(dataset.to_netcdf(engine="h5netcdf", encoding=encoding))
    with writable(path), atomic_write(path) as part:
        part.write_bytes(content + _checksum(content))
    return Path(path)


def load(path: str | Path) -> xr.Dataset:
    """Read a Dataset into memory and close the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is there and is damaged, or no netCDF.
    """
    content, _ = _read(path)
    try:
        return xr.load_dataset(io.BytesIO(content), engine="h5netcdf")
    except Exception as error:  # damage can raise anything
        raise ValueError(f"{path} must be a netCDF file, and cannot be read: {error}") from error


def is_intact(path: str | Path) -> bool:
    """Whether the file is there and undamaged; one with a checksum is not parsed for it."""
    try:
        _, has_checksum = _read(path)
        return has_checksum or bool(load(path))
    except (FileNotFoundError, ValueError):
        return False


def open_together(paths: Sequence[str | Path], dim: str) -> xr.Dataset:
    """Open files as one Dataset along `dim` without reading the values (one Dask chunk a file).

    Raises:
        FileNotFoundError: one of them is not there.
        ValueError: one of them cannot be read as netCDF.
    """
    parts = [_open(Path(path)) for path in paths]
    return xr.concat(
        parts,
        dim,
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="exact",
        combine_attrs=joined_attributes,
    )


def _open(path: Path) -> xr.Dataset:
    if not path.exists():
        raise FileNotFoundError(f"no stored maps at {path}")
    try:
        return xr.open_dataset(path, engine="h5netcdf", chunks=-1)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} must be a netCDF file, and cannot be read: {error}") from error


def _read(path: str | Path) -> tuple[bytes, bool]:
    """The file's netCDF content, and whether a checksum (then the right one) follows it."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no stored maps at {path}")
    file = path.read_bytes()
    content, checksum = file[:-CHECKSUM_SIZE], file[-CHECKSUM_SIZE:]
    if not checksum.startswith(MARK):
        return file, False
    if checksum != _checksum(content):
        raise ValueError(f"{path} must hold what was written, but its checksum differs")
    return content, True


def _checksum(content: bytes) -> bytes:
    return MARK + hashlib.sha256(content).hexdigest().encode()
