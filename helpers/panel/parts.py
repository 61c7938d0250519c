"""One map in the panel: words, PNG, downloads, figures as HTML."""

import base64
import io
import re
from collections.abc import Iterable, Sequence
from html import escape

import ipywidgets
import numpy as np
import xarray as xr
from PIL import Image

from helpers import plots
from helpers.images import display
from helpers.maps.dataset import FIELDS
from helpers.panel.elements import ImageView
from helpers.panel.wanted import KERAS_VIS, Wanted, wanted_of
from helpers.plots.images import raster
from helpers.plots.map_grids import as_grid, grid_dims, label, numbers, remark


def growing(image: np.ndarray, wanted: Wanted) -> np.ndarray:
    """Display a map that is still being optimized as one that is done.

    Args:
        image: of a map's shape, pixels as the optimizer has them.
        wanted: of the map.
    """
    return np.rint(image).astype("uint8") if wanted.is_bounded else display(image, image.ndim)


def pixels(dataset: xr.Dataset) -> np.ndarray:
    """Take the displayed map (H, W, C) uint8 of a Dataset of one map."""
    return only(dataset)["display"].values


def describe(wanted: Wanted) -> str:
    """Name the one map that is wanted, in three lines."""
    spec = wanted.spec
    tv, lp, seed = spec.tv_weights[0], spec.lp_weights[0], spec.seeds[0]
    relative = " (relative)" if spec.weights == "relative" else ""
    weight = "" if spec.activation_weight == 1 else f", weight {spec.activation_weight:g}"
    is_keras_vis = wanted.preset == KERAS_VIS
    recipe = f"TV {tv:g}, LP {lp:g}{relative}" if is_keras_vis else wanted.preset
    return (
        f"{spec.sign.capitalize()}Map of {spec.layer}\n"
        f"unit {spec.units[0]}, {spec.objective}{weight}\n"
        f"{recipe}, seed {seed}"
    )


def reached(dataset: xr.Dataset) -> str:
    """The activation of one map, raw → displayed, and whether it is above its seed input's."""
    cell = only(dataset)
    return ", ".join(part for part in (numbers(cell), remark(cell)) if part)


def caption(dataset: xr.Dataset) -> str:
    """Name a map and its activation, in four lines."""
    return f"{describe(wanted_of(dataset))}\n{reached(dataset)}"


def line(dataset: xr.Dataset) -> str:
    """Name a map and its activation, in one line."""
    spec = wanted_of(dataset).spec
    name = f"{spec.sign.capitalize()}Map of {spec.layer} unit {spec.units[0]}"
    return f"{name}: {spec.objective} {reached(dataset)} (raw map → displayed map)"


def details(dataset: xr.Dataset) -> str:
    """What made a map, what it started from and what it reached, a line each."""
    cell, wanted = only(dataset), wanted_of(dataset)
    gradient = float(cell["gradient_seed"])
    follows = f"gradient {gradient:.2g}" if gradient else f"no gradient{_alone(wanted)}"
    low, high = float(cell["raw"].min()), float(cell["raw"].max())
    return "\n".join(
        [
            *describe(wanted).splitlines()[1:],
            *_absolute(cell),
            f"seed input: {float(cell['activation_seed']):.3g}, {follows}",
            f"lowest loss: {float(cell['loss'].min()):.4g}",
            f"raw map: values from {low:.3g} to {high:.3g}",
        ]
    )


def _alone(wanted: Wanted) -> str:
    return ": the regularizers act alone" if wanted.preset == KERAS_VIS else ""


def _absolute(cell: xr.Dataset) -> list[str]:
    """The weights that relative ones stand for, as a line."""
    if "absolute_tv_weight" not in cell:
        return []
    tv, lp = (float(cell[f"absolute_{name}_weight"]) for name in ("tv", "lp"))
    return [f"absolute weights: TV {tv:.3g}, LP {lp:.3g}"]


def parse_values(dim: str, text: str) -> tuple[float | int, ...]:
    """Read the values on an axis: "0.001, 0.01", and for units and seeds "0-3, 7" as well.

    Raises:
        ValueError: a part of the text is not a number.
    """
    number = float if dim.endswith("weight") else int
    values: list[float | int] = []
    for part in re.split(r"[,\s]+", text.strip()):
        span = re.fullmatch(r"(\d+)-(\d+)", part) if number is int else None
        try:
            values += range(int(span[1]), int(span[2]) + 1) if span else [number(part)]
        except ValueError:
            legal = "0.001, 0.01" if number is float else "0-3, 7"
            raise ValueError(f"{FIELDS[dim]} must be numbers like {legal}, got {text!r}") from None
    return tuple(values)


def png(image: np.ndarray) -> bytes:
    """An image (H, W, C) uint8 as a PNG file, pixel by pixel."""
    file = io.BytesIO()
    Image.fromarray(raster(image)).save(file, "png")
    return file.getvalue()


def data_url(content: bytes, media_type: str = "image/png") -> str:
    """A file as a URL that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def whole_width(image: np.ndarray, width: int) -> int:
    """About `width` CSS pixels, so that each pixel of an image is a square of whole ones.

    A larger image gets just `width`.
    """
    own = raster(image).shape[1]
    return round(width / own) * own if own < width else width


def fill(view: ImageView, image: np.ndarray, text: str, more: str = "") -> None:
    """Show an image (H, W, C) uint8 with its caption and details; both are its text alternative."""
    with view.hold_sync():
        view.png = png(image)
        view.alt = "; ".join([*text.splitlines(), *more.splitlines()])
        view.caption, view.details = text, more
        view.is_stale = False


def show(view: ImageView, links: ipywidgets.HTML, dataset: xr.Dataset, of: str = "") -> None:
    """Show the one map of a Dataset with its numbers and its downloads."""
    fill(view, pixels(dataset), line(dataset), details(dataset))
    wanted = wanted_of(dataset)
    png = plots.map_image(dataset).png()
    links.value = downloads(file_name(wanted), png, wanted.to_toml(), of)


def downloads(name: str, image: bytes, toml: str, of: str = "") -> str:
    """HTML links that save a PNG and the spec that makes it; `of` ends their text."""
    files = ("PNG", data_url(image)), ("TOML", data_url(toml.encode(), "application/toml"))
    return " &emsp; ".join(
        f'<a download="{escape(name)}.{suffix.lower()}" href="{url}"'
        f' style="color:var(--jp-content-link-color);text-decoration:underline">'
        f"Download {suffix}{of}</a>"
        for suffix, url in files
    )


def file_name(wanted: Wanted) -> str:
    """Name a map's download, without suffix."""
    spec = wanted.spec
    values = (label(dim, getattr(spec, FIELDS[dim])[0]) for dim in wanted.dims)
    parts = [wanted.preset, f"{spec.sign}-{spec.layer}", *values]
    return re.sub(r"[^\w.+-]", "_", "_".join(parts))


def side_by_side(columns: Iterable[tuple[str, list[ipywidgets.Widget]]]) -> ipywidgets.Box:
    """Columns of (CSS flex, widgets); on a narrow page they go under each other."""
    wrap = ipywidgets.Layout(flex_flow="row wrap", grid_gap="0 1.5em", align_items="flex-start")
    boxes = [
        ipywidgets.VBox(inside, layout=ipywidgets.Layout(flex=flex, min_width="0"))
        for flex, inside in columns
    ]
    return ipywidgets.Box(boxes, layout=wrap)


def strip(datasets: Sequence[xr.Dataset]) -> str:
    """HTML figures of maps side by side."""
    figures = "".join(_figure(pixels(one), caption(one), width=128) for one in datasets)
    style = "display:flex;flex-wrap:wrap"
    return f'<div role="group" aria-label="Kept maps" style="{style}">{figures}</div>'


def _figure(image: np.ndarray, text: str, *, width: int) -> str:
    lines = text.splitlines()
    css_width = whole_width(image, width)
    return (
        f'<figure style="margin:.5em;max-width:{max(css_width, 160)}px">'
        f'<img alt="{escape("; ".join(lines))}" width="{css_width}"'
        f' style="image-rendering:pixelated" src="{data_url(png(image))}">'
        f'<figcaption style="line-height:1.4">{"<br>".join(map(escape, lines))}</figcaption>'
        "</figure>"
    )


def only(dataset: xr.Dataset) -> xr.Dataset:
    """The one map of a Dataset, without dims that maps are spread over."""
    maps = as_grid(dataset)
    return maps.isel(dict.fromkeys(grid_dims(maps), 0))
