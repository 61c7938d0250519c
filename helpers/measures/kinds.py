"""What kind of picture a map is, by numbers, against the same numbers of real images."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from helpers.images import as_input
from helpers.maps.dataset import PICTURE
from helpers.measures import appearance

KINDS = ("bright", "flat", "staticky", "edge-like", "textured", "object-like", "diffuse")
FLAT = 0.05
"""Spatial share below which a picture is flat: all but a twentieth of it is colour or frame."""
STATICKY = 0.4
"""High-frequency share from which a picture is staticky: half of white noise's 0.80."""
ONE_WAY = 0.5
"""Edge strength from which a picture is edge-like: three times the contrast across than along."""
COARSE = 0.5
"""Share of the energy at periods above 16 pixels below which a picture is textured."""
REACH = 0.95
"""Quantile of the real images beyond which a map is brighter, or more spread out, than they are."""
SEED_BRIGHT = 127.5 + 0.05 * 255
"""Pixel value: the seed input's mean plus its standard deviation. No map is bright by its start."""
BLOCK = 8


def brightness_spread(pictures: xr.DataArray) -> xr.DataArray:
    """Standard deviation over the picture of its brightness in blocks of 8x8, unit of the input.

    What lies beyond the last whole block at the right and bottom is left out.
    """
    blocks = appearance.gray(pictures).coarsen(height=BLOCK, width=BLOCK, boundary="trim").mean()
    return blocks.std(("height", "width"))


def spatial_share(pictures: xr.DataArray) -> xr.DataArray:
    """Share of what is seen that is a pattern, 0..1; the rest is one colour, and the frame.

    `mean (x - mean over positions)^2` inside of the frame, over `mean (x - mean over all)^2` of the
    whole picture, at most 1: near 1 for a gray picture without a frame, 0 for an even colour. NaN
    for a picture of one value.
    """
    whole, part = pictures.astype("float64"), appearance.inner(pictures).astype("float64")
    within = ((part - part.mean(("height", "width"))) ** 2).mean(PICTURE)
    total = ((whole - whole.mean(PICTURE)) ** 2).mean(PICTURE)
    return np.minimum(within / total.where(total > 0), 1)


def extent(pictures: xr.DataArray) -> xr.DataArray:
    """How far the contrast spreads over the picture: 1 for evenly, 0 for one pixel.

    The standard distance of the squared deviation from the mean about its own centre, over that of
    an even spread: `sqrt(sum w |p - c|^2 / sum w) / sqrt((H^2 - 1 + W^2 - 1) / 12)` with
    `w = (x - mean x)^2`, added over the channels. Above 1 the contrast sits at the border. NaN
    where nothing varies.
    """
    planes = pictures.astype("float64")
    weight = ((planes - planes.mean(("height", "width"))) ** 2).sum("channel")
    total = weight.sum(("height", "width"))
    variance, even = xr.zeros_like(total), 0.0
    for dim in ("height", "width"):
        place = xr.DataArray(np.arange(weight.sizes[dim], dtype=float), dims=dim)
        centre = (weight * place).sum(("height", "width")) / total
        variance = variance + (weight * (place - centre) ** 2).sum(("height", "width")) / total
        even += (weight.sizes[dim] ** 2 - 1) / 12
    return np.sqrt(variance / even).where(total > 0)


def of_maps(maps: xr.Dataset) -> xr.Dataset:
    """The numbers of maps: spectrum, edges and extent as shown, brightness of the raw map.

    Spectrum, edges and extent are measured without the frame (`analysis.inner`).

    Args:
        maps: what `happy_maps` returns.

    Returns:
        Over the maps' leading dims: "high-frequency share", "texture share" and "coarse share",
        which add to 1; "spatial share" and "edge strength", 0..1; "extent"; and on pixels 0..255
        "brightness" and "brightness spread".
    """
    low, high = maps.attrs["input_range"]
    return _numbers(maps["display"], (maps["raw"] - low) * (255 / (high - low)))


def of_images(images: np.ndarray, maps: xr.Dataset) -> xr.Dataset:
    """The same numbers of real images (N, h, w, c) in 0..1, at the size of the maps; over `image`.

    Their size and channels are brought to the maps' by `evaluation.as_input`.
    """
    shape = tuple(maps.sizes[dim] for dim in PICTURE)
    pixels = xr.DataArray(as_input(images, shape), dims=("image", *PICTURE))
    return _numbers(pixels, pixels)


def levels(reference: xr.Dataset) -> dict[str, float]:
    """The level of each number at which `kind` decides, from the numbers of real images."""
    return {
        "spatial share": FLAT,
        "high-frequency share": STATICKY,
        "brightness": max(SEED_BRIGHT, float(reference["brightness"].quantile(REACH))),
        "edge strength": ONE_WAY,
        "coarse share": COARSE,
        "extent": float(reference["extent"].quantile(REACH)),
    }


def kind(numbers: xr.Dataset, level: Mapping[str, float]) -> xr.DataArray:
    """Which of `KINDS` each picture is; the first of these rules that holds.

    1. bright: brighter than 95 % of the real images, and than the seed input by one of its
       standard deviations (140.25).
    2. flat: spatial share below 0.05: one colour, or a frame, and next to no pattern.
    3. staticky: high-frequency share at or above 0.4.
    4. edge-like: edge strength at or above 0.5.
    5. textured: coarse share below 0.5, that is most energy at periods of at most 16 pixels.
    6. object-like: coarse, and in a place: extent within that of 95 % of the real images.
    7. diffuse: coarse, and all over the picture; or a picture of one value.

    Args:
        numbers: from `of_maps` or `of_images`.
        level: from `levels`.
    """
    rules = (
        numbers["brightness"] > level["brightness"],
        numbers["spatial share"] < level["spatial share"],
        numbers["high-frequency share"] >= level["high-frequency share"],
        numbers["edge strength"] >= level["edge strength"],
        numbers["coarse share"] < level["coarse share"],
        numbers["extent"] <= level["extent"],
    )
    chosen = np.select([rule.values for rule in rules], KINDS[:-1], KINDS[-1])
    return numbers["brightness"].copy(data=chosen).rename("kind")


def _numbers(shown: xr.DataArray, pixels: xr.DataArray) -> xr.Dataset:
    part = appearance.inner(shown)
    return xr.Dataset(
        {
            "high-frequency share": appearance.high_frequency_share(part),
            "texture share": appearance.texture_share(part),
            "coarse share": appearance.band_share(part, 0, appearance.HIGH_FREQUENCY / 4),
            "spatial share": spatial_share(shown),
            "edge strength": appearance.orientation(part)["strength"],
            "extent": extent(part),
            "brightness": appearance.brightness(pixels),
            "brightness spread": brightness_spread(pixels),
        }
    )
