"""What units do over images: the scale that activations of maps are judged by."""

import keras
import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from helpers import models
from helpers.images import LabelledImages
from helpers.units.responses import measure_responses

QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99)
OBJECTIVES = ("activation", "pre-activation")


def activation_scale(responses: xr.Dataset) -> xr.Dataset:
    """The scale of a layer's activations over the images, from `measure_responses`.

    Returns:
        Over (layer, objective, unit), one layer and objective: `mean`, `std`, `min`, `max` and
        `quantile` (level) over the images of the activation, the mean over positions.
    """
    activation = responses["activation"]
    numbers = {name: getattr(activation, name)("image") for name in ("mean", "std", "min", "max")}
    quantile = activation.quantile(list(QUANTILES), "image").rename(quantile="level")
    dims = {name: [responses.attrs[name]] for name in ("layer", "objective")}
    scale = xr.Dataset(numbers | {"quantile": quantile}).expand_dims(dims)
    return scale.assign_attrs(weight_digest=responses.attrs["weight_digest"])


def unit_statistics(
    model: keras.Model,
    images: LabelledImages,
    *,
    preprocessing=None,
    batch: int = 64,
    progress: bool = True,
) -> xr.Dataset:
    """What every unit of every layer does over images.

    Args:
        model, images, preprocessing, batch: as `measure_responses` takes them.
        progress: show a bar.

    Returns:
        Over (layer, objective, unit), objective "activation" or "pre-activation", NaN where a layer
        has fewer units: what `activation_scale` returns. And over (layer, unit) `inactive`, the
        share (0..1) of the images on which the unit's activation is above 0 at no position.
    """
    names = [info.name for info in models.layers(model)]
    layers = []
    for name in tqdm(names, desc="unit statistics", disable=not progress):
        responses = [
            measure_responses(
                model,
                images,
                name,
                objective=objective,
                preprocessing=preprocessing,
                batch=batch,
                progress=False,
            )
            for objective in OBJECTIVES
        ]
        scale = xr.concat([activation_scale(part) for part in responses], "objective")
        inactive = (responses[0]["positive"] == 0).mean("image").expand_dims(layer=[name])
        layers.append(scale.assign(inactive=inactive))
    return xr.concat(layers, "layer", join="outer").assign_attrs(images=len(images))


def dead_units(statistics: xr.Dataset) -> dict[str, list[int]]:
    """Units that are dead: never active on any image; by layer, layers without any left out.

    Args:
        statistics: from `unit_statistics`.
    """
    inactive = statistics["inactive"]
    dead = {str(n): np.flatnonzero(inactive.sel(layer=n) == 1) for n in inactive["layer"].values}
    return {name: units.tolist() for name, units in dead.items() if len(units)}
