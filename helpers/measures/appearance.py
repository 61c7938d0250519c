"""What maps look like: numbers, and by them one appearance class per map.

Every number is of the image without its frame (`without_frame`), unless it says otherwise, and of
no image does the bottom right pixel count: total variation leaves it free (keras-vis drops the last
row and column), so that in a map it can lie tens of standard deviations off.
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from skimage.feature import structure_tensor

from helpers.images import fit
from helpers.maps import dataset
from helpers.maps.dataset import IMAGE, as_grid
from helpers.measures.repeatability import NO_MAP

PLANE = ("height", "width")
HIGH_FREQUENCY = 0.25
"""Cycles per pixel above which a frequency counts as high: half of the Nyquist frequency 0.5."""
FRAME = 0.1
"""Share of an image's height and width that counts as its frame, on each side."""
BLOCK = 8

APPEARANCE_CLASSES = (
    "bright", "flat", "staticky", "edge-like", "textured", "object-like", "diffuse",
)  # fmt: skip
FLAT = 0.05
"""Spatial share below which an image is flat: all but a twentieth of it is colour or frame."""
STATICKY = 0.4
"""High-frequency share from which an image is staticky: half of white noise's 0.80."""
ONE_WAY = 0.5
"""Edge strength from which an image is edge-like: three times the contrast across than along."""
COARSE = 0.5
"""Share of the energy at periods above 16 pixels below which an image is textured."""
REACH = 0.95
"""Quantile of the real images beyond which a map is brighter, or more spread out, than they are."""
SEED_BRIGHT = 127.5 + 0.05 * 255
"""Pixel value: the seed input's mean plus its standard deviation. No map is bright by its start."""


def without_frame(images: xr.DataArray) -> xr.DataArray:
    """The images without a tenth of their height and width on each side, and at least one pixel.

    Many maps have a frame there, whatever the unit: fewer positions of a filter cover the border.
    """
    sizes = [images.sizes[dim] for dim in PLANE]
    margins = [min(max(1, round(FRAME * size)), (size - 1) // 2) for size in sizes]
    rows, columns = (slice(m, size - m) for m, size in zip(margins, sizes, strict=True))
    return images.isel(height=rows, width=columns)


def band_share(images: xr.DataArray, low: float, high: float) -> xr.DataArray:
    """Share of the spectral energy between two radial frequencies, 0..1; the mean is left out.

    The energies of the channels are added, so that static in colour counts. NaN for an image of
    one value.

    Args:
        images: (..., height, width, channel), any range.
        low: cycles per pixel, not included.
        high: cycles per pixel, included; the corner of the spectrum is at 0.71.

    Returns:
        Over the leading dims.
    """
    energy = np.abs(np.fft.fft2(_centred_planes(images))) ** 2
    rows, columns = (np.fft.fftfreq(n) for n in energy.shape[-2:])
    radius = np.hypot(rows[:, None], columns[None, :])
    in_band = (radius > low) & (radius <= high)
    with np.errstate(invalid="ignore"):
        share = energy[..., in_band].sum((-2, -1)) / energy.sum((-3, -2, -1))
    return _over_leading(images, share)


def high_frequency_share(images: xr.DataArray) -> xr.DataArray:
    """How staticky: `band_share` above 0.25 cycles per pixel (periods below four pixels).

    White noise has 1 - pi / 16 = 0.80 of its energy there: the square of all frequencies less the
    disc of radius 0.25.
    """
    return band_share(images, HIGH_FREQUENCY, 1)


def texture_share(images: xr.DataArray) -> xr.DataArray:
    """How textured: `band_share` of periods from 4 to 16 pixels (0.0625 to 0.25 cycles per pixel).

    White noise has 15 pi / 256 = 0.18 of its energy there.
    """
    return band_share(images, HIGH_FREQUENCY / 4, HIGH_FREQUENCY)


def coarse_share(images: xr.DataArray) -> xr.DataArray:
    """How coarse: `band_share` of periods above 16 pixels; the three shares add to 1."""
    return band_share(images, 0, HIGH_FREQUENCY / 4)


def orientation(images: xr.DataArray) -> xr.Dataset:
    """The one direction that edges run along: how strong it is, and which.

    Coherence of the structure tensor J averaged over the image and its channels (Di Zenzo 1986),
    (l1 - l2) / (l1 + l2) with the eigenvalues l1 >= l2 (Bigun & Granlund 1987); the angle is that
    of the edges (the eigenvector of l2), counted from the horizontal, anticlockwise as seen. NaN
    where nothing varies.

    Args:
        images: (..., height, width, channel), any range.

    Returns:
        `edge_strength` (0..1) and `edge_angle` (degrees, 0..180) over the leading dims.
    """
    planes = _centred_planes(images)
    flat = planes.reshape(-1, *planes.shape[-2:])
    tensors = [[part.mean() for part in structure_tensor(p, sigma=1, order="rc")] for p in flat]
    parts = np.array(tensors).reshape(*planes.shape[:-2], 3).mean(-2)
    rr, rc, cc = np.moveaxis(parts, -1, 0)
    with np.errstate(invalid="ignore"):
        strength = np.hypot(rr - cc, 2 * rc) / (rr + cc)
    across = 0.5 * np.arctan2(-2 * rc, cc - rr)
    angle = np.where(np.isnan(strength), np.nan, (np.degrees(across) + 90) % 180)
    return xr.Dataset(
        {
            "edge_strength": _over_leading(images, strength),
            "edge_angle": _over_leading(images, angle),
        }
    )


def extent(images: xr.DataArray) -> xr.DataArray:
    """How far the contrast spreads over the image: 1 for evenly, 0 for one pixel.

    The standard distance of the squared deviation from the mean about its own centre, over that of
    an even spread: `sqrt(sum w |p - c|^2 / sum w) / sqrt((H^2 - 1 + W^2 - 1) / 12)` with
    `w = (x - mean x)^2`, added over the channels. Above 1 the contrast sits at the border. NaN
    where nothing varies.
    """
    planes = without_frame(images).astype("float64")
    weight = ((planes - planes.mean(PLANE)) ** 2).sum("channel")
    total = weight.sum(PLANE)
    variance, even = xr.zeros_like(total), 0.0
    for dim in PLANE:
        place = xr.DataArray(np.arange(weight.sizes[dim], dtype=float), dims=dim)
        centre = (weight * place).sum(PLANE) / total
        variance = variance + (weight * (place - centre) ** 2).sum(PLANE) / total
        even += (weight.sizes[dim] ** 2 - 1) / 12
    return np.sqrt(variance / even).where(total > 0)


def spatial_share(images: xr.DataArray) -> xr.DataArray:
    """Share of an image's variance that is a pattern, 0..1; the rest is one colour, and the frame.

    `mean (x - mean over positions)^2` without the frame, over `mean (x - mean over all)^2` of the
    image with it, at most 1: near 1 for a gray image without a frame, 0 for an even colour. NaN for
    an image of one value.
    """
    whole, part = _without_free_pixel(images), without_frame(images).astype("float64")
    pattern = ((part - part.mean(PLANE)) ** 2).mean(IMAGE)
    total = ((whole - whole.mean(IMAGE)) ** 2).mean(IMAGE)
    return np.minimum(pattern / total.where(total > 0), 1)


def brightness(images: xr.DataArray) -> xr.DataArray:
    """Mean over pixels and channels, frame included, in the unit of the input."""
    return _without_free_pixel(images).mean(IMAGE)


def brightness_spread(images: xr.DataArray) -> xr.DataArray:
    """Standard deviation over the image of its brightness in blocks of 8x8, unit of the input.

    The frame counts; what lies beyond the last whole block at the right and bottom does not.
    """
    gray = _without_free_pixel(images).mean("channel")
    return gray.coarsen(height=BLOCK, width=BLOCK, boundary="trim").mean().std(PLANE)


def measure_appearance(maps: xr.Dataset) -> xr.Dataset:
    """The numbers of maps: spectrum, edges and extent as displayed, brightness of the raw map.

    Args:
        maps: what `happy_maps` returns.

    Returns:
        Over the maps' leading dims: `high_frequency_share`, `texture_share` and `coarse_share`,
        which add to 1; `spatial_share` and `edge_strength`, 0..1; `extent`; and, on pixels 0..255,
        `brightness` and `brightness_spread`.
    """
    low, high = maps.attrs["input_range"]
    return _numbers(maps["display"], (maps["raw"] - low) * (255 / (high - low)))


def measure_images(pixels: np.ndarray, maps: xr.Dataset) -> xr.Dataset:
    """The same numbers of real images, at the size and with the channels of the maps.

    Args:
        pixels: (N, h, w, c), 0..255; fitted to the maps by `images.fit`.
        maps: what `happy_maps` returns.

    Returns:
        Over `image`, as `measure_appearance`.
    """
    shape = tuple(maps.sizes[dim] for dim in IMAGE)
    images = xr.DataArray(fit(pixels, shape), dims=("image", *IMAGE))
    return _numbers(images, images)


def class_levels(reference: xr.Dataset) -> dict[str, float]:
    """The level of each number at which `appearance_class` decides.

    Args:
        reference: the numbers of real images, from `measure_images`.
    """
    return {
        "spatial_share": FLAT,
        "high_frequency_share": STATICKY,
        "brightness": max(SEED_BRIGHT, float(reference["brightness"].quantile(REACH))),
        "edge_strength": ONE_WAY,
        "coarse_share": COARSE,
        "extent": float(reference["extent"].quantile(REACH)),
    }


def appearance_class(numbers: xr.Dataset, levels: Mapping[str, float]) -> xr.DataArray:
    """Which of `APPEARANCE_CLASSES` each image is in; the first of these rules that holds.

    1. bright: brighter than 95 % of the real images, and than the seed input by one of its
       standard deviations (140.25).
    2. flat: spatial share below 0.05: one colour, or a frame, and next to no pattern.
    3. staticky: high-frequency share at or above 0.4.
    4. edge-like: edge strength at or above 0.5.
    5. textured: coarse share below 0.5, that is most energy at periods of at most 16 pixels.
    6. object-like: coarse, and in one place: extent within that of 95 % of the real images.
    7. diffuse: coarse, and all over the image; or an image of one value.

    Args:
        numbers: from `measure_appearance` or `measure_images`.
        levels: from `class_levels`.
    """
    rules = (
        numbers["brightness"] > levels["brightness"],
        numbers["spatial_share"] < levels["spatial_share"],
        numbers["high_frequency_share"] >= levels["high_frequency_share"],
        numbers["edge_strength"] >= levels["edge_strength"],
        numbers["coarse_share"] < levels["coarse_share"],
        numbers["extent"] <= levels["extent"],
    )
    chosen = np.select([rule.values for rule in rules], APPEARANCE_CLASSES[:-1], "diffuse")
    return numbers["brightness"].copy(data=chosen).rename("appearance_class")


def unit_appearance(maps: xr.Dataset, pixels: np.ndarray) -> tuple[xr.Dataset, xr.DataArray]:
    """What each unit's maps look like, over the seeds; maps that were not raised do not count.

    Args:
        maps: what `happy_maps` returns.
        pixels: (N, h, w, c), 0..255, the real images that a map is bright or spread out against.

    Returns:
        The numbers of `measure_appearance`, means over the seeds, NaN where no map was raised; and
        the class of those means, `NO_MAP` where no map was raised. Both over the other dims.
    """
    maps = as_grid(maps)
    raised = dataset.raised(maps)
    numbers = measure_appearance(maps).where(raised).mean("seed")
    classes = appearance_class(numbers, class_levels(measure_images(pixels, maps)))
    return numbers, classes.where(raised.any("seed"), NO_MAP)


def top(values: xr.DataArray, count: int, *, largest: bool = True) -> np.ndarray:
    """Labels along `unit` of the `count` largest (or smallest) values, the most extreme first.

    NaNs are never among them.
    """
    present = values.dropna("unit")
    return present.sortby(present, ascending=not largest)["unit"].values[:count]


def _numbers(displayed: xr.DataArray, pixels: xr.DataArray) -> xr.Dataset:
    return xr.Dataset(
        {
            "high_frequency_share": high_frequency_share(displayed),
            "texture_share": texture_share(displayed),
            "coarse_share": coarse_share(displayed),
            "spatial_share": spatial_share(displayed),
            "edge_strength": orientation(displayed)["edge_strength"],
            "extent": extent(displayed),
            "brightness": brightness(pixels),
            "brightness_spread": brightness_spread(pixels),
        }
    )


def _without_free_pixel(images: xr.DataArray) -> xr.DataArray:
    """The images in float64 with NaN at the bottom right, which means over dims leave out."""
    rows, columns = (xr.DataArray(np.arange(images.sizes[dim]), dims=dim) for dim in PLANE)
    is_free = (rows == images.sizes["height"] - 1) & (columns == images.sizes["width"] - 1)
    return images.astype("float64").where(~is_free)


def _centred_planes(images: xr.DataArray) -> np.ndarray:
    planes = without_frame(images).transpose(..., "channel", *PLANE).values.astype("float64")
    return planes - planes.mean((-2, -1), keepdims=True)


def _over_leading(images: xr.DataArray, values: np.ndarray) -> xr.DataArray:
    leading = [dim for dim in images.dims if dim not in IMAGE]
    return xr.DataArray(values, {d: images[d] for d in leading if d in images.coords}, leading)
