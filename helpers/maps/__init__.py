"""HappyMaps and SadMaps: the images that maximise or minimise what units of a model do."""

from helpers.maps.dataset import one_weight, pool, raised
from helpers.maps.happy import compute, happy_maps, make_spec, picture_digest, sad_maps, start_noise
from helpers.maps.spec import MapSpec

__all__ = [
    "MapSpec",
    "compute",
    "happy_maps",
    "make_spec",
    "one_weight",
    "picture_digest",
    "pool",
    "raised",
    "sad_maps",
    "start_noise",
]
