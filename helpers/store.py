"""Maps on disk: netCDF files, written whole or not at all, that say where they came from."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

COMPRESSED = {"zlib": True, "complevel": 4, "shuffle": True}


def save(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write a Dataset as netCDF (engine h5netcdf), compressed; the file appears only when whole.

    Raises:
        ValueError: some of its maps are not done, so the file would look complete and not be.
    """
    if "done" in dataset and not bool(dataset["done"].all()):
        missing = int((~dataset["done"]).sum())
        raise ValueError(f"dataset must be complete to be stored, got {missing} maps not done")
    encoding = {name: COMPRESSED for name, v in dataset.data_vars.items() if v.ndim > 0}
    with whole_file(path) as part:
        dataset.to_netcdf(part, engine="h5netcdf", encoding=encoding)
    return Path(path)


def load(path: str | Path) -> xr.Dataset:
    """Read a whole Dataset into memory and close the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is there and cannot be read as netCDF.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no stored maps at {path}")
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} must be a netCDF file, and cannot be read: {error}") from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it on success and removed on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        yield Path(part)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
