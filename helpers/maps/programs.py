"""How the loop over the steps of a batch is compiled."""

from collections.abc import Callable, Sequence

import tensorflow as tf

STEPS_PER_CALL = 20
"""Most steps of one call; between calls an interrupt, a bar and a panel have their turn."""


def compiled(loop: Callable, signature: Sequence | None = None) -> Callable:
    """Compile a loop: on a GPU as one XLA program, on a CPU as a graph.

    On a GPU the program takes its steps without waiting for Python or for the start of each kernel.
    On a CPU a graph is quicker: its convolutions are oneDNN's, which XLA has not.

    Args:
        loop: takes tensors; the number of steps is one of them.
        signature: of its arguments; None to trace it for what it meets.
    """
    return tf.function(
        loop,
        input_signature=signature,
        reduce_retracing=signature is None,
        jit_compile=bool(tf.config.list_logical_devices("GPU")) or None,
    )


def no_parts(count: int, maps: tf.Tensor) -> tf.Tensor:
    """Room for the parts of the loss of `STEPS_PER_CALL` steps, (steps, count, maps)."""
    return tf.zeros((STEPS_PER_CALL, count, maps))


def with_parts(traces: tf.Tensor, step: tf.Tensor, parts: tf.Tensor) -> tf.Tensor:
    """The same with the parts (count, maps) of a step."""
    return tf.tensor_scatter_nd_update(traces, [[step]], parts[None])
