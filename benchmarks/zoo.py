"""Models of the size that people use, with random weights."""

from collections.abc import Callable

import keras
from keras import layers


def efficientnet_lite0() -> keras.Model:
    """EfficientNet-Lite0 at 224."""
    from helpers.models.efficientnet_lite0 import efficientnet_lite0 as build

    keras.utils.set_random_seed(0)
    return build()


def vgg16(size: int = 224) -> keras.Model:
    """VGG16, at 224 with its dense layers (553 MB); at other sizes without."""
    keras.utils.set_random_seed(0)
    shape = (size, size, 3)
    return keras.applications.VGG16(weights=None, include_top=size == 224, input_shape=shape)


def tiny() -> keras.Model:
    """One convolution of 10 x 10 x 3, to try the harness."""
    pixels = keras.Input((10, 10, 3))
    return keras.Model(pixels, layers.Conv2D(4, 3, activation="relu", name="conv")(pixels))


BUILDERS: dict[str, Callable[[], keras.Model]] = {
    "efficientnet_lite0": efficientnet_lite0,
    "vgg16": vgg16,
    "vgg16_512": lambda: vgg16(512),
    "tiny": tiny,
}
