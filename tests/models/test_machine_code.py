import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from helpers.models import machine_code
from helpers.models.machine_code import Buffer, Writer, compiled


def write_sevens(function):
    w = Writer(function)
    address, start, end = function.args
    with w.loop(end, start=start) as i:
        w.store(w.filled(1, 7.0), address, (i, 4))
    w.b.ret_void()


def test_a_function_keeps_its_code():
    """Two threads may compile the same, and the code of one is then kept by its function alone."""
    run = compiled({"sevens": write_sevens}, arguments=3)["sevens"]
    compiled({"sevens": write_sevens}, arguments=3)
    gc.collect()
    values = np.zeros(10, "float32")
    run(values.ctypes.data, 2, 9)
    np.testing.assert_array_equal(values, [0, 0, 7, 7, 7, 7, 7, 7, 7, 0])


def test_each_part_is_run_once(monkeypatch):
    for cores in (1, 3, 8):
        monkeypatch.setattr(machine_code, "cores", lambda cores=cores: cores)
        counts = np.zeros(100, int)

        def run(start, end, counts=counts):
            counts[start:end] += 1

        machine_code.share(run, 100, least=10)
        np.testing.assert_array_equal(counts, 1)


def test_memory_is_no_one_else_s_while_it_is_used():
    def use(number):
        with machine_code.memory(1000) as memory:
            memory[:] = number
            return np.all(memory == number) and memory.size >= 1000

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(200)))


def test_a_buffer_is_known_by_its_address():
    array = np.zeros(3)
    assert Buffer.of(array) == Buffer.of(array[:]) != Buffer.of(array[1:])
