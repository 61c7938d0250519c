"""How alike every two maps of a layer are: as pictures, as textures, to the net.

Pictures and textures are compared without the frame that many maps share (`analysis.inner`).
"""

import keras
import numpy as np
import scipy.fft
import xarray as xr
from tqdm.auto import tqdm

from helpers.maps.dataset import PICTURE, one_weight
from helpers.maps.spec import MapSpec
from helpers.measures import appearance
from helpers.measures.kinds import FLAT
from helpers.models import cutting
from helpers.models.preprocessing import from_pixels


def as_pictures(maps: xr.Dataset, *, shifts: bool = True, progress: bool = True) -> xr.DataArray:
    """How alike every two maps look, -1..1: normalised cross-correlation of the display maps.

    `max over s of sum a(x, c) b(x + s, c) / (|a| |b|)` over positions x and channels c, shifts
    circular (Lewis 1995, "Fast Normalized Cross-Correlation", with a template as large as the
    picture); a is the map's pattern, that is less each channel's mean. A map that is one colour but
    for a twentieth (`kinds.FLAT`) is compared by that colour instead: a is its channels' means less
    their mean, so that it scores 1 with the same colour and 0 with any pattern.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight.
        shifts: take the best shift; False compares in place, for units that look at one place.
        progress: show a bar.

    Returns:
        (unit, seed, other_unit, other_seed), NaN for a map of one value.

    Raises:
        ValueError: more than one TV or LP weight.
    """
    shown = _inner_planes(maps)
    shape = shown.shape[-2:]
    planes = shown.values.reshape(-1, *shown.shape[2:]).astype("float32")
    colour = planes.mean((-2, -1), keepdims=True)
    planes -= colour
    colour -= colour.mean(1, keepdims=True)
    is_flat = (planes**2).mean((1, 2, 3)) < FLAT / (1 - FLAT) * (colour**2).mean((1, 2, 3))
    planes[is_flat] = np.broadcast_to(colour, planes.shape)[is_flat]
    with np.errstate(invalid="ignore"):
        planes /= np.sqrt((planes**2).sum((1, 2, 3), keepdims=True))
    if not shifts:
        flat = planes.reshape(len(planes), -1)
        return _pairs(shown, flat @ flat.T)
    spectra = scipy.fft.rfft2(planes)
    values = np.empty((len(planes), len(planes)))
    for i in tqdm(range(len(planes)), desc="likeness", disable=not progress):
        products = (spectra[i:] * np.conj(spectra[i])).sum(1)
        values[i, i:] = values[i:, i] = scipy.fft.irfft2(products, shape).max((-2, -1))
    return _pairs(shown, values)


def as_textures(maps: xr.Dataset) -> xr.DataArray:
    """How alike the textures of every two maps are, wherever they lie: -1..1.

    Pearson correlation over all frequencies of the amplitude spectra `|F(k)|`, the mean left out,
    channels side by side. Textures of random phase differ by their amplitudes alone (Galerne,
    Gousseau & Morel 2011, "Random Phase Textures: Theory and Synthesis", section II); what is
    alike here and not in `as_pictures` repeats as a texture, not as a picture.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight.

    Returns:
        (unit, seed, other_unit, other_seed), NaN for a map of one value.

    Raises:
        ValueError: more than one TV or LP weight.
    """
    shown = _inner_planes(maps)
    planes = shown.values.reshape(-1, *shown.shape[2:]).astype("float32")
    amplitudes = np.abs(scipy.fft.fft2(planes)).reshape(*planes.shape[:2], -1)[..., 1:]
    flat = amplitudes.reshape(len(planes), -1)
    flat = flat - flat.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return _pairs(shown, flat @ flat.T)


def to_the_net(maps: xr.Dataset, model: keras.Model, layer: str | int) -> xr.DataArray:
    """How alike the net finds every two maps: cosine of their activations at a deeper layer, -1..1.

    The maps are read as shown. Of ReLU activations, all of them positive, any two are alike: the
    null of different units is what to compare with, and `repeatability` does.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight.
        model: the net.
        layer: name or index of a layer with units.

    Returns:
        (unit, seed, other_unit, other_seed), NaN where a map leaves the layer silent.
    """
    shown = one_weight(maps)["display"].transpose("unit", "seed", *PICTURE)
    net = from_pixels(cutting.at_layer(model, layer), _preprocessing(maps))
    flat = shown.values.reshape(-1, *shown.shape[-3:]).astype("float32")
    outputs = net.predict(flat, verbose=0).reshape(len(flat), -1).astype("float64")
    with np.errstate(invalid="ignore"):
        outputs = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    return _pairs(shown, outputs @ outputs.T)


def _inner_planes(maps: xr.Dataset) -> xr.DataArray:
    shown = appearance.inner(one_weight(maps)["display"])
    return shown.transpose("unit", "seed", "channel", "height", "width")


def _preprocessing(maps: xr.Dataset):
    return MapSpec.from_toml(maps.attrs["spec"]).preprocessing


def _pairs(shown: xr.DataArray, values: np.ndarray) -> xr.DataArray:
    units, seeds = shown["unit"].values, shown["seed"].values
    size = len(units), len(seeds)
    coordinates = {"unit": units, "seed": seeds, "other_unit": units, "other_seed": seeds}
    return xr.DataArray(values.reshape(*size, *size), coordinates, tuple(coordinates))
