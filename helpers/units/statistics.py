"""What the units of a net do over images: the scale that activations of maps are judged by."""

import keras
import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from helpers import models
from helpers.images import as_pixels
from helpers.models import cutting

QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99)
OBJECTIVES = ("activation", "pre-activation")


def unit_statistics(
    model: keras.Model, images: np.ndarray, *, batch: int = 64, progress: bool = True
) -> xr.Dataset:
    """What every unit does over images: the scale of its activation, and whether it ever fires.

    A convolution unit's activation is its mean over positions.

    Args:
        model: takes pixels 0..255.
        images: (N, H, W, C) in 0..1.
        batch: images at a time.
        progress: show a bar.

    Returns:
        A Dataset over (layer, objective, unit), objective "activation" or "pre-activation", NaN
        where a layer has fewer units: `mean`, `std`, `min`, `max` and `quantile` (level) over the
        images, and `silent` (layer, unit), the share (0..1) of the images on which the unit's
        activation is above 0 at no position.
    """
    infos = models.layers(model)
    names = [info.name for info in infos]
    shape = (len(infos), len(OBJECTIVES), max(info.units for info in infos))
    dims = ("layer", "objective", "unit")
    moments = {name: np.full(shape, np.nan) for name in ("mean", "std", "min", "max")}
    quantile = np.full((*shape, len(QUANTILES)), np.nan)
    silent = np.full((shape[0], shape[2]), np.nan)
    pixels = as_pixels(images)
    for row, info in enumerate(tqdm(infos, desc="unit statistics", disable=not progress)):
        for column, objective in enumerate(OBJECTIVES):
            net = cutting.at_layer(model, info.name, pre_activation=objective == "pre-activation")
            means, peaks = _means_and_peaks(net, pixels, batch)
            at = (row, column, slice(info.units))
            for name, values in moments.items():
                values[at] = getattr(means, name)(0)
            quantile[at] = np.quantile(means, QUANTILES, axis=0).T
            if objective == "activation":
                silent[row, : info.units] = (peaks <= 0).mean(0)
    variables = {name: (dims, values) for name, values in moments.items()}
    variables |= {"quantile": ((*dims, "level"), quantile), "silent": (("layer", "unit"), silent)}
    coordinates = {
        "layer": names,
        "objective": list(OBJECTIVES),
        "unit": np.arange(shape[2]),
        "level": list(QUANTILES),
    }
    attributes = {"images": len(images), "weight_digest": models.weight_digest(model)}
    return xr.Dataset(variables, coordinates, attributes)


def dead_units(statistics: xr.Dataset) -> dict[str, list[int]]:
    """Units that are silent on every image, by layer; layers without any are left out."""
    silent = statistics["silent"]
    dead = {str(name): np.flatnonzero(silent.sel(layer=name) == 1) for name in silent["layer"].data}
    return {name: units.tolist() for name, units in dead.items() if len(units)}


def _means_and_peaks(net: keras.Model, pixels: np.ndarray, batch: int):
    means, peaks = [], []
    for start in range(0, len(pixels), batch):
        outputs = np.asarray(net(pixels[start : start + batch]), "float64")
        positions = tuple(range(1, outputs.ndim - 1))
        means.append(outputs.mean(positions))
        peaks.append(outputs.max(positions))
    return np.concatenate(means), np.concatenate(peaks)


def scale(responses: xr.Dataset) -> xr.Dataset:
    """The scale of a layer's activations from `census.responses`, as `unit_statistics` gives it.

    Returns:
        Over (layer, objective, unit), one layer and objective: `mean`, `std`, `min`, `max` and
        `quantile` (level) over the images.
    """
    activation = responses["activation"].astype("float64")
    numbers = {name: getattr(activation, name)("image") for name in ("mean", "std", "min", "max")}
    quantile = activation.quantile(list(QUANTILES), "image").rename(quantile="level")
    dims = {name: [responses.attrs[name]] for name in ("layer", "objective")}
    found = xr.Dataset(numbers | {"quantile": quantile}).expand_dims(dims)
    return found.assign_attrs(weight_digest=responses.attrs["weight_digest"])
