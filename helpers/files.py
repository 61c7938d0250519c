"""Files written whole or not at all, and locks on them."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


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
