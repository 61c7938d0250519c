"""Well-known ImageNet models by name; each takes pixels 0..255 and gives 1000 probabilities."""

import difflib
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import keras

from helpers.models import efficientnet_lite0
from helpers.models.preprocessing import input_front


class ZooEntry(NamedTuple):
    """What a model of the zoo takes.

    Attributes:
        size: height and width of its input, pixels.
        preprocessing: what the network expects in the place of pixels 0..255, one of
            `PREPROCESSINGS`; `zoo` puts it in front.
    """

    size: int
    preprocessing: str


def _entries(preprocessing: str, size: int, *names: str) -> dict[str, ZooEntry]:
    return dict.fromkeys(names, ZooEntry(size, preprocessing))


OFFLINE = "EfficientNetLite0"
ZOO: dict[str, ZooEntry] = {
    **_entries("0..255", 224, OFFLINE, "EfficientNetB0", "EfficientNetV2B0"),
    **_entries("0..255", 240, "EfficientNetB1", "EfficientNetV2B1"),
    **_entries("0..255", 260, "EfficientNetB2", "EfficientNetV2B2"),
    **_entries("0..255", 300, "EfficientNetB3", "EfficientNetV2B3"),
    **_entries("0..255", 380, "EfficientNetB4"),
    **_entries("0..255", 456, "EfficientNetB5"),
    **_entries("0..255", 528, "EfficientNetB6"),
    **_entries("0..255", 600, "EfficientNetB7"),
    **_entries("0..255", 384, "EfficientNetV2S"),
    **_entries("0..255", 480, "EfficientNetV2M", "EfficientNetV2L"),
    **_entries("0..255", 224, "ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase"),
    **_entries("0..255", 224, "ConvNeXtLarge", "ConvNeXtXLarge"),
    **_entries("0..255", 224, "MobileNetV3Small", "MobileNetV3Large"),
    **_entries("-1..1", 224, "MobileNet", "MobileNetV2", "NASNetMobile"),
    **_entries("-1..1", 224, "ResNet50V2", "ResNet101V2", "ResNet152V2"),
    **_entries("-1..1", 299, "InceptionV3", "InceptionResNetV2", "Xception"),
    **_entries("-1..1", 331, "NASNetLarge"),
    **_entries("caffe", 224, "VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152"),
    **_entries("torch", 224, "DenseNet121", "DenseNet169", "DenseNet201"),
}
"""The models by name: EfficientNetLite0, which needs no download, and all of keras.applications."""


def zoo(name: str, weights: str | Path | None = "imagenet") -> keras.Model:
    """Build a well-known model, with its preprocessing in front and trained on ImageNet.

    The layers have the names that `keras.applications` gives them in a new process, whatever was
    built before; `efficientnet_lite0` says those of EfficientNetLite0. The last one is a softmax,
    or a Dense layer that ends in one: its pre-activations are the logits. EfficientNetLite0 has
    them as a layer too, `logits`.

    Args:
        name: one of `ZOO`.
        weights: "imagenet"; a file of weights of this model; or None for random ones. Keras
            downloads the pretrained weights at the first use and keeps them, for all models but
            EfficientNetLite0, whose weights are installed with this project.

    Returns:
        Pixels (N, size, size, 3), RGB in 0..255, to probabilities (N, 1000), in the order of
        `class_names("imagenet")`.

    Raises:
        ValueError: no such model.
        ConnectionError: the weights could not be downloaded.
    """
    if name not in ZOO:
        likely = _near(name) or [OFFLINE, "MobileNetV2", "ResNet50"]
        raise ValueError(
            f"name must be one of models.ZOO, such as {', '.join(likely)}, got {str(name)[:60]!r}"
        )
    if name == OFFLINE:
        return _offline(weights)
    entry = ZOO[name]
    x = pixels = keras.Input((entry.size, entry.size, 3), name="pixels")
    if entry.preprocessing != "0..255":
        x = input_front(entry.preprocessing)(pixels)
    build = getattr(keras.applications, name)
    try:
        model = build(weights=weights and str(weights), input_tensor=x)
    except Exception as error:  # get_file raises a bare Exception where it has no connection
        if not (isinstance(error, OSError) or "URL fetch failure" in str(error)):
            raise
        reason = re.sub(r"https?://\S*/", "", str(error))[:140]
        raise ConnectionError(
            f"weights of {name} not downloaded ({reason}): connect once, give weights=None (random)"
            f" or a file of them, or take {OFFLINE!r} (no download)"
        ) from error
    _number_anew(model)
    return keras.Model(pixels, model.outputs[0], name=model.name)


def _offline(weights: str | Path | None) -> keras.Model:
    model = efficientnet_lite0.efficientnet_lite0()
    if weights == "imagenet":
        efficientnet_lite0.load_imagenet(model)
    elif weights is not None:
        model.load_weights(weights)
    return model


def _number_anew(model: keras.Model) -> None:
    """Number the layers that Keras named (`conv2d_17`) from 0; it counts on from model to model."""
    named_by_keras = defaultdict(list)
    for layer in model.layers:
        kind = re.sub("(?<=[a-z])(?=[A-Z])", "_", type(layer).__name__).lower()
        if number := re.fullmatch(rf"{kind}(?:_(\d+))?", layer.name):
            named_by_keras[kind].append((int(number[1] or 0), layer))
    for kind, numbered in named_by_keras.items():
        for new, (_, layer) in enumerate(sorted(numbered, key=lambda pair: pair[0])):
            layer.name = f"{kind}_{new}" if new else kind


def _near(name: str) -> list[str]:
    lower = {known.lower(): known for known in ZOO}
    return [lower[near] for near in difflib.get_close_matches(str(name).lower(), lower)]
