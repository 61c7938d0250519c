"""The reader of PyTorch's old files, against files written here; PyTorch itself is not needed."""

import os
import pickle
import struct
import sys
import types
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest

from helpers.models.torch_weights import read_torch_weights

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


class Runs:
    """Unpickling it calls a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Storage:
    """A run of numbers that the pickle only names."""

    def __init__(self, kind, key, numbers):
        self.kind, self.key, self.numbers = kind, key, numbers


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            return ("storage", value.kind, value.key, "cpu", len(value.numbers), None)
        return None


@pytest.fixture
def torch(monkeypatch):
    """The names that a file of PyTorch's holds, as a pickler must find them to write them."""

    def named(module, name, thing):
        thing.__module__, thing.__qualname__ = module, name
        return thing

    rebuild = named("torch._utils", "_rebuild_tensor_v2", lambda *_: None)
    utils = types.SimpleNamespace(_rebuild_tensor_v2=rebuild)
    kinds = {
        name: named("torch", name, type(name, (), {})) for name in ("FloatStorage", "LongStorage")
    }
    torch = types.SimpleNamespace(**kinds, rebuild=rebuild)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


def write(path, state, storages=(), protocol=1001):
    with path.open("wb") as file:
        file.write(MAGIC)
        for part in (protocol, {"little_endian": True}, state, [one.key for one in storages]):
            Pickler(file, protocol=2).dump(part)
        for one in storages:
            file.write(struct.pack("<q", len(one.numbers)) + one.numbers.tobytes())
    return path


def test_arrays_come_back_in_order_with_their_strides_and_offsets(torch, tmp_path):
    floats = Storage(torch.FloatStorage, "7", np.arange(10, dtype="<f4") / 4)
    longs = Storage(torch.LongStorage, "3", np.array([2**40], "<i8"))

    def tensor(storage, offset, shape, strides):
        return Runs(torch.rebuild, storage, offset, shape, strides, False, OrderedDict())

    state = OrderedDict(
        transposed=tensor(floats, 4, (3, 2), (1, 3)),
        plain=tensor(floats, 0, (2, 2), (2, 1)),
        count=tensor(longs, 0, (), ()),
    )
    arrays = read_torch_weights(write(tmp_path / "w.pth", state, [longs, floats]))
    assert list(arrays) == ["transposed", "plain", "count"]
    expected = np.arange(4, 10).reshape(2, 3).T / 4
    np.testing.assert_array_equal(arrays["transposed"], expected)
    np.testing.assert_array_equal(arrays["plain"], [[0, 0.25], [0.5, 0.75]])
    assert arrays["plain"].dtype == np.float32
    assert arrays["count"] == 2**40


@pytest.mark.parametrize("place", ["state", "protocol"])
@pytest.mark.parametrize(
    "bad",
    [
        Runs(os.mkdir, "made"),
        Runs(eval, "__import__('os').mkdir('made')"),
        Runs(__import__, "os"),
        Counter("collections, but not OrderedDict"),
    ],
    ids=["os.mkdir", "eval", "import", "Counter"],
)
def test_a_file_that_names_anything_else_is_refused_and_nothing_runs(
    bad, place, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "w.pth", **({"state": {}} | {place: bad}))
    with pytest.raises(pickle.UnpicklingError, match="may name only .*OrderedDict.*, got "):
        read_torch_weights(path)
    assert not (tmp_path / "made").exists()


def test_another_format_is_refused(tmp_path):
    path = tmp_path / "new.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"")
    with pytest.raises(ValueError, match="PyTorch's old format .*got .*new.pth"):
        read_torch_weights(path)
