"""Models of a low-precision dtype policy computed in float32, on every processor.

A convolution in bfloat16 and its gradient need AVX-512 on a CPU: elsewhere oneDNN refuses them, and
the process may die of it. The gradient of a float16 mean underflows. So layers of such a policy run
with the same weights in float32, which gives what the model gives up to its own precision.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import keras

LOW_PRECISION = ("float16", "bfloat16")

_LOCK = RLock()


class _InFloat32(keras.DTypePolicy):
    """Computes in float32 with weights of any dtype, which Keras casts when they are read."""

    def __init__(self):
        super().__init__("float32")

    @property
    def variable_dtype(self) -> str:
        """Another one than `compute_dtype`, so that weights are cast."""
        return "bfloat16"


def full_precision(dtype: str) -> str:
    """The dtype that stands for one: float32 for those of `LOW_PRECISION`."""
    return "float32" if dtype in LOW_PRECISION else dtype


@contextmanager
def in_float32(*operations) -> Iterator[None]:
    """Layers of a low-precision policy, and those inside of them, compute in float32 meanwhile.

    Args:
        *operations: layers; anything else stays as it is.
    """
    layers = [one for one in operations if isinstance(one, keras.Layer)]
    inside = dict.fromkeys(inner for layer in layers for inner in layer._flatten_layers())
    low = [layer for layer in inside if _is_low(layer._dtype_policy)]
    if not low:
        yield
        return
    with _LOCK:
        policies = [layer._dtype_policy for layer in low]
        try:
            for layer in low:
                layer._dtype_policy = _InFloat32()
            yield
        finally:
            for layer, policy in zip(low, policies, strict=True):
                layer._dtype_policy = policy


def _is_low(policy) -> bool:
    return type(policy) is keras.DTypePolicy and policy.compute_dtype in LOW_PRECISION
