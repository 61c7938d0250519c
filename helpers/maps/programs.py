"""How the loop over the steps of a batch is compiled.

AutoGraph stays off: rewriting the Python of a first map takes longer than its 200 steps.
"""

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
        autograph=False,
        reduce_retracing=signature is None,
        jit_compile=bool(tf.config.list_logical_devices("GPU")) or None,
    )


def repeated(step: Callable, state, count: tf.Tensor, shape: Sequence) -> tuple:
    """Take steps one after the other.

    Args:
        step: `(number, state)` to the next state and the parts of the loss before it.
        state: tensors, of one shape and dtype at all steps.
        count: of steps, at most `STEPS_PER_CALL`.
        shape: of the parts, (parts, maps).

    Returns:
        The last state, and the parts (`STEPS_PER_CALL`, *shape), 0 after `count`.
    """

    def body(number, state, traces):
        state, parts = step(number, state)
        return number + 1, state, tf.tensor_scatter_nd_update(traces, [[number]], parts[None])

    traces = tf.zeros((STEPS_PER_CALL, *shape))
    _, state, traces = tf.while_loop(lambda number, *_: number < count, body, (0, state, traces))
    return state, traces
