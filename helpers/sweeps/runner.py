"""Run a sweep: optimize and store, once, every piece that is not stored yet."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import xarray as xr
from tqdm.auto import tqdm

from helpers import files
from helpers.sweeps import cluster, store
from helpers.sweeps.pieces import Piece, optimize

Optimize = Callable[[Iterator[Piece]], Iterator[tuple[Piece, xr.Dataset]]]


def optimize_missing(
    pieces: Sequence[Piece],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    progress: bool = True,
) -> None:
    """Optimize and store every piece that is not stored intact.

    A piece is written when its maps are done, so that an interrupt, a kill or a worker's death
    costs the pieces under way and nothing else. Runs at one time on one store share the work: each
    piece is made by the run that locks it. A damaged file goes into quarantine and is made again.
    No more pieces are held in memory than are under way.

    Args:
        pieces: what is wanted.
        workers: 1 works in this process, on all cores; more start a Dask cluster of as many
            processes on this machine, one core each, that is reached from this machine only.
        scheduler: address of a running Dask scheduler, whose workers work instead. They need this
            package at this version, and no folder of this machine: the model is sent to them, and
            the maps come back to be written here.
        progress: show a bar.

    Raises:
        KeyboardInterrupt: the run was interrupted; what is stored stays.
        ConnectionError: there is no scheduler at the address.
        OSError: the store's folder cannot be written.
        ValueError: workers is below 1, or as `Piece.save`.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    left = [piece for piece in pieces if not store.is_intact(piece.path)]
    if not left:
        return
    total = sum(piece.count for piece in left)
    with (
        _optimizing(min(workers, len(left)), scheduler) as optimize_all,
        tqdm(total=total, desc="maps", unit=" maps", disable=not progress) as bar,
    ):
        while left:
            left = _optimize_free(left, optimize_all, bar)
            if left:
                bar.set_postfix_str("waiting for another run")
                files.unlock(files.lock(left[0].path, wait=True))
                bar.set_postfix_str("")


def _optimize_free(pieces: list[Piece], optimize_all: Optimize, bar: tqdm) -> list[Piece]:
    """Make the pieces that no other run has locked, and return those that one has."""
    locks, elsewhere = {}, []

    def locked() -> Iterator[Piece]:
        for piece in pieces:
            lock = files.lock(piece.path)
            if lock is None:
                elsewhere.append(piece)
            elif store.is_intact(piece.path):
                files.unlock(lock)
                bar.update(piece.count)
            else:
                files.quarantine(piece.path)
                locks[piece.path] = lock
                yield piece

    try:
        for piece, dataset in optimize_all(locked()):
            piece.save(dataset)
            files.unlock(locks.pop(piece.path))
            bar.update(piece.count)
    finally:
        for lock in locks.values():
            files.unlock(lock)
    return elsewhere


@contextmanager
def _optimizing(workers: int, scheduler: str | None) -> Iterator[Optimize]:
    if scheduler:
        with cluster.connected(scheduler) as client:
            yield partial(cluster.optimize_on, client)
    elif workers > 1:
        with cluster.local_workers(workers) as client:
            yield partial(cluster.optimize_on, client)
    else:
        yield _optimize_here


def _optimize_here(pieces: Iterator[Piece]) -> Iterator[tuple[Piece, xr.Dataset]]:
    for piece in pieces:
        yield piece, optimize(piece.model, piece.spec)
