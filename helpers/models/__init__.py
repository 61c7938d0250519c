"""Keras models: load and check them, find layers and units, cut them, say what they expect."""

from helpers.models.changed import with_change
from helpers.models.cutting import (
    Tap,
    at_layer,
    before_last,
    check_gradient,
    cut_at,
    with_quick_gradients,
)
from helpers.models.forward import Forward
from helpers.models.imagenet import class_names, find_class, top_classes
from helpers.models.inputs import ImageInput, image_shape
from helpers.models.loading import load_model
from helpers.models.paths import (
    LayerInfo,
    check_units,
    find_layer,
    keras_layer,
    layers,
    unit_count,
)
from helpers.models.preprocessing import (
    COLOUR_SPACES,
    PREPROCESSINGS,
    Preprocessing,
    Standardized,
    from_pixels,
    input_front,
    resolve_preprocessing,
    without_rescaling,
)
from helpers.models.pretrained import ZOO, ZooEntry, zoo
from helpers.models.receptive_fields import ReceptiveField, receptive_field
from helpers.models.weights import reinitialised, weight_digest

__all__ = [
    "COLOUR_SPACES",
    "Forward",
    "ImageInput",
    "LayerInfo",
    "PREPROCESSINGS",
    "Preprocessing",
    "ReceptiveField",
    "Standardized",
    "Tap",
    "ZOO",
    "ZooEntry",
    "at_layer",
    "before_last",
    "check_gradient",
    "check_units",
    "class_names",
    "cut_at",
    "find_class",
    "find_layer",
    "from_pixels",
    "image_shape",
    "input_front",
    "keras_layer",
    "layers",
    "load_model",
    "receptive_field",
    "reinitialised",
    "resolve_preprocessing",
    "top_classes",
    "unit_count",
    "weight_digest",
    "with_change",
    "with_quick_gradients",
    "without_rescaling",
    "zoo",
]
