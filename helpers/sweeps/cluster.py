"""Pieces of a sweep on Dask workers: of this machine, or of a running scheduler."""

import logging
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path

import dask
import keras
import xarray as xr
from distributed import Client, LocalCluster, as_completed

from helpers import models
from helpers.maps.spec import MapSpec
from helpers.sweeps.pieces import Piece, optimize

IN_FLIGHT = 2
"""Pieces a worker has at once: one at work, one so that it need not wait for the next."""
CONNECT_SECONDS = 10
ONE_AT_A_TIME = threading.Lock()
"""Keras is not made for two optimizations in one process, whatever threads a worker has."""


@contextmanager
def local_workers(count: int) -> Iterator[Client]:
    """Start processes on this machine, one core each, that only this machine can reach."""
    one_core = {f"TF_NUM_{scope}OP_THREADS": "1" for scope in ("INTRA", "INTER")}
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": one_core}),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(_ignore_interrupts)
        yield client


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """Connect to a running scheduler.

    Raises:
        ConnectionError: there is none at the address.
    """
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"scheduler must be the address of a running Dask scheduler, got {scheduler!r}"
        ) from error
    with client:
        yield client


def optimize_on(client: Client, pieces: Iterator[Piece]) -> Iterator[tuple[Piece, xr.Dataset]]:
    """Keep every worker busy and yield each piece with its maps as they are done.

    Dask gives a dead worker's piece to another. The model is sent, so that workers need no folder
    of this machine.
    """

    @cache
    def sent(model: keras.Model):
        return client.submit(bytes, _packed(model))  # unlike scattered data, outlives its worker

    under_way, finished = {}, as_completed(loop=client.loop, with_results=True)

    def send_more() -> None:
        room = IN_FLIGHT * max(1, len(client.nthreads())) - len(under_way)
        for piece in islice(pieces, max(0, room)):
            key = f"maps-{piece.path.stem}"
            future = client.submit(_optimize_packed, sent(piece.model), piece.spec, key=key)
            under_way[future] = piece
            finished.add(future)

    send_more()
    for future, dataset in finished:
        yield under_way.pop(future), dataset
        send_more()


def _optimize_packed(model: bytes, spec: MapSpec) -> xr.Dataset:
    with ONE_AT_A_TIME:
        return optimize(_unpacked(model), spec)


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
