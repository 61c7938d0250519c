"""Numbers about maps: what they look like, and how alike two of them are."""

import numpy as np
import pandas as pd
import xarray as xr
from skimage.feature import structure_tensor

from helpers.maps.dataset import PICTURE

PLANE = ("height", "width")
HIGH_FREQUENCY = 0.25
"""Cycles a pixel above which a frequency counts as high: half of the Nyquist frequency 0.5."""


FRAME = 0.1
"""Share of a picture's height and width that counts as its frame, on each side."""


def gray(pictures: xr.DataArray) -> xr.DataArray:
    """Mean over `channel`: (..., height, width), in the unit of the input."""
    return pictures.astype("float64").mean("channel")


def inner(pictures: xr.DataArray) -> xr.DataArray:
    """The pictures without a tenth of their height and width on each side.

    Many maps have a frame there, whatever the unit: fewer positions of a filter cover the border.
    """
    rows, columns = (round(FRAME * pictures.sizes[dim]) for dim in PLANE)
    return pictures.isel(height=slice(rows, -rows or None), width=slice(columns, -columns or None))


def band_share(pictures: xr.DataArray, low: float, high: float) -> xr.DataArray:
    """Share of the spectral energy between two radial frequencies, 0..1; the mean is left out.

    The energies of the channels are added, so that static in colour counts. NaN for a picture of
    one value.

    Args:
        pictures: (..., height, width, channel), any unit.
        low: cycles a pixel, not included.
        high: cycles a pixel, included; the corner of the spectrum is at 0.71.

    Returns:
        One number a picture, over the leading dims.
    """
    energy = np.abs(np.fft.fft2(_centred(pictures))) ** 2
    rows, columns = (np.fft.fftfreq(n) for n in energy.shape[-2:])
    radius = np.hypot(rows[:, None], columns[None, :])
    inside = (radius > low) & (radius <= high)
    with np.errstate(invalid="ignore"):
        share = energy[..., inside].sum((-2, -1)) / energy.sum((-3, -2, -1))
    return _over_leading(pictures, share)


def high_frequency_share(pictures: xr.DataArray) -> xr.DataArray:
    """How staticky: `band_share` above 0.25 cycles a pixel (periods below four pixels).

    White noise has 1 - pi / 16 = 0.80 of its energy there: the square of all frequencies less the
    disc of radius 0.25.
    """
    return band_share(pictures, HIGH_FREQUENCY, 1)


def texture_share(pictures: xr.DataArray) -> xr.DataArray:
    """How textured: `band_share` of periods from 4 to 16 pixels (0.0625 to 0.25 cycles a pixel).

    White noise has 15 pi / 256 = 0.18 of its energy there.
    """
    return band_share(pictures, HIGH_FREQUENCY / 4, HIGH_FREQUENCY)


def brightness(pictures: xr.DataArray) -> xr.DataArray:
    """Mean over pixels and channels, in the unit of the input."""
    return pictures.astype("float64").mean(PICTURE)


def orientation(pictures: xr.DataArray) -> xr.Dataset:
    """Strength (0..1) and angle (degrees, 0..180) of the one direction edges run along.

    Coherence of the structure tensor J averaged over the picture and its channels (Di Zenzo 1986),
    (l1 - l2) / (l1 + l2) with the eigenvalues l1 >= l2 (Bigun & Granlund 1987); the angle is that
    of the edges (the eigenvector of l2), counted from the horizontal, anticlockwise as seen. NaN
    where nothing varies.

    Args:
        pictures: (..., height, width, channel), any unit.

    Returns:
        `strength` and `angle` over the leading dims.
    """
    planes = _centred(pictures)
    flat = planes.reshape(-1, *planes.shape[-2:])
    tensors = [[part.mean() for part in structure_tensor(p, sigma=1, order="rc")] for p in flat]
    parts = np.array(tensors).reshape(*planes.shape[:-2], 3).mean(-2)
    rr, rc, cc = np.moveaxis(parts, -1, 0)
    with np.errstate(invalid="ignore"):
        strength = np.hypot(rr - cc, 2 * rc) / (rr + cc)
    across = 0.5 * np.arctan2(-2 * rc, cc - rr)
    angle = np.where(np.isnan(strength), np.nan, (np.degrees(across) + 90) % 180)
    return xr.Dataset(
        {"strength": _over_leading(pictures, strength), "angle": _over_leading(pictures, angle)}
    )


def correlation(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Pearson correlation, -1..1, of two pictures' pixels, pair by pair over the other dims.

    -1: each is the other's negative (complements). NaN where a picture has one value only.
    """
    return xr.corr(a.astype("float64"), b.astype("float64"), dim=PICTURE)


def best_shift_correlation(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Largest circular cross-correlation of two pictures over all shifts, -1..1.

    Each channel is taken less its mean, and their products are added, so that colour counts.

    Two maps that show the same texture at another place score near 1 here and near 0 in
    `correlation`. Two independent noises score above 0, because the best of H x W shifts is taken:
    compare with what different units score.

    Args:
        a: (..., height, width, channel).
        b: the same dims.
    """
    a, b = xr.broadcast(a, b)
    fa, fb = (np.fft.fft2(_normed(pictures)) for pictures in (a, b))
    products = np.fft.ifft2((fa * np.conj(fb)).sum(-3)).real
    return _over_leading(a, products.max((-2, -1)))


def pairwise(measure, pictures: xr.DataArray, dim: str) -> xr.DataArray:
    """`measure(a, b)` for every pair along `dim`: (..., dim, other_`dim`)."""
    other = f"other_{dim}"
    return measure(pictures, pictures.rename({dim: other})).transpose(..., dim, other)


def between(matrix: xr.DataArray, dim: str) -> xr.DataArray:
    """Mean over the pairs of two different `dim` of a matrix that `pairwise` made."""
    different = matrix[dim] != matrix[f"other_{dim}"]
    return matrix.where(different).mean((dim, f"other_{dim}"))


def share_of_pairs(matrix: xr.DataArray, level: float) -> float:
    """Share (0..1) of the pairs of different units whose value lies above `level`."""
    upper = _upper_triangle(matrix)
    return float((upper > level).sum() / len(upper))


def closest_pairs(matrix: xr.DataArray, count: int) -> pd.Series:
    """The `count` pairs of different units with the largest value, the largest first."""
    upper = _upper_triangle(matrix)
    return upper.sort_values(ascending=False).head(count).rename("correlation")


def looks(maps: xr.Dataset) -> xr.Dataset:
    """What maps look like: spectral shares and edges as shown, brightness as searched.

    Args:
        maps: what `happy_maps` returns.
    """
    return xr.Dataset(
        {
            "high-frequency share": high_frequency_share(maps["display"]),
            "texture share": texture_share(maps["display"]),
            "edge strength": orientation(maps["display"])["strength"],
            "brightness of raw map": brightness(maps["raw"]),
        }
    )


def complement(maps: xr.Dataset) -> xr.Dataset:
    """Whether maps of output units are each other's negatives, against how much chance is in them.

    Args:
        maps: what `happy_maps` returns for at least two units and two seeds.

    Returns:
        Over the weights: `between`, the mean correlation of two outputs' maps from one seed, -1 for
        complements; `alike`, that of one output's maps from two seeds, 1 where they repeat.
    """
    shown = maps["display"]
    return xr.Dataset(
        {
            "between": between(pairwise(correlation, shown, "unit"), "unit").mean("seed"),
            "alike": between(pairwise(correlation, shown, "seed"), "seed").mean("unit"),
        }
    )


def output_numbers(maps: xr.Dataset) -> dict[str, float]:
    """Three numbers by which maps of output units are compared; means over the whole Dataset.

    "high-frequency share" (0..1, less is less static), and `alike` and `between` of `complement`.
    """
    numbers = complement(maps).mean()
    return {
        "high-frequency share": float(high_frequency_share(maps["display"]).mean()),
        "alike over seeds": float(numbers["alike"]),
        "between outputs": float(numbers["between"]),
    }


def top(values: xr.DataArray, count: int, *, largest: bool = True) -> np.ndarray:
    """Labels along `unit` of the `count` largest (or smallest) values, the most extreme first.

    NaNs are never among them.
    """
    kept = values.dropna("unit").sortby(values.dropna("unit"), ascending=not largest)
    return kept["unit"].values[:count]


def _upper_triangle(matrix: xr.DataArray) -> pd.Series:
    frame = matrix.squeeze(drop=True).to_pandas()
    return frame.where(np.triu(np.ones(frame.shape, bool), k=1)).stack().dropna()


def _centred(pictures: xr.DataArray) -> np.ndarray:
    planes = pictures.transpose(..., "channel", *PLANE).values.astype("float64")
    return planes - planes.mean((-2, -1), keepdims=True)


def _normed(pictures: xr.DataArray) -> np.ndarray:
    planes = _centred(pictures)
    with np.errstate(invalid="ignore"):
        return planes / np.sqrt((planes**2).sum((-3, -2, -1), keepdims=True))


def _over_leading(pictures: xr.DataArray, values: np.ndarray) -> xr.DataArray:
    leading = [dim for dim in pictures.dims if dim not in PICTURE]
    return xr.DataArray(values, {d: pictures[d] for d in leading if d in pictures.coords}, leading)
