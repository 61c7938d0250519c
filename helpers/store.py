"""Maps on disk: netCDF files, written whole or not at all, that say where they came from."""

import hashlib
import io
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dask
import xarray as xr
from filelock import FileLock, Timeout

from helpers.recipe import joined_attributes

COMPRESSED = {"zlib": True, "complevel": 4, "shuffle": True}
SEAL = b"\nsha256 "
SEAL_SIZE = len(SEAL) + 64
"""Bytes after the netCDF content, which readers of netCDF pass over: the digest of the content."""


def save(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write a Dataset as netCDF (engine h5netcdf), compressed; the file appears only when whole.

    It ends in the SHA-256 of its content, by which `load` and `is_whole` notice damage.

    Raises:
        ValueError: some of its maps are not done, so the file would look complete and not be.
        OSError: the folder cannot be written (full, read-only, no folder); nothing is left of it.
    """
    if "done" in dataset and not bool(dataset["done"].all()):
        missing = int((~dataset["done"]).sum())
        raise ValueError(f"dataset must be complete to be stored, got {missing} maps not done")
    encoding = {name: COMPRESSED for name, v in dataset.data_vars.items() if v.ndim > 0}
    with dask.config.set(scheduler="threads"):  # a user's cluster would lock the file by its name
        content = bytes(dataset.to_netcdf(engine="h5netcdf", encoding=encoding))
    with _writable(path), whole_file(path) as part:
        part.write_bytes(content + _seal(content))
    return Path(path)


def load(path: str | Path) -> xr.Dataset:
    """Read a whole Dataset into memory and close the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is there and is damaged, or no netCDF.
    """
    content, _ = _read(path)
    try:
        return xr.load_dataset(io.BytesIO(content), engine="h5netcdf")
    except Exception as error:  # damage can raise anything
        raise ValueError(f"{path} must be a netCDF file, and cannot be read: {error}") from error


def is_whole(path: str | Path) -> bool:
    """Tell whether the file is there and undamaged; one with a digest is not parsed for it."""
    try:
        _, sealed = _read(path)
        return sealed or bool(load(path))
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


def set_aside(path: str | Path) -> None:
    """Rename a damaged file to `*.unreadable`, with a warning; do nothing where there is none."""
    path = Path(path)
    if path.exists():
        aside = path.replace(path.with_suffix(".unreadable"))
        warnings.warn(f"{path.name} is damaged: set aside as {aside.name}", stacklevel=2)


def claim(path: str | Path, *, wait: bool = False) -> FileLock | None:
    """Take the sole right to make a file; `release` gives it back, and so does the process's end.

    What a killed process left of the file is removed. It works between machines where their common
    file system has `flock` (NFS 4 has).

    Args:
        path: the file.
        wait: wait until the right is free.

    Returns:
        The right, or None where another process or thread has it.

    Raises:
        OSError: the folder cannot be written.
    """
    path = Path(path)
    lock = FileLock(path.with_name(f".{path.stem}.lock"))
    with _writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            return None
        for part in path.parent.glob(f".{path.stem}-*{path.suffix}"):
            part.unlink()
    return lock


def release(right: FileLock) -> None:
    """Give a claimed right back."""
    Path(right.lock_file).unlink(missing_ok=True)
    right.release()


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


@contextmanager
def _writable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{Path(path).parent} must be a folder with room to write in, got {error.strerror}"
        raise OSError(error.errno, what) from error


def _open(path: Path) -> xr.Dataset:
    if not path.exists():
        raise FileNotFoundError(f"no stored maps at {path}")
    try:
        return xr.open_dataset(path, engine="h5netcdf", chunks=-1)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} must be a netCDF file, and cannot be read: {error}") from error


def _read(path: str | Path) -> tuple[bytes, bool]:
    """The file's netCDF content, and whether it carried a digest, which is then the content's."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no stored maps at {path}")
    file = path.read_bytes()
    content, seal = file[:-SEAL_SIZE], file[-SEAL_SIZE:]
    if not seal.startswith(SEAL):
        return file, False
    if seal != _seal(content):
        raise ValueError(f"{path} must hold what was written, and its digest says it does not")
    return content, True


def _seal(content: bytes) -> bytes:
    return SEAL + hashlib.sha256(content).hexdigest().encode()
