"""Atomic writes, locks and quarantine of damaged files."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
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


def lock(path: str | Path, *, wait: bool = False) -> FileLock | None:
    """Lock a file that is to be written; `unlock` ends that, and so does the end of the process.

    What a killed process left of the file is removed. Locks work between machines where their
    common file system has `flock` (NFS 4 has).

    Args:
        path: the file, which need not exist.
        wait: wait until the file is free.

    Returns:
        The lock, or None where another process or thread holds it.

    Raises:
        OSError: the folder cannot be written.
    """
    path = Path(path)
    held = FileLock(path.with_name(f".{path.stem}.lock"))
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(blocking=wait)
        except Timeout:
            return None
        for part in path.parent.glob(f".{path.stem}-*{path.suffix}"):
            part.unlink()
    return held


def unlock(held: FileLock) -> None:
    """Release what `lock` returned."""
    Path(held.lock_file).unlink(missing_ok=True)
    held.release()


def quarantine(path: str | Path) -> None:
    """Rename a damaged file to `*.unreadable`, with a warning; do nothing where there is none."""
    path = Path(path)
    if path.exists():
        renamed = path.replace(path.with_suffix(".unreadable"))
        warnings.warn(f"{path.name} is damaged: renamed to {renamed.name}", stacklevel=2)


@contextmanager
def writable(path: str | Path) -> Iterator[None]:
    """Name the folder of `path` in any OSError that is raised inside."""
    try:
        yield
    except OSError as error:
        reason = f"{Path(path).parent} must be a folder with room to write in, got {error.strerror}"
        raise OSError(error.errno, reason) from error
