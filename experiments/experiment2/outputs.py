"""Maps of a model's output units: what each objective does to them, by the same measures."""

from collections.abc import Mapping
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import xarray as xr

from helpers.images import LabelledImages, as_pixels
from helpers.maps import targets
from helpers.maps.dataset import IMAGE, as_grid, one_weight, spec_of
from helpers.maps.spec import MINUS_OTHERS
from helpers.measures.appearance import (
    APPEARANCE_CLASSES,
    appearance_class,
    class_levels,
    high_frequency_share,
    measure_appearance,
    measure_images,
)
from helpers.measures.displayed import against_data
from helpers.measures.similarity import similarity_between_units, similarity_over_seeds
from helpers.models.forward import Forward
from helpers.units.responses import measure_responses
from helpers.units.statistics import activation_scale

OBJECTIVES = ("activation", "pre-activation", MINUS_OTHERS)
RECOGNISED = 0.5
"""Probability above which a softmax of any number of classes has decided for a class."""


def displayed_outputs(maps: xr.Dataset, model: keras.Model) -> xr.Dataset:
    """What the model makes of the displayed maps, by numbers that all objectives share.

    Args:
        maps: what `happy_maps` returns for a softmax layer.
        model: the model.

    Returns:
        Over the maps' leading dims: `probability` (0..1) and `margin`, the logit less the mean of
        the others', of the unit that the map is of.
    """
    maps = as_grid(maps)
    displayed = maps["display"].transpose("unit", ..., *IMAGE)
    pixels = displayed.values.reshape(-1, *displayed.shape[-3:])
    dims = displayed.dims[:-3]
    columns = {}
    for name, objective in (("probability", "activation"), ("margin", MINUS_OTHERS)):
        target = targets.target_of(model, replace(spec_of(maps), sign="happy", objective=objective))
        outputs = Forward(target)(pixels).astype("float64").reshape(*displayed.shape[:-3], -1)
        own = [outputs[i, ..., unit] for i, unit in enumerate(maps["unit"].values)]
        columns[name] = (dims, np.stack(own))
    return xr.Dataset(columns, {dim: displayed[dim] for dim in dims})


def scales(model: keras.Model, images: LabelledImages, layer: str) -> dict[str, xr.Dataset]:
    """The scale of every objective of a softmax layer over images: `activation_scale` by its name.

    One set of images for the three, so that weights and activations relative to it compare.
    """
    return {
        objective: activation_scale(
            measure_responses(model, images, layer, objective=objective, progress=False)
        )
        for objective in OBJECTIVES
    }


def measure(maps: xr.Dataset, model: keras.Model, scale: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Measure the maps of output units, per weight and seed: means over the units.

    Args:
        maps: what `happy_maps` returns: a softmax layer, at least two units and seeds, one LP
            weight.
        model: the model.
        scale: from `scales`.

    Returns:
        Over (tv_weight, seed): `similarity_between_outputs`, in place, of two outputs' maps of one
        seed, -1 for complements; `similarity_over_seeds`, in place, of one output's maps;
        `high_frequency_share` (0..1); `displayed_z_score`, of the margin of the displayed map
        against the images, whatever the objective; `display_gap`, raw minus displayed activation in
        standard deviations of the objective; `displayed_probability`, 0..1. Coordinates:
        `recognised` (tv_weight), whether the model gives the class of every displayed map more than
        0.5; `scale`, the objective's standard deviation over the images, mean over the units.
    """
    maps = as_grid(maps)
    outputs = displayed_outputs(maps, model)
    margin = scale[MINUS_OTHERS].squeeze(drop=True).sel(unit=maps["unit"])
    own_scale = scale[maps.attrs["objective"]]
    sd = own_scale["std"].squeeze(drop=True).sel(unit=maps["unit"])
    measured = xr.Dataset(
        {
            "similarity_between_outputs": similarity_between_units(maps, shifts=False),
            "similarity_over_seeds": similarity_over_seeds(maps, shifts=False),
            "high_frequency_share": high_frequency_share(maps["display"]),
            "displayed_z_score": (outputs["margin"] - margin["mean"]) / margin["std"],
            "display_gap": against_data(maps, own_scale)["display_gap"] / sd,
            "displayed_probability": outputs["probability"],
        }
    )
    measured = measured.mean("unit").squeeze("lp_weight", drop=True)
    recognised = (outputs["probability"] > RECOGNISED).all(("unit", "seed")).squeeze("lp_weight")
    return measured.assign_coords(
        recognised=("tv_weight", recognised.values), scale=float(sd.mean())
    )


def class_shares(maps: Mapping[str, xr.Dataset], images: LabelledImages) -> pd.DataFrame:
    """Share (0..1) of the maps of each appearance class: per name, a column per class.

    Args:
        maps: name -> what `happy_maps` returns, one TV and LP weight.
        images: what a map is bright or spread out against.
    """
    rows, pixels = {}, as_pixels(images.images)
    for name, maps_of_name in maps.items():
        one_map = one_weight(as_grid(maps_of_name))
        levels = class_levels(measure_images(pixels, one_map))
        classes = appearance_class(measure_appearance(one_map), levels)
        rows[name] = pd.Series(classes.values.ravel()).value_counts(normalize=True)
    table = pd.DataFrame.from_dict(rows, "index")
    return table.reindex(columns=[name for name in APPEARANCE_CLASSES if name in table]).fillna(0.0)
