"""What the units of a model do on images."""

from helpers.units.ablation import ablate, ablate_each, ablation_curve
from helpers.units.census import unit_census
from helpers.units.redundancy import (
    activation_correlation,
    clusters,
    effective_rank,
    most_correlated_unit,
)
from helpers.units.responses import measure_responses
from helpers.units.statistics import activation_scale, dead_units, unit_statistics
from helpers.units.top_images import top_activating_images, where_in_top_images

__all__ = [
    "ablate",
    "ablate_each",
    "ablation_curve",
    "activation_correlation",
    "activation_scale",
    "clusters",
    "dead_units",
    "effective_rank",
    "measure_responses",
    "most_correlated_unit",
    "top_activating_images",
    "unit_census",
    "unit_statistics",
    "where_in_top_images",
]
