"""What the panel says and shows of one map: words, PNG, downloads, figures as HTML."""

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from html import escape

import ipywidgets
import keras
import numpy as np
import xarray as xr
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers import maps
from helpers.images import display
from helpers.maps.dataset import FIELDS, GRID, spec_of
from helpers.maps.spec import MapSpec
from helpers.panel.elements import Picture
from helpers.plots.map_grids import label
from helpers.plots.recipe import png_text, recipe_of


def growing(picture: np.ndarray, spec: MapSpec) -> np.ndarray:
    """What a person is shown of a search that is under way, as of its end.

    Args:
        picture: (H, W, C), pixels as the search has them.
        spec: what is searched.
    """
    return np.rint(picture).astype("uint8") if spec.pixels == "bounded" else display(picture)


def find(net: keras.Model, spec: MapSpec, on_step: Callable[[int, np.ndarray], None]) -> xr.Dataset:
    """Search without a bar and without a warning: the numbers under a map tell of no gradient."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no gradient")
        return maps.compute(net, spec, progress=False, on_step=on_step)


def pixels(dataset: xr.Dataset) -> np.ndarray:
    """Take the display map (H, W, C) uint8 of a Dataset of one map."""
    return _only(dataset)["display"].values


def describe(spec: MapSpec) -> str:
    """Say which map a spec of one map asks for, in three lines."""
    tv, lp, seed = spec.tv_weights[0], spec.lp_weights[0], spec.seeds[0]
    weight = "" if spec.activation_weight == 1 else f", weight {spec.activation_weight:g}"
    return (
        f"{spec.sign.capitalize()}Map of {spec.layer}\n"
        f"unit {spec.units[0]}, {spec.objective}{weight}\n"
        f"TV {tv:g}, LP {lp:g}, seed {seed}"
    )


def reached(dataset: xr.Dataset) -> str:
    """Say the activation of one map, raw → as shown, and whether the search could follow it."""
    one = _only(dataset)
    silent = "" if float(one["gradient_seed"]) else " (no gradient at seed)"
    return f"{float(one['activation_raw']):.3g} → {float(one['activation_display']):.3g}{silent}"


def caption(dataset: xr.Dataset) -> str:
    """Say which map it is and its activation, raw → as shown."""
    return f"{describe(spec_of(dataset))}\n{reached(dataset)}"


def numbers(dataset: xr.Dataset) -> str:
    """Say what the search had to follow and what it reached."""
    one = _only(dataset)
    gradient = float(one["gradient_seed"])
    follows = f"gradient {gradient:.2g}" if gradient else "no gradient: the regularizers act alone"
    return (
        "(raw map → map as shown)\n"
        f"seed input: {float(one['activation_seed']):.3g}, {follows}\n"
        f"lowest loss: {float(one['loss'].min()):.4g}"
    )


def parse_values(dim: str, text: str) -> tuple[float | int, ...]:
    """Read the values on an axis: "0.001, 0.01", and for units and seeds "0-3, 7" as well.

    Raises:
        ValueError: something in the text is no number.
    """
    kind = float if dim.endswith("weight") else int
    values: list[float | int] = []
    for part in re.split(r"[,\s]+", text.strip()):
        span = re.fullmatch(r"(\d+)-(\d+)", part) if kind is int else None
        try:
            values += range(int(span[1]), int(span[2]) + 1) if span else [kind(part)]
        except ValueError:
            legal = "0.001, 0.01" if kind is float else "0-3, 7"
            raise ValueError(f"{FIELDS[dim]} must be numbers like {legal}, got {text!r}") from None
    return tuple(values)


def png(picture: np.ndarray, text: PngInfo | None = None) -> bytes:
    """A picture (H, W, C) uint8, gray or RGB, as a PNG file, a pixel a pixel."""
    file = io.BytesIO()
    shown = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    shown.save(file, "png", pnginfo=text)
    return file.getvalue()


def map_png(dataset: xr.Dataset) -> bytes:
    """The PNG of one map, from which `helpers.publish.reproduce` makes it again."""
    picture = pixels(dataset)
    height, width = picture.shape[:2]
    recipe = recipe_of(dataset, "map_grid", rows="unit", columns="tv_weight", title="")
    return png(picture, png_text(recipe, caption(dataset), [(0, 0, width, height)]))


def data_url(content: bytes, kind: str = "image/png") -> str:
    """A file as a URL that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def whole_width(picture: np.ndarray, width: int) -> int:
    """About `width` CSS pixels, so that a pixel (H, W, C) is shown as a square of whole ones."""
    return max(1, round(width / picture.shape[1])) * picture.shape[1]


def fill(shown: Picture, picture: np.ndarray, text: str, *, width: int = 256) -> None:
    """Show a picture (H, W, C) uint8 with its lines as text alternative and caption."""
    with shown.hold_sync():
        shown.png = png(picture)
        shown.width = whole_width(picture, width)
        shown.alt = text.replace("\n", "; ")
        shown.caption = text


def show(shown: Picture, links: ipywidgets.HTML, dataset: xr.Dataset, of: str = "") -> None:
    """Show the one map of a Dataset with its numbers and its downloads."""
    fill(shown, pixels(dataset), f"{caption(dataset)}\n{numbers(dataset)}")
    spec = spec_of(dataset)
    links.value = downloads(file_name(spec), map_png(dataset), spec.to_toml(), of)


def downloads(name: str, picture: bytes, toml: str, of: str = "") -> str:
    """HTML links that save a PNG and the spec that makes it; `of` ends their text."""
    files = ("PNG", data_url(picture)), ("TOML", data_url(toml.encode(), "application/toml"))
    return " &emsp; ".join(
        f'<a download="{escape(name)}.{kind.lower()}" href="{url}"'
        f' style="color:var(--jp-content-link-color);text-decoration:underline">'
        f"Download {kind}{of}</a>"
        for kind, url in files
    )


def file_name(spec: MapSpec) -> str:
    """Name a map's download, without suffix."""
    values = (f"{label(dim, getattr(spec, field)[0])}" for dim, field in FIELDS.items())
    return re.sub(r"[^\w.+-]", "_", "_".join([f"{spec.sign}-{spec.layer}", *values]))


def side_by_side(columns: Iterable[tuple[str, list[ipywidgets.Widget]]]) -> ipywidgets.Box:
    """Columns of (CSS width, widgets); on a narrow page they go under each other."""
    wrap = ipywidgets.Layout(flex_flow="row wrap", grid_gap="0 1em", align_items="flex-start")
    made = [
        ipywidgets.VBox(inside, layout=ipywidgets.Layout(width=width)) for width, inside in columns
    ]
    return ipywidgets.Box(made, layout=wrap)


def strip(datasets: Sequence[xr.Dataset]) -> str:
    """HTML figures of maps side by side."""
    shown = "".join(_figure(pixels(one), caption(one), width=128) for one in datasets)
    style = "display:flex;flex-wrap:wrap"
    return f'<div role="group" aria-label="Kept maps" style="{style}">{shown}</div>'


def _figure(picture: np.ndarray, text: str, *, width: int) -> str:
    lines = text.splitlines()
    shown = whole_width(picture, width)
    return (
        f'<figure style="margin:.5em;max-width:{max(shown, 160)}px">'
        f'<img alt="{escape("; ".join(lines))}" width="{shown}"'
        f' style="image-rendering:pixelated" src="{data_url(png(picture))}">'
        f'<figcaption style="line-height:1.4">{"<br>".join(map(escape, lines))}</figcaption>'
        "</figure>"
    )


def _only(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.isel({dim: 0 for dim in GRID})
