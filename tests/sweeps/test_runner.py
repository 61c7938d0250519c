import errno
import os
import signal
import threading
import weakref
from pathlib import Path

import keras
import pytest
import xarray as xr
from distributed import Client, LocalCluster, WorkerPlugin

from helpers import files, maps
from helpers.sweeps import cluster, in_pieces, optimize_missing, store

N_PIECES = 3


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 6, 1))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(6, 3, activation="relu", bias_initializer="ones", name="conv")(x)
    return keras.Model(pixels, x)


@pytest.fixture(scope="module")
def spec(model):
    return maps.make_spec(model, "conv", tv_weights=[0.0, 1.0], seeds=[0, 1], steps=3)


@pytest.fixture
def wanted(model, spec, tmp_path):
    return in_pieces(model, spec, tmp_path / "results", 2)


@pytest.fixture(scope="module")
def direct(model, spec):
    return maps.compute(model, spec, progress=False)


def stored(wanted) -> xr.Dataset:
    """What is stored; nothing else may be in the folder."""
    assert sorted(wanted[0].path.parent.iterdir()) == sorted(piece.path for piece in wanted)
    parts = [store.load(piece.path) for piece in wanted]
    return xr.concat(parts, "unit", combine_attrs="drop_conflicts")


def optimized(monkeypatch) -> list[tuple]:
    """The units of every optimization from now on."""
    compute, calls = maps.compute, []

    def recorded(model, spec, **options):
        calls.append(spec.units)
        return compute(model, spec, **options)

    monkeypatch.setattr(maps, "compute", recorded)
    return calls


def test_the_pieces_are_the_grid(wanted, direct):
    assert [piece.spec.units for piece in wanted] == [(0, 1), (2, 3), (4, 5)]
    assert [piece.count for piece in wanted] == [8, 8, 8]
    optimize_missing(wanted, progress=False)
    xr.testing.assert_equal(stored(wanted), direct)


def test_what_is_stored_needs_neither_optimization_nor_a_writable_folder(wanted, monkeypatch):
    optimize_missing(wanted, progress=False)
    monkeypatch.setattr(maps, "compute", lambda *a, **k: pytest.fail("optimized again"))
    monkeypatch.setattr(files, "lock", lambda *a, **k: pytest.fail("wrote a lock"))
    optimize_missing(wanted, workers=2, progress=False)


def test_a_damaged_file_is_made_again_and_kept_in_quarantine(wanted, direct):
    optimize_missing(wanted, progress=False)
    whole = wanted[1].path.read_bytes()
    wanted[1].path.write_bytes(whole[:1000] + b"damage" + whole[1006:])
    with pytest.warns(UserWarning, match="is damaged"):
        optimize_missing(wanted, progress=False)
    wanted[1].path.with_suffix(".unreadable").unlink()
    xr.testing.assert_equal(stored(wanted), direct)


def test_a_full_disk_keeps_what_is_stored_and_the_run_goes_on_later(wanted, direct, monkeypatch):
    write, sizes = Path.write_bytes, []

    def full(path, content):
        sizes.append(len(content))
        if len(sizes) == 2:
            write(path, content[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="room to write in, got No space left") as caught:
        optimize_missing(wanted, progress=False)
    assert caught.value.errno == errno.ENOSPC
    assert list(wanted[0].path.parent.iterdir()) == [wanted[0].path]
    optimize_missing(wanted, progress=False)
    xr.testing.assert_equal(stored(wanted), direct)


def test_a_folder_that_cannot_be_written_is_named_before_any_optimization(model, spec, tmp_path):
    (tmp_path / "file").write_text("")
    wanted = in_pieces(model, spec, tmp_path / "file" / "results", 2)
    with pytest.raises(NotADirectoryError, match="file/results must be a folder"):
        optimize_missing(wanted, progress=False)


def test_two_runs_share_the_work(wanted, direct, monkeypatch):
    calls, lock, compute = optimized(monkeypatch), files.lock, maps.compute
    second = threading.Thread(target=optimize_missing, args=(wanted,), kwargs={"progress": False})
    second_waits = threading.Event()

    def lock_and_tell(path, *, wait=False):
        if wait:
            second_waits.set()
        return lock(path, wait=wait)

    def first_lets_the_second_go_ahead(*arguments, **options):
        if not second.ident:
            second.start()
            assert second_waits.wait(timeout=120)
        return compute(*arguments, **options)

    monkeypatch.setattr(files, "lock", lock_and_tell)
    monkeypatch.setattr(maps, "compute", first_lets_the_second_go_ahead)
    optimize_missing(wanted, progress=False)
    second.join()
    assert calls == [(2, 3), (4, 5), (0, 1)]
    xr.testing.assert_equal(stored(wanted), direct)


def test_no_more_pieces_are_held_than_are_under_way(model, spec, tmp_path, monkeypatch):
    compute, made, alive = maps.compute, [], []

    def watched(*arguments, **options):
        dataset = compute(*arguments, **options)
        made.append(weakref.ref(dataset))
        alive.append(sum(ref() is not None for ref in made))
        return dataset

    monkeypatch.setattr(maps, "compute", watched)
    optimize_missing(in_pieces(model, spec, tmp_path, 1), progress=False)
    assert len(alive) == 6
    assert max(alive) <= 2


def test_maps_of_another_model_are_not_stored_under_this_name(wanted, spec):
    other = keras.models.clone_model(wanted[0].model)
    with pytest.raises(ValueError, match="must have this machine's version of helpers"):
        wanted[0].save(maps.compute(other, wanted[0].spec, progress=False))
    assert not wanted[0].path.exists()


def test_illegal_workers_and_schedulers_are_named(wanted, monkeypatch):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        optimize_missing(wanted, workers=0)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.2)
    with pytest.raises(ConnectionError, match="scheduler must be the address"):
        optimize_missing(wanted, scheduler="tcp://127.0.0.1:9", progress=False)


class DieOnce(WorkerPlugin):
    """The first step taken on any worker kills its process; every optimization leaves a line."""

    def __init__(self, folder: Path):
        self.folder = folder

    def setup(self, worker):
        compute = maps.compute

        def watched(model, spec, **options):
            with open(self.folder / "optimized", "a") as lines:
                lines.write(f"{spec.units}\n")
            return compute(model, spec, **(options | {"on_step": self.die}))

        maps.compute = watched

    def die(self, step, picture):
        try:
            (self.folder / "died").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_costs_its_piece_and_no_more(wanted, direct, tmp_path, monkeypatch):
    clusters = []

    class Watched(Client):
        def __init__(self, cluster, **options):
            super().__init__(cluster, **options)
            self.register_plugin(DieOnce(tmp_path))
            clusters.append((cluster.scheduler_address, len(cluster.workers)))

    monkeypatch.setattr(cluster, "Client", Watched)
    optimize_missing(wanted, workers=2, progress=False)
    assert (tmp_path / "died").exists()
    assert len((tmp_path / "optimized").read_text().splitlines()) == N_PIECES + 1
    xr.testing.assert_equal(stored(wanted), direct)
    ((address, count),) = clusters
    assert address.startswith("tcp://127.0.0.1:")
    assert count == 2


def test_workers_of_a_running_scheduler_optimize(wanted, direct, monkeypatch):
    calls = optimized(monkeypatch)
    with (
        LocalCluster(processes=False, n_workers=2, dashboard_address=None) as cluster,
        Client(cluster),  # the default client, as in a user's notebook
    ):
        optimize_missing(wanted, scheduler=cluster.scheduler_address, progress=False)
    assert sorted(calls) == [(0, 1), (2, 3), (4, 5)]
    xr.testing.assert_equal(stored(wanted), direct)
