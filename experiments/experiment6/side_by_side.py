"""The same recipes on several models: the maps side by side, and their numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import xarray as xr

from helpers import maps, measures
from helpers.images import as_pixels, fit
from helpers.models import cutting
from helpers.models.forward import Forward
from helpers.natural import photographs

RECIPES = {
    "keras-vis, TV 0.001": ("keras_vis", (maps.LpNorm(10.0), maps.TotalVariation(1e-3))),
    "keras-vis, TV 10": ("keras_vis", None),
    "robust": ("robust", None),
    "MaCo": ("maco", None),
}


@dataclass(frozen=True, eq=False)
class Row:
    """What the recipes are tried on.

    Attributes:
        name: of the model, in words.
        model: the model.
        objectives: name -> what is maximised.
        features: layer by which the distance to natural images is measured.
    """

    name: str
    model: keras.Model
    objectives: Mapping[str, maps.Objective]
    features: str


def optimize(rows: Sequence[Row], *, seed: int = 0, steps: int | None = None) -> xr.Dataset:
    """Make the maps of every objective by every recipe.

    Returns:
        Over (objective, recipe): `activation_seed`, `activation_display`, `high_frequency_share`
        and `distance` to the photographs of scikit-image; `display`, an object array of images
        (H, W, C), pixels 0..255.
    """
    parts = []
    for row in rows:
        by_recipe = []
        shape = row.model.input_shape[1:]
        features = Forward(cutting.at_layer(row.model, row.features))
        references = features(fit(as_pixels(photographs(shape[:2]).images), shape))
        for recipe, (preset, regularizers) in RECIPES.items():
            made = maps.maximize(
                row.model,
                list(row.objectives.values()),
                preset=preset,
                regularizers=regularizers,
                seeds=seed,
                steps=steps,
                progress=False,
            ).squeeze("seed")
            images = made["display"]
            shown = np.empty(len(images), object)
            shown[:] = list(images.values)
            distances = measures.distance_to_images(features(images.values), references)
            values = {
                "activation_seed": made["activation_seed"].values,
                "activation_display": made["activation_display"].values,
                "high_frequency_share": measures.high_frequency_share(images).values,
                "distance": distances,
                "display": shown,
            }
            dims = ("objective", "recipe")
            coordinates = {
                "objective": [f"{row.name}: {name}" for name in row.objectives],
                "recipe": [recipe],
            }
            by_recipe.append(
                xr.Dataset({k: (dims, v[:, None]) for k, v in values.items()}, coordinates)
            )
        parts.append(xr.concat(by_recipe, "recipe"))
    return xr.concat(parts, "objective")


def table(made: xr.Dataset) -> pd.DataFrame:
    """The numbers by objective and recipe."""
    names = {
        "activation_seed": "activation, seed input",
        "activation_display": "activation, displayed map",
        "high_frequency_share": "high-frequency share",
        "distance": "distance to photographs",
    }
    frame = made[list(names)].to_dataframe().rename(columns=names)
    return frame.loc[made["objective"].values]
