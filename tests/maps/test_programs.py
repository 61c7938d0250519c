import numpy as np
import pytest
import tensorflow as tf

from helpers.maps.programs import STEPS_PER_CALL, compiled, repeated


@pytest.mark.parametrize("count", [0, 3, STEPS_PER_CALL])
def test_steps_follow_each_other_and_their_parts_are_kept(count):
    def step(number, doubled):
        return 2 * doubled, tf.stack([doubled, tf.cast(number, tf.float32) + 0 * doubled])

    run = compiled(lambda state, count: repeated(step, state, count, (2, 2)))
    last, parts = run(tf.constant([1.0, 3.0]), tf.constant(count))
    np.testing.assert_array_equal(last, [2.0**count, 3 * 2.0**count])
    numbers = np.arange(count)
    expected = np.zeros((STEPS_PER_CALL, 2, 2))
    expected[:count, 0] = 2.0 ** numbers[:, None] * [1, 3]
    expected[:count, 1] = numbers[:, None]
    np.testing.assert_array_equal(parts, expected)
