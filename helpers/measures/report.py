"""Everything that is known about the maps and the units of one layer."""

from dataclasses import dataclass

import keras
import numpy as np
import xarray as xr

from helpers import models
from helpers.images import LabelledImages, as_input
from helpers.maps.dataset import as_grid, one_weight
from helpers.measures.appearance import unit_appearance
from helpers.measures.displayed import against_data
from helpers.measures.repeatability import activation_spread, judge_repeatability
from helpers.measures.similarity import (
    activation_similarity,
    image_similarity,
    texture_similarity,
)
from helpers.models import receptive_fields
from helpers.models.receptive_fields import ReceptiveField
from helpers.units.census import unit_census
from helpers.units.redundancy import activation_correlation, clusters, most_correlated_unit
from helpers.units.responses import measure_responses
from helpers.units.statistics import activation_scale
from helpers.units.top_images import where_in_top_images


@dataclass(frozen=True)
class LayerReport:
    """The maps of a layer, the images they are judged against, and the numbers of both.

    Attributes:
        happy: HappyMaps, one TV and LP weight.
        sad: SadMaps of the same units or some of them, or None.
        pixels: (N, H, W, C), 0..255, the images at the size of the model's input.
        field: receptive field of the layer's neurons.
        responses: what the units do on the images, by the objective of the HappyMaps.
        before: the same before the activation function.
        where: heatmaps of the images with the largest `before`, of `units.where_in_top_images`.
        units: over `unit`, the columns that `report_layer` names.
        facet: (unit, seed), which facet a map is in, 0 for none.
    """

    happy: xr.Dataset
    sad: xr.Dataset | None
    pixels: np.ndarray
    field: ReceptiveField
    responses: xr.Dataset
    before: xr.Dataset
    where: xr.DataArray
    units: xr.Dataset
    facet: xr.DataArray


def report_layer(
    model: keras.Model,
    images: LabelledImages,
    happy: xr.Dataset,
    sad: xr.Dataset | None = None,
    *,
    selective_for: str | None = None,
    preprocessing=None,
    progress: bool = True,
) -> LayerReport:
    """Measure the maps of a layer and its units.

    Args:
        model: the model of the maps.
        images: labelled images to judge against.
        happy: what `happy_maps` returns: one TV and LP weight, at least two units and two seeds.
        sad: what `sad_maps` returns for the same units, or None.
        selective_for: the class that selectivity is about; the last of `images.class_names`.
        preprocessing: what the model expects, as `models.from_pixels` takes it.
        progress: show bars.

    Returns:
        The report. Its `units` holds `verdict`, `similarity`, `null`, `level`, `facets` and
        `largest_facet` of `judge_repeatability` by `image_similarity` (at the best shift for a
        convolution, else in place), the same named `texture_verdict` ... by `texture_similarity`
        (convolutions only) and `deeper_verdict` ... by `activation_similarity` in the last layer
        before the model's output (where that is deeper); `appearance_class` and the numbers of
        `unit_appearance`; `activation_spread`; `z_score`, `ratio`, `percentile` (as displayed) and
        `display_gap` of `against_data`, means over the seeds; what `unit_census` returns; and
        `most_correlated_unit`, `max_correlation` and `cluster` of `units.redundancy`.

    Raises:
        ValueError: as the functions that measure.
    """
    happy, sad = as_grid(happy), None if sad is None else as_grid(sad)
    layer, units, objective = happy.attrs["layer"], happy["unit"].values, happy.attrs["objective"]
    responses = {
        name: measure_responses(
            model, images, layer, objective=name, preprocessing=preprocessing, progress=progress
        )
        for name in sorted({"activation", "pre-activation", objective})
    }
    correlation = activation_correlation(
        model, images, layer, preprocessing=preprocessing, progress=progress
    )
    pixels = as_input(images.images, model.input_shape[1:])
    field = receptive_fields.receptive_field(model, layer)
    is_local = field.stride != (0, 0)
    similarities = {"": image_similarity(happy, shifts=is_local, progress=progress)}
    if is_local:
        similarities["texture_"] = texture_similarity(happy)
    before_output = [info.name for info in models.layers(model)][:-1]
    if layer in before_output[:-1]:
        similarities["deeper_"] = activation_similarity(happy, model, before_output[-1])
    judged = {name: judge_repeatability(happy, values) for name, values in similarities.items()}
    one_map = one_weight(happy).drop_vars(("tv_weight", "lp_weight"))
    numbers, classes = unit_appearance(one_map, pixels)
    census = unit_census(
        responses["activation"], selective_for=selective_for or images.class_names[-1]
    )
    columns = [
        *(_with_prefix(repeats, prefix) for prefix, repeats in judged.items()),
        numbers.assign(appearance_class=classes, activation_spread=activation_spread(one_map)),
        _displayed(one_map, activation_scale(responses[objective])),
        census.sel(unit=units),
        most_correlated_unit(correlation).sel(unit=units),
        clusters(correlation).sel(unit=units),
    ]
    where = where_in_top_images(
        model, pixels, responses["pre-activation"].sel(unit=units), preprocessing=preprocessing
    )
    merged = xr.merge(columns, combine_attrs="drop_conflicts", compat="override", join="exact")
    return LayerReport(
        happy,
        sad,
        pixels,
        field,
        responses[objective],
        responses["pre-activation"],
        where,
        merged.assign_attrs(layer=layer),
        judged[""]["facet"],
    )


def _with_prefix(judged: xr.Dataset, prefix: str) -> xr.Dataset:
    columns = judged.drop_vars("facet").drop_dims("seed")
    return columns.rename({name: f"{prefix}{name}" for name in columns})


def _displayed(happy: xr.Dataset, scale: xr.Dataset) -> xr.Dataset:
    against = against_data(happy, scale).mean("seed")
    displayed = against[["z_score", "ratio", "percentile"]].sel(of="display", drop=True)
    return displayed.assign(display_gap=against["display_gap"])
