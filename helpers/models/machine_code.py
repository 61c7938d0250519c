"""Machine code made by LLVM while the program runs, and arrays and threads for it.

A function of machine code takes addresses and sizes, all 64-bit integers.
"""

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Self

import numpy as np
import tensorflow as tf

try:
    from llvmlite import binding, ir
except ImportError:  # no wheel for this platform
    binding = ir = None


def is_available() -> bool:
    """Whether code can be made here, and TensorFlow computes in the processor's memory."""
    return ir is not None and not tf.config.list_logical_devices("GPU")


@lru_cache
def lanes(*channels: int) -> int:
    """Floats in a vector: what the processor has, and no more than divides numbers of channels."""
    has = binding.get_host_cpu_features()
    widest = 16 if has.get("avx512f") else 8 if has.get("avx2") else 4
    return max(n for n in (4, 8, 16) if n <= widest and not any(c % n for c in channels))


def aligned(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """An array that TensorFlow takes over without a copy: it wants 64 bytes' alignment."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


@contextmanager
def memory(floats: int) -> Iterator[np.ndarray]:
    """Memory to work in, kept for the next call: new memory costs more than the work."""
    idle = _idle(1 << floats.bit_length())
    try:
        own = idle.pop()
    except IndexError:
        own = aligned((1 << floats.bit_length(),), np.float32)
    yield own
    idle.append(own)


@lru_cache
def _idle(floats: int) -> deque[np.ndarray]:
    """Memories of a size that are not in use, at most one for each core."""
    return deque(maxlen=cores())


@dataclass(frozen=True)
class Buffer:
    """An array known by its memory, which stays as it is while this is kept.

    TensorFlow writes a variable's change elsewhere as long as others hold its buffer.
    """

    address: int
    array: np.ndarray = field(compare=False)

    @classmethod
    def of(cls, array: np.ndarray) -> Self:
        """Know an array by its memory."""
        return cls(array.ctypes.data, array)


def share(run: Callable[[int, int], None], count: int, least: int = 1) -> None:
    """Run `run(start, end)` on 0..count, each core on its share, which is worth it from `least`."""
    threads = min(cores(), count // least)
    if threads < 2:
        run(0, count)
        return
    own, *others = pairwise(count * k // threads for k in range(threads + 1))
    under_way = [_threads().submit(run, *each) for each in others]
    run(*own)
    for each in under_way:
        each.result()


def cores() -> int:
    """Threads that TensorFlow was given, or all cores."""
    return tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), "machine-code")


def compiled(
    writers: dict[str, Callable[["ir.Function"], None]], arguments: int
) -> dict[str, Callable]:
    """Write functions of so many arguments each, and compile them (about 0.1 s).

    Each function keeps the code in memory as long as someone has it.
    """
    module = ir.Module()
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * arguments)
    for name, write in writers.items():
        write(ir.Function(module, kind, name))
    engine = _engine(str(module))
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)
    functions = {name: call(engine.get_function_address(name)) for name in writers}
    for function in functions.values():
        function.engine = engine
    return functions


def _engine(text: str) -> "binding.ExecutionEngine":
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
    )
    module = binding.parse_assembly(text)
    builder = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(0))
    passes = binding.create_new_module_pass_manager()
    passes.add_sroa_pass()  # sums into registers; LLVM's other passes bring nothing here
    passes.run(module, builder)
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


class Writer:
    """Writes LLVM's intermediate code: addresses and sizes are 64-bit integers, in bytes."""

    def __init__(self, function: "ir.Function"):
        """Write into a function without code."""
        self.b = ir.IRBuilder(function.append_basic_block())
        self.i64, self.i8, self.f32 = ir.IntType(64), ir.IntType(8), ir.FloatType()

    def int(self, n: int) -> "ir.Value":
        """A number as a 64-bit integer."""
        return ir.Constant(self.i64, n)

    def sum(self, *terms: "ir.Value | int") -> "ir.Value":
        """Add terms; a pair is a product."""
        total = self.int(0)
        for term in terms:
            if isinstance(term, tuple):
                factors = [self.int(t) if isinstance(t, int) else t for t in term]
                term = factors[0]
                for factor in factors[1:]:
                    term = self.b.mul(term, factor)
            total = self.b.add(total, self.int(term) if isinstance(term, int) else term)
        return total

    def least(self, *values: "ir.Value | int") -> "ir.Value":
        """The lesser of two numbers."""
        a, b = map(self.sum, values)
        return self.b.select(self.b.icmp_signed("<", a, b), a, b)

    def load(self, kind: "ir.Type", *address: "ir.Value | int") -> "ir.Value":
        """Read a value at the sum of the terms."""
        pointer = self.b.inttoptr(self.sum(*address), kind.as_pointer())
        return self.b.load(pointer, align=self._alignment(kind))

    def store(self, value: "ir.Value", *address: "ir.Value | int") -> None:
        """Write a vector at the sum of the terms."""
        pointer = self.b.inttoptr(self.sum(*address), value.type.as_pointer())
        self.b.store(value, pointer, align=self._alignment(value.type))

    def _alignment(self, kind: "ir.Type") -> int:
        return 1 if getattr(kind, "element", kind) == self.i8 else 4

    def vector(self, lanes: int, kind: "ir.Type | None" = None) -> "ir.VectorType":
        """The type of a vector, of floats if not said otherwise."""
        return ir.VectorType(kind or self.f32, lanes)

    def filled(self, lanes: int, value: float, kind: "ir.Type | None" = None) -> "ir.Constant":
        """A vector of one number."""
        return ir.Constant(self.vector(lanes, kind), [value] * lanes)

    def spread(self, scalar: "ir.Value", lanes: int) -> "ir.Value":
        """A vector of one value."""
        empty = ir.Constant(self.vector(lanes), ir.Undefined)
        first = self.b.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
        return self.b.shuffle_vector(first, empty, self.filled(lanes, 0, ir.IntType(32)))

    def multiply_add(self, a: "ir.Value", b: "ir.Value", c: "ir.Value") -> "ir.Value":
        """Vectors `a b + c`, rounded once where the processor can."""
        kind = ir.FunctionType(a.type, [a.type] * 3)
        name = f"llvm.fmuladd.v{a.type.count}f32"
        return self.b.call(self.b.module.declare_intrinsic(name, fnty=kind), [a, b, c])

    def number(self, n: int) -> "ir.Value":
        """A place in a vector."""
        return ir.Constant(ir.IntType(32), n)

    def square_root(self, vector: "ir.Value") -> "ir.Value":
        """Of each of a vector."""
        kind = ir.FunctionType(vector.type, [vector.type])
        name = f"llvm.sqrt.v{vector.type.count}f32"
        return self.b.call(self.b.module.declare_intrinsic(name, fnty=kind), [vector])

    def chosen(self, is_so: "ir.Value", vector: "ir.Value") -> "ir.Value":
        """The vector where a vector of bits says so, else 0."""
        return self.b.select(is_so, vector, ir.Constant(vector.type, [0.0] * vector.type.count))

    def rectified(self, vector: "ir.Value", by: "ir.Value") -> "ir.Value":
        """The vector, but 0 where `by` is at most 0."""
        zeros = self.filled(by.type.count, 0.0)
        return self.b.select(self.b.fcmp_ordered("<=", by, zeros), zeros, vector)

    def largest(self, outputs: list["ir.Value"]) -> tuple["ir.Value", "ir.Value"]:
        """The largest of four vectors, NaN if one is, and the number of the first such."""
        lanes = outputs[0].type.count
        largest, index = outputs[0], self.filled(lanes, 0, self.i8)
        for p in range(1, 4):
            more = self.b.fcmp_ordered(">", outputs[p], largest)
            largest = self.b.select(more, outputs[p], largest)
            index = self.b.select(more, self.filled(lanes, p, self.i8), index)
        total = self.b.fadd(self.b.fadd(*outputs[:2]), self.b.fadd(*outputs[2:]))
        return self.b.select(self.b.fcmp_unordered("uno", total, total), total, largest), index

    @contextmanager
    def loop(self, end: "ir.Value | int", step: int = 1, start: "ir.Value | int" = 0):
        """Repeat for start, start + step, ... below `end`."""
        before = self.b.block
        body, after = self.b.append_basic_block(), self.b.append_basic_block()
        first, last = self.sum(start), self.sum(end)
        self.b.cbranch(self.b.icmp_signed("<", first, last), body, after)
        self.b.position_at_end(body)
        i = self.b.phi(self.i64)
        i.add_incoming(first, before)
        yield i
        following = self.sum(i, step)
        i.add_incoming(following, self.b.block)
        self.b.cbranch(self.b.icmp_signed("<", following, last), body, after)
        self.b.position_at_end(after)
