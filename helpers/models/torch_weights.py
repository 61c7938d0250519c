"""Weights from a file of PyTorch's old format, read without PyTorch; no code of the file runs."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


class _Storage(NamedTuple):
    """A run of numbers in the file: its data type and its key."""

    dtype: str
    key: str


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides are counted in numbers, not in bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage, offset, shape, strides, *_) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}
"""All that a file may name, and what stands in for it."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if (module, name) not in ALLOWED:
            legal = [".".join(pair) for pair in ALLOWED]
            raise pickle.UnpicklingError(
                f"a weights file may name only {legal}, got {module}.{name}"
            )
        return ALLOWED[module, name]

    def persistent_load(self, pid) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(dtype, key)


def read_torch_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Read the state dict that `torch.save` wrote before PyTorch 1.6, as arrays by name.

    The file is a row of pickles (magic number, protocol, system, state dict, keys of the storages),
    then for each key an int64 count and the numbers (`torch.serialization._legacy_save`). A pickle
    can run any code, so this one may name nothing but `ALLOWED`.

    Returns:
        float32 and int64 arrays, in the file's order.

    Raises:
        ValueError: the file is of another format.
        pickle.UnpicklingError: the file names anything else.
    """
    with Path(path).open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"weights must be of PyTorch's old format (before 1.6), got {path}")
        _protocol, _system, state, keys = (_Unpickler(file).load() for _ in range(4))
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in state.values()}
        storages = {key: _numbers(file, dtypes[key]) for key in keys}
    return {name: _array(storages[tensor.storage.key], tensor) for name, tensor in state.items()}


def _numbers(file: BinaryIO, dtype: str) -> np.ndarray:
    count = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)


def _array(numbers: np.ndarray, tensor: _Tensor) -> np.ndarray:
    positions = np.full(tensor.shape, tensor.offset)
    for axis, stride in zip(np.indices(tensor.shape), tensor.strides, strict=True):
        positions += axis * stride
    return numbers[positions]
