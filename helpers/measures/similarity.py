"""How similar maps are to each other: as images, as textures, to the model.

The one similarity of images in this project is normalised cross-correlation of displayed maps,
without the frame that many maps share (`appearance.without_frame`), in place or at the best shift:
`max over s of sum a(x, c) b(x + s, c) / (|a| |b|)` over positions x and channels c, shifts circular
(Lewis 1995, "Fast Normalized Cross-Correlation", with a template as large as the image); a is the
map's pattern, that is less each channel's mean. A map that is one colour but for a twentieth
(`appearance.FLAT`) is compared by that colour instead: a is its channels' means less their mean, so
that it scores 1 with the same colour and 0 with any pattern. NaN for a map of one gray value.

Two independent noises score above 0 at the best shift, because the best of H x W shifts is taken:
compare with what different units score.
"""

from itertools import product

import keras
import numpy as np
import pandas as pd
import scipy.fft
import xarray as xr
from tqdm.auto import tqdm

from helpers.images import fit
from helpers.maps.dataset import IMAGE, as_grid, one_weight, spec_of
from helpers.measures.appearance import FLAT, without_frame
from helpers.models import cutting
from helpers.models.forward import Forward
from helpers.models.preprocessing import from_pixels

PLANES = ("channel", "height", "width")


def image_similarity(
    maps: xr.Dataset, *, shifts: bool = True, progress: bool = True
) -> xr.DataArray:
    """Similarity as images (see the module) of every two maps, -1..1.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight.
        shifts: take the best shift; False compares in place, for units that look at one place.
        progress: show a bar.

    Returns:
        (unit, seed, other_unit, other_seed), NaN for a map of one value.

    Raises:
        ValueError: more than one TV or LP weight.
    """
    displayed = _displayed(maps)
    patterns = _patterns(_inner_planes(displayed))
    if not shifts:
        flat = patterns.reshape(len(patterns), -1)
        return _pairs(displayed, flat @ flat.T)
    spectra = scipy.fft.rfft2(patterns)
    values = np.empty((len(patterns), len(patterns)))
    for i in tqdm(range(len(patterns)), desc="similarity", disable=not progress):
        products = (spectra[i:] * np.conj(spectra[i])).sum(1)
        values[i, i:] = values[i:, i] = scipy.fft.irfft2(products, patterns.shape[-2:]).max(
            (-2, -1)
        )
    return _pairs(displayed, values)


def similarity_over_seeds(maps: xr.Dataset, *, shifts: bool = True) -> xr.DataArray:
    """Each map's mean `image_similarity` to the maps of its unit and weights from other seeds.

    Args:
        maps: what `happy_maps` returns, at least two seeds.
        shifts: as `image_similarity` takes it.

    Returns:
        (unit, tv_weight, lp_weight, seed), -1..1.

    Raises:
        ValueError: fewer than two seeds.
    """
    return _mean_similarity(maps, "seed", "unit", shifts)


def similarity_between_units(maps: xr.Dataset, *, shifts: bool = True) -> xr.DataArray:
    """Each map's mean `image_similarity` to the maps of other units from its seed and weights.

    -1: two units whose maps are each other's negatives (complements).

    Args:
        maps: what `happy_maps` returns, at least two units.
        shifts: as `image_similarity` takes it.

    Returns:
        (unit, tv_weight, lp_weight, seed), -1..1.

    Raises:
        ValueError: fewer than two units.
    """
    return _mean_similarity(maps, "unit", "seed", shifts)


def similarity_to_images(maps: xr.Dataset, pixels: np.ndarray) -> xr.DataArray:
    """Similarity as images, in place, of each map to the image of its seed, -1..1.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight.
        pixels: (S, H, W, C), any range: one image for each seed, such as its seed input.

    Returns:
        (unit, seed).

    Raises:
        ValueError: more than one TV or LP weight, or not one image of the maps' size per seed.
    """
    displayed = _displayed(maps)
    shape = displayed.shape[1:2] + tuple(displayed.sizes[dim] for dim in IMAGE)
    if pixels.shape != shape:
        raise ValueError(f"pixels must have shape {shape}, one image per seed, got {pixels.shape}")
    images = xr.DataArray(pixels, dims=("seed", *IMAGE))
    a = _patterns(_inner_planes(displayed))
    b = _patterns(_inner_planes(images))
    values = (a.reshape(-1, *b.shape) * b).sum((-3, -2, -1))
    return xr.DataArray(values, {dim: displayed[dim] for dim in ("unit", "seed")}, ("unit", "seed"))


def texture_similarity(maps: xr.Dataset) -> xr.DataArray:
    """Similarity of the textures of every two maps, wherever they lie: -1..1.

    Pearson correlation over all frequencies of the amplitude spectra `|F(k)|`, the mean left out,
    channels side by side, without the frame. Textures of random phase differ by their amplitudes
    alone (Galerne, Gousseau & Morel 2011, "Random Phase Textures: Theory and Synthesis", section
    II); what is similar here and not in `image_similarity` repeats as a texture, not as an image.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight.

    Returns:
        (unit, seed, other_unit, other_seed), NaN for a map of one value.

    Raises:
        ValueError: more than one TV or LP weight.
    """
    displayed = _displayed(maps)
    planes = _inner_planes(displayed)
    amplitudes = np.abs(scipy.fft.fft2(planes)).reshape(*planes.shape[:2], -1)[..., 1:]
    flat = amplitudes.reshape(len(planes), -1)
    flat = flat - flat.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return _pairs(displayed, flat @ flat.T)


def activation_similarity(maps: xr.Dataset, model: keras.Model, layer: str | int) -> xr.DataArray:
    """Similarity to the model: cosine of the activations that every two maps cause at a layer.

    The maps are read as displayed, frame included. Of ReLU activations, all of them positive, any
    two are similar: the null of different units is what to compare with, as `repeatability` does.

    Args:
        maps: what `happy_maps` returns, one TV and LP weight.
        model: the model.
        layer: name or index of a layer with units.

    Returns:
        (unit, seed, other_unit, other_seed), -1..1, NaN where a map activates no unit of the layer.

    Raises:
        ValueError: more than one TV or LP weight, or no such layer.
    """
    displayed = _displayed(maps)
    cut = from_pixels(cutting.at_layer(model, layer), spec_of(maps).preprocessing)
    pixels = displayed.transpose("unit", "seed", *IMAGE).values
    pixels = fit(pixels.reshape(-1, *pixels.shape[2:]), cut.input_shape[1:])
    outputs = Forward(cut)(pixels).reshape(len(pixels), -1).astype("float64")
    with np.errstate(invalid="ignore"):
        outputs = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    return _pairs(displayed, outputs @ outputs.T)


def unit_matrix(similarity: xr.DataArray) -> xr.DataArray:
    """The (unit, other_unit) matrix of one seed's maps.

    Raises:
        ValueError: the similarity is of more than one seed.
    """
    if similarity.sizes["seed"] != 1:
        raise ValueError(f"similarity must be of one seed, got {similarity['seed'].values}")
    return similarity.isel(seed=0, other_seed=0, drop=True)


def mean_of_pairs(matrix: xr.DataArray) -> float:
    """Mean over the pairs of two different units of a `unit_matrix`."""
    return float(_upper_triangle(matrix).mean())


def share_of_pairs(matrix: xr.DataArray, level: float) -> float:
    """Share (0..1) of the pairs of different units of a `unit_matrix` that lie above `level`."""
    return float((_upper_triangle(matrix) > level).mean())


def closest_pairs(matrix: xr.DataArray, count: int) -> pd.Series:
    """The `count` pairs of different units with the largest similarity, the largest first."""
    ordered = _upper_triangle(matrix).sort_values(ascending=False)
    return ordered.head(count).rename("similarity")


def _mean_similarity(maps: xr.Dataset, over: str, within: str, shifts: bool) -> xr.DataArray:
    """Mean over the other values of dim `over`; the maps of each value of `within` on their own."""
    maps = as_grid(maps)
    if maps.sizes[over] < 2:
        raise ValueError(f"maps must have at least two of {over}, got {maps.sizes[over]}")
    result = xr.full_like(maps["display"].isel(dict.fromkeys(IMAGE, 0), drop=True), np.nan, float)
    sizes = [range(maps.sizes[dim]) for dim in ("tv_weight", "lp_weight", within)]
    for tv, lp, i in product(*sizes):
        at = {"tv_weight": tv, "lp_weight": lp, within: i}
        chosen = maps.isel({dim: [index] for dim, index in at.items()})
        matrix = image_similarity(chosen, shifts=shifts, progress=False).squeeze(drop=True)
        is_other = matrix[over] != matrix[f"other_{over}"]
        result[at] = matrix.where(is_other).mean(f"other_{over}").values
    return result


def _displayed(maps: xr.Dataset) -> xr.DataArray:
    """(unit, seed, channel, height, width) of maps at one weight."""
    displayed = one_weight(as_grid(maps))["display"]
    return displayed.transpose("unit", "seed", *PLANES)


def _inner_planes(images: xr.DataArray) -> np.ndarray:
    """Images (..., height, width, channel) without their frame: (n, channel, height, width)."""
    inner = without_frame(images).transpose(..., *PLANES)
    return inner.values.reshape(-1, *inner.shape[-3:]).astype("float32")


def _patterns(planes: np.ndarray) -> np.ndarray:
    """Planes (n, C, H, W) -> what is compared of each, of norm 1."""
    colour = planes.mean((-2, -1), keepdims=True)
    patterns = planes - colour
    colour = colour - colour.mean(1, keepdims=True)
    is_flat = (patterns**2).mean((1, 2, 3)) < FLAT / (1 - FLAT) * (colour**2).mean((1, 2, 3))
    patterns[is_flat] = np.broadcast_to(colour, patterns.shape)[is_flat]
    with np.errstate(invalid="ignore"):
        return patterns / np.sqrt((patterns**2).sum((1, 2, 3), keepdims=True))


def _pairs(displayed: xr.DataArray, values: np.ndarray) -> xr.DataArray:
    units, seeds = displayed["unit"].values, displayed["seed"].values
    size = len(units), len(seeds)
    coordinates = {"unit": units, "seed": seeds, "other_unit": units, "other_seed": seeds}
    return xr.DataArray(values.reshape(*size, *size), coordinates, tuple(coordinates))


def _upper_triangle(matrix: xr.DataArray) -> pd.Series:
    frame = matrix.to_pandas()
    return frame.where(np.triu(np.ones(frame.shape, bool), k=1)).stack().dropna()
