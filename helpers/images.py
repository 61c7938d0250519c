"""Labelled images, images at the size of a model's input, and raw maps as a person sees them."""

import numpy as np
import tensorflow as tf

EPSILON = 1e-7


def as_input(images: np.ndarray, input_shape: tuple[int, int, int]) -> np.ndarray:
    """Bring images (N, h, w, c) in 0..1 to a net's (N, H, W, C), pixels 0..255.

    RGB becomes gray by its mean over channels, gray becomes RGB by repetition; another size is
    reached by bilinear interpolation.
    """
    height, width, channels = input_shape
    pixels = as_pixels(images)
    if pixels.shape[-1] != channels:
        pixels = np.repeat(pixels.mean(-1, keepdims=True), channels, axis=-1)
    if pixels.shape[1:3] != (height, width):
        pixels = np.asarray(tf.image.resize(pixels, (height, width), antialias=True))
    return pixels


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Images in 0..1 as float32 pixels 0..255."""
    return np.asarray(images, "float32") * 255


def display(raw: np.ndarray) -> np.ndarray:
    """The picture a person is shown, (..., H, W, C) uint8: z-score * 0.1 + 0.5, clipped, times 255.

    keras-vis 0.4.1, `utils.deprocess_input`.
    """
    picture = raw - raw.mean((-3, -2, -1), keepdims=True)
    picture = picture / (picture.std((-3, -2, -1), keepdims=True) + EPSILON)
    return (np.clip(picture * 0.1 + 0.5, 0, 1) * 255).astype("uint8")
