"""A sweep in pieces: each a batch of maps and a file, searched here or on Dask workers, once."""

import logging
import signal
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import islice
from pathlib import Path

import dask
import keras
import xarray as xr
from distributed import Client, LocalCluster, as_completed
from tqdm.auto import tqdm

from helpers import files, maps, models
from helpers.maps.provenance import NUMERICS
from helpers.maps.spec import MapSpec
from helpers.sweeps import store

IN_FLIGHT = 2
"""Pieces a worker has at once: one that it searches, one so that it need not wait for the next."""
CONNECT_SECONDS = 10
ONE_AT_A_TIME = threading.Lock()
"""Keras is not made for two searches in one process, whatever threads a worker has."""

Search = Callable[[Iterator["Piece"]], Iterator[tuple["Piece", xr.Dataset]]]


@dataclass(frozen=True)
class Piece:
    """The maps that one file holds.

    Attributes:
        model: the net.
        spec: some units of a grid, with all weights and seeds.
        path: the file, named by the digest of spec, weights and version of the maths.
    """

    model: keras.Model
    spec: MapSpec
    path: Path

    @property
    def count(self) -> int:
        """How many maps it holds."""
        spec = self.spec
        return len(spec.units) * len(spec.tv_weights) * len(spec.lp_weights) * len(spec.seeds)

    def save(self, dataset: xr.Dataset) -> None:
        """Store its maps.

        Raises:
            ValueError: the maps are not those that its file is named for.
            OSError: as `store.save`.
        """
        made = dataset.attrs
        name = MapSpec.from_toml(made["spec"]).digest(made["weight_digest"], made["numerics"])
        if name != self.path.stem:
            raise ValueError(
                "a worker must have this machine's version of helpers, got maps of another spec,"
                f" net or numerics ({made['numerics']!r} there, {NUMERICS!r} here)"
            )
        store.save(dataset, self.path)


def in_pieces(
    model: keras.Model, spec: MapSpec, folder: Path, units_per_piece: int
) -> tuple[Piece, ...]:
    """Cut a grid into pieces of at most `units_per_piece` units, in order."""
    weights = models.weight_digest(model)
    return tuple(
        Piece(model, part, folder / f"{part.digest(weights, NUMERICS)}.nc")
        for part in spec.chunks(units_per_piece)
    )


def search_missing(
    pieces: Sequence[Piece],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    progress: bool = True,
) -> None:
    """Search and store every piece that is not stored whole.

    A piece is written when its maps are done, so that an interrupt, a kill or a worker's death
    costs the pieces under way and nothing else. Runs at one time on one store share the work: each
    piece is searched by the run that claims it. A damaged file is set aside and made again. No more
    pieces are held in memory than are under way.

    Args:
        pieces: what is wanted.
        workers: 1 searches in this process, on all cores; more start a Dask cluster of as many
            processes on this machine, one core each, that is reached from this machine only.
        scheduler: address of a running Dask scheduler, whose workers search instead. They need this
            package at this version, and no folder of this machine: the net is sent to them, and the
            maps come back to be written here.
        progress: show a bar.

    Raises:
        KeyboardInterrupt: the run was interrupted; what is stored stays.
        ConnectionError: there is no scheduler at the address.
        OSError: the store's folder cannot be written.
        ValueError: workers is below 1, or as `Piece.save`.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    left = [piece for piece in pieces if not store.is_whole(piece.path)]
    if not left:
        return
    total = sum(piece.count for piece in left)
    with (
        _searcher(min(workers, len(left)), scheduler) as search,
        tqdm(total=total, desc="maps", unit=" maps", disable=not progress) as bar,
    ):
        while left:
            left = _search_free(left, search, bar)
            if left:
                bar.set_postfix_str("waiting for another run")
                files.release(files.claim(left[0].path, wait=True))
                bar.set_postfix_str("")


def _search_free(pieces: list[Piece], search: Search, bar: tqdm) -> list[Piece]:
    """Search the pieces that no other run has claimed, and return those that one has."""
    claims, taken = {}, []

    def claimed() -> Iterator[Piece]:
        for piece in pieces:
            claim = files.claim(piece.path)
            if claim is None:
                taken.append(piece)
            elif store.is_whole(piece.path):
                files.release(claim)
                bar.update(piece.count)
            else:
                files.set_aside(piece.path)
                claims[piece.path] = claim
                yield piece

    try:
        for piece, dataset in search(claimed()):
            piece.save(dataset)
            files.release(claims.pop(piece.path))
            bar.update(piece.count)
    finally:
        for claim in claims.values():
            files.release(claim)
    return taken


@contextmanager
def _searcher(workers: int, scheduler: str | None) -> Iterator[Search]:
    if scheduler:
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"scheduler must be the address of a running Dask scheduler, got {scheduler!r}"
            ) from error
        with client:
            yield partial(_search_on, client)
    elif workers == 1:
        yield _search_here
    else:
        one_core = {f"TF_NUM_{kind}OP_THREADS": "1" for kind in ("INTRA", "INTER")}
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": one_core}),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            client.run(_ignore_interrupts)
            yield partial(_search_on, client)


def _search_here(pieces: Iterator[Piece]) -> Iterator[tuple[Piece, xr.Dataset]]:
    for piece in pieces:
        yield piece, _search(piece.model, piece.spec)


def _search_on(client: Client, pieces: Iterator[Piece]) -> Iterator[tuple[Piece, xr.Dataset]]:
    """Keep every worker busy; Dask gives a dead worker's piece to another."""

    @cache
    def sent(model: keras.Model):
        return client.submit(bytes, _packed(model))  # unlike scattered data, outlives its worker

    under_way, finished = {}, as_completed(loop=client.loop, with_results=True)

    def send_more() -> None:
        room = IN_FLIGHT * max(1, len(client.nthreads())) - len(under_way)
        for piece in islice(pieces, max(0, room)):
            key = f"maps-{piece.path.stem}"
            future = client.submit(_search_packed, sent(piece.model), piece.spec, key=key)
            under_way[future] = piece
            finished.add(future)

    send_more()
    for future, dataset in finished:
        yield under_way.pop(future), dataset
        send_more()


def _search(model: keras.Model, spec: MapSpec) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no gradient")
        dataset = maps.compute(model, spec, progress=False)
    if not bool(dataset["done"].all()):
        raise KeyboardInterrupt
    return dataset


def _search_packed(model: bytes, spec: MapSpec) -> xr.Dataset:
    with ONE_AT_A_TIME:
        return _search(_unpacked(model), spec)


def _packed(model: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


@lru_cache(maxsize=4)
def _unpacked(model: bytes) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(model)
        return models.load_model(path)


def _ignore_interrupts() -> None:
    """The client ends the workers; Ctrl-C in a terminal reaches them too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
