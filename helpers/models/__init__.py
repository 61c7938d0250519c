"""Keras models: load and check them, find layers and units, cut them, say what they expect."""

from helpers.models.cutting import at_layer
from helpers.models.fast_layers import with_quick_gradients
from helpers.models.imagenet import class_names, find_class
from helpers.models.layers import (
    LayerInfo,
    check_units,
    find_layer,
    unit_count,
    visualisable_layers,
)
from helpers.models.loading import load_model
from helpers.models.preprocessing import (
    PREPROCESSINGS,
    from_pixels,
    input_front,
    resolve_preprocessing,
)
from helpers.models.pretrained import ZOO, ZooEntry, zoo
from helpers.models.receptive_fields import ReceptiveField, receptive_field
from helpers.models.weights import reinitialised, weight_digest

__all__ = [
    "LayerInfo",
    "PREPROCESSINGS",
    "ReceptiveField",
    "ZOO",
    "ZooEntry",
    "at_layer",
    "check_units",
    "class_names",
    "find_class",
    "find_layer",
    "from_pixels",
    "input_front",
    "load_model",
    "receptive_field",
    "reinitialised",
    "resolve_preprocessing",
    "unit_count",
    "visualisable_layers",
    "weight_digest",
    "with_quick_gradients",
    "zoo",
]
