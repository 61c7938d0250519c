"""Maps on disk: netCDF files, written whole or not at all, that say where they came from."""

import hashlib
import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import xarray as xr
from filelock import FileLock, Timeout

COMPRESSED = {"zlib": True, "complevel": 4, "shuffle": True}
CONTENT = "content_digest"


def save(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write a Dataset as netCDF (engine h5netcdf), compressed; the file appears only when whole.

    The file carries a digest of its content, which `load` compares.

    Raises:
        ValueError: some of its maps are not done, so the file would look complete and not be.
        OSError: the folder cannot be written (full, read-only, no folder); nothing is left of it.
    """
    if "done" in dataset and not bool(dataset["done"].all()):
        missing = int((~dataset["done"]).sum())
        raise ValueError(f"dataset must be complete to be stored, got {missing} maps not done")
    marked = dataset.assign_attrs({CONTENT: _content_digest(dataset)})
    encoding = {
        name: {"_FillValue": None} | (COMPRESSED if variable.ndim else {})
        for name, variable in marked.data_vars.items()
    }
    with dask.config.set(scheduler="threads"):  # a user's cluster would lock the file by its name
        content = marked.to_netcdf(engine="h5netcdf", encoding=encoding)
    with _writable(path), whole_file(path) as part:
        part.write_bytes(content)
    return Path(path)


def load(path: str | Path) -> xr.Dataset:
    """Read a whole Dataset into memory and close the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is there and is damaged: no netCDF, or other values than were written.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no stored maps at {path}")
    content = path.read_bytes()
    try:
        dataset = xr.load_dataset(io.BytesIO(content), engine="h5netcdf")
        written = dataset.attrs.pop(CONTENT, None)
        found = _content_digest(dataset)
    except Exception as error:  # damage can raise anything
        raise ValueError(f"{path} must be a netCDF file, and cannot be read: {error}") from error
    if written not in (None, found):
        raise ValueError(f"{path} must hold what was written, and its values have changed")
    return dataset


def open_together(paths: Sequence[str | Path], dim: str) -> xr.Dataset:
    """Open files as one Dataset along `dim` without reading the values (one Dask chunk a file).

    Raises:
        FileNotFoundError: one of them is not there.
        ValueError: one of them cannot be read as netCDF.
    """
    for path in paths:
        if not Path(path).exists():
            raise FileNotFoundError(f"no stored maps at {path}")
    try:
        dataset = xr.open_mfdataset(
            paths,
            engine="h5netcdf",
            combine="nested",
            concat_dim=dim,
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="drop_conflicts",
        )
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{paths} must be netCDF files, and cannot be read: {error}") from error
    dataset.attrs.pop(CONTENT, None)
    return dataset


def is_whole(path: str | Path) -> bool:
    """Tell whether `load` would read the file."""
    try:
        load(path)
    except (FileNotFoundError, ValueError):
        return False
    return True


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
        raise OSError(
            error.errno,
            f"folder {Path(path).parent} must be writable, got {error.strerror or error}",
        ) from error


def _content_digest(dataset: xr.Dataset) -> str:
    """SHA-256 (64 hex digits) of names, dims, types and values, and of the attributes."""
    attributes = {name: np.asarray(value).tolist() for name, value in dataset.attrs.items()}
    digest = hashlib.sha256(json.dumps(attributes, sort_keys=True).encode())
    for name in sorted(dataset.variables, key=str):
        variable = dataset.variables[name]
        digest.update(f"{name} {variable.dims} {variable.shape}\n".encode())
        values = variable.to_numpy()
        is_text = values.dtype.kind in "OUST"
        digest.update(
            str(values.tolist()).encode()
            if is_text
            else values.dtype.str.encode() + np.ascontiguousarray(values).tobytes()
        )
    return digest.hexdigest()
