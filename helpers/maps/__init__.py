"""Maps: the images that maximise or minimise what units of a model do.

`happy_maps` and `sad_maps` are keras-vis's recipe. `maximize` takes any objective, parametrization,
transforms, regularizers and optimizer.
"""

from helpers.maps.dataset import as_grid, one_weight, pool, raised
from helpers.maps.happy import (
    compute,
    happy_maps,
    image_digest,
    make_spec,
    sad_maps,
)
from helpers.maps.magnitudes import MagnitudeConstrained, natural_magnitudes
from helpers.maps.maximize import maximize, maximize_spec
from helpers.maps.objectives import (
    Direction,
    Diversity,
    LayerNorm2,
    Neuron,
    Objective,
    Target,
    Unit,
    Units,
)
from helpers.maps.optimization import Optimization
from helpers.maps.optimizers import Adam, KerasVisRMSprop, Optimizer
from helpers.maps.parametrizations import (
    BoundedPixels,
    FourierImage,
    Parametrization,
    Pixels,
    start_noise,
)
from helpers.maps.presets import PRESETS, Preset
from helpers.maps.references import DistributionMatch, Stay, match_distribution, stay_near
from helpers.maps.regularizers import L1, L2, LpNorm, Regularizer, TotalVariation
from helpers.maps.spec import MapSpec
from helpers.maps.transforms import (
    ROBUST,
    Blur,
    GaussianNoise,
    Geometric,
    Jitter,
    Pad,
    RandomCrop,
    RandomRotate,
    RandomScale,
    Transform,
)
from helpers.models.cutting import Tap

__all__ = [
    "Adam",
    "Blur",
    "BoundedPixels",
    "Direction",
    "DistributionMatch",
    "Diversity",
    "FourierImage",
    "GaussianNoise",
    "Geometric",
    "Jitter",
    "KerasVisRMSprop",
    "L1",
    "L2",
    "LayerNorm2",
    "LpNorm",
    "MagnitudeConstrained",
    "MapSpec",
    "Neuron",
    "Objective",
    "Optimization",
    "Optimizer",
    "PRESETS",
    "Pad",
    "Parametrization",
    "Pixels",
    "Preset",
    "ROBUST",
    "RandomCrop",
    "RandomRotate",
    "RandomScale",
    "Regularizer",
    "Tap",
    "Stay",
    "Target",
    "TotalVariation",
    "Transform",
    "Unit",
    "Units",
    "as_grid",
    "compute",
    "happy_maps",
    "image_digest",
    "make_spec",
    "match_distribution",
    "maximize",
    "maximize_spec",
    "natural_magnitudes",
    "one_weight",
    "pool",
    "raised",
    "sad_maps",
    "start_noise",
    "stay_near",
]
