"""What a model puts out for many images: one compiled function, in batches."""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm


class Forward:
    """A model as one compiled function, with `training=False`; the model stays as it is.

    Compiled once for any number of images, and read anew at each call: weights that are assigned
    in between count.
    """

    def __init__(self, model: keras.Model):
        """Compile.

        Args:
            model: takes (N, H, W, C) and has one output.
        """
        self._model = model
        images = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        self._run = tf.function(self._outputs, autograph=False).get_concrete_function(images)

    def _outputs(self, images: tf.Tensor) -> tf.Tensor:
        return tf.cast(self._model(images, training=False), tf.float32)

    def batches(
        self, images: np.ndarray, *, batch: int = 64, progress: bool = False
    ) -> Iterator[np.ndarray]:
        """Yield the outputs (n, ...) float32 of the images, at most `batch` at a time.

        Args:
            images: (N, H, W, C), in the model's own input range.
            batch: images at a time.
            progress: show a bar.
        """
        starts = range(0, len(images), batch)
        for start in tqdm(starts, desc="images", disable=not progress, leave=False):
            yield self._run(tf.constant(images[start : start + batch], tf.float32)).numpy()

    def __call__(self, images: np.ndarray, *, batch: int = 64) -> np.ndarray:
        """The outputs (N, ...) float32 of images (N, H, W, C), in the model's own input range."""
        return np.concatenate(list(self.batches(images, batch=batch)))
