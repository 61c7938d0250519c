"""Whether a user's own layers give one image one result: not left to chance nor to its batch."""

import warnings

import keras
import numpy as np

from helpers.models.graph import Call, same


def is_own(call: Call) -> bool:
    """Whether a call runs code of a user: a layer that is none of Keras's, or a Lambda."""
    module = type(call.operation).__module__
    return isinstance(call.operation, keras.layers.Lambda) or module.split(".")[0] != "keras"


def check_steady(cut: keras.Model, own: list[str]) -> None:
    """Check on noise that what a cut model gives for an image follows from that image.

    Args:
        cut: pixels (N, *shape) to one or more outputs.
        own: paths of the calls of a user's own layers in it.

    Raises:
        ValueError: it depends on the other images of the batch, as with the statistics of a batch.

    Warns:
        It differs from call to call: a layer draws random numbers in `predict` too.
    """
    if not own:
        return
    shape = tuple(cut.input_shape[1:])
    one, two, three = np.random.default_rng(0).uniform(0, 255, (3, 1, *shape)).astype("float32")
    first, again, other = (
        [x[:1] for x in keras.tree.flatten(cut(np.concatenate(pair), training=False))]
        for pair in ((one, two), (one, two), (one, three))
    )
    names = str(own)[:100]
    if not same(first, again):
        warnings.warn(
            f"layers {names} draw random numbers in model.predict too: maps and activations differ"
            " from run to run. Let them do so in training only",
            stacklevel=3,
        )
    elif not same(first, other):
        raise ValueError(
            f"layers {names} make an image's activations depend on the other images of its batch,"
            " as training=True does in a BatchNormalization: build the model without"
        )
