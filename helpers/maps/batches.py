"""How many images are computed at once: as many as the memory for their activations allows."""

from functools import lru_cache

import keras

from helpers.models.cutting import activation_bytes

MOST_BYTES = 2**30
"""Of the activations of a batch."""


def images_at_once(network: keras.Model, images: int, most: int) -> int:
    """Give the size of a batch: at most `most`, and at least 1.

    It follows from the network and the size of its images alone, so it is the same everywhere.

    Args:
        network: from pixels, as `models.cut_at` returns it.
        images: how many there are in all; of one, the memory is not asked for.
        most: where memory allows.
    """
    return 1 if images == 1 else max(1, min(most, MOST_BYTES // _bytes_of(network)))


@lru_cache(maxsize=8)
def _bytes_of(network: keras.Model) -> int:
    return activation_bytes(network)
