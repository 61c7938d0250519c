"""Grids of maps as matplotlib Figures that carry their own description."""

import base64
import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from helpers.files import whole_file
from helpers.maps.dataset import GRID
from helpers.plots.recipe import Box, Recipe, png_text, recipe_of

CELL_INCHES = 1.15
DPI = 100
LETTERS_PER_INCH = 13
SYMBOLS = {"unit": "unit", "tv_weight": "TV", "lp_weight": "LP", "seed": "seed"}
MOST_SAID = 16
"""Labels that a text alternative names one by one."""
EXPLANATION = "Under each map: activation of the raw map → of the map as shown."


class MapFigure(Figure):
    """A Figure with a text alternative; a notebook shows it as PNG with that text.

    Attributes:
        alt: what the picture shows, in words.
        recipe: what it follows from; None where it is not of maps that know it.
    """

    alt: str = ""
    recipe: Recipe | None = None

    def png(self) -> bytes:
        """The figure as PNG, opaque, without a date, in at most 256 colours (exact for gray).

        Its text chunks hold the text alternative and the recipe.
        """
        raw = io.BytesIO()
        self.savefig(raw, format="png", dpi=DPI, facecolor="white")
        colours = Image.open(raw).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small = io.BytesIO()
        text = png_text(self.recipe, self.alt, self._boxes())
        colours.save(small, format="png", optimize=True, pnginfo=text)
        return small.getvalue()

    def save(self, path: str | Path) -> "MapFigure":
        """Write the PNG, whole or not at all, and return the figure for display."""
        with whole_file(path) as part:
            part.write_bytes(self.png())
        return self

    def _boxes(self) -> list[Box]:
        """Where the maps are drawn, in the order of the axes."""
        extents = [axis.get_window_extent() for axis in self.axes if axis.images]
        height = self.bbox.height
        return [
            tuple(map(round, (box.x0, height - box.y1, box.x1, height - box.y0))) for box in extents
        ]

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {
            "image/png": base64.b64encode(self.png()).decode(),
            "text/plain": f"<Figure: {self.alt}>",
        }
        return data, {"image/png": {"alt": self.alt}}


def map_grid(
    dataset: xr.Dataset, rows: str = "unit", columns: str = "tv_weight", *, title: str = ""
) -> MapFigure:
    """Draw maps over two dims, one labelled row and column each.

    Args:
        dataset: what `happy_maps` returns; dims other than `rows` and `columns` have length 1.
        rows: dim that goes down.
        columns: dim that goes across.
        title: said above, before layer, weights and seed.

    Raises:
        ValueError: a dim is not one of the grid, or another dim is longer than 1.
    """
    _check_dims(dataset, (rows, columns))
    grid = _flat(dataset, (rows, columns))
    sizes = dataset.sizes[rows], dataset.sizes[columns]
    figure, axes = _canvas(sizes, _title(dataset, (rows, columns), title))
    for i, row in enumerate(dataset[rows].values):
        for j, column in enumerate(dataset[columns].values):
            cell = grid.isel({rows: i, columns: j})
            _draw(axes[i, j], cell)
            axes[i, j].set_xlabel(_activations(cell), fontsize=6, labelpad=2)
            if i == 0:
                axes[i, j].set_title(label(columns, column), fontsize=7, pad=3)
            if j == 0:
                axes[i, j].set_ylabel(label(rows, row), fontsize=7)
    figure.recipe = recipe_of(dataset, "map_grid", rows=rows, columns=columns, title=title)
    figure.alt = _alt(
        dataset,
        f"{title} Rows: {_range(dataset, rows)}. Columns: {_range(dataset, columns)}.".strip(),
    )
    return figure


def map_wall(
    dataset: xr.Dataset,
    along: str = "unit",
    *,
    title: str = "",
    n_columns: int = 8,
    notes: Sequence[str] = (),
) -> MapFigure:
    """Draw maps over one dim, wrapped into rows, each with its own caption.

    Args:
        dataset: what `happy_maps` returns; dims other than `along` have length 1.
        along: the dim that the maps are spread over, in the order of the Dataset.
        title: said above, before layer, weights and seed.
        n_columns: maps in a row, at least 1.
        notes: a further line under each map, one for each along the dim, or none.

    Raises:
        ValueError: a dim is not one of the grid, or another dim is longer than 1.
    """
    _check_dims(dataset, (along,))
    grid = _flat(dataset, (along,))
    count = dataset.sizes[along]
    n_columns = min(n_columns, count)
    figure, axes = _canvas(
        (math.ceil(count / n_columns), n_columns), _title(dataset, (along,), title)
    )
    for i, axis in enumerate(axes.flat):
        if i >= count:
            axis.set_visible(False)
            continue
        cell = grid.isel({along: i})
        _draw(axis, cell)
        axis.set_title(label(along, dataset[along].values[i]), fontsize=7, pad=2)
        note = f"\n{notes[i]}" if len(notes) else ""
        axis.set_xlabel(f"{_activations(cell)}{note}", fontsize=6, labelpad=2)
    figure.recipe = recipe_of(
        dataset, "map_wall", along=along, title=title, n_columns=n_columns, notes=list(notes)
    )
    figure.alt = _alt(dataset, f"{title} Maps of {_range(dataset, along)}.".strip())
    return figure


def contact_sheet(
    images: np.ndarray, captions: Sequence[str], *, title: str, n_columns: int = 8
) -> MapFigure:
    """Draw pictures (N, H, W, C) in [0, 1] with a caption each.

    Raises:
        ValueError: there are not as many captions as pictures.
    """
    if len(images) != len(captions):
        raise ValueError(f"captions must be {len(images)}, one a picture, got {len(captions)}")
    n_columns = min(n_columns, len(images))
    figure, axes = _canvas((math.ceil(len(images) / n_columns), n_columns), title)
    for i, axis in enumerate(axes.flat):
        if i >= len(images):
            axis.set_visible(False)
            continue
        show(axis, np.rint(images[i] * 255))
        axis.set_title(captions[i], fontsize=6, pad=2)
    figure.alt = f"{title} {len(images)} pictures: {', '.join(sorted(set(captions)))}."
    return figure


def show(axis, pixels: np.ndarray) -> None:
    """Draw a picture (H, W, C), pixels 0..255, into an axis of about `CELL_INCHES`, no ticks."""
    gray = pixels.shape[-1] == 1
    picture = pixels[..., 0] if gray else pixels.astype("uint8")
    is_small = max(pixels.shape[:2]) <= CELL_INCHES * DPI
    interpolation = "nearest" if is_small else "antialiased"
    axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation=interpolation)
    axis.set(xticks=[], yticks=[])


def _canvas(sizes: tuple[int, int], title: str):
    rows, columns = sizes
    width = max(columns * CELL_INCHES, 4.5)
    height = rows * (CELL_INCHES + 0.3) + 0.7
    figure = MapFigure(figsize=(width, height), layout="constrained", facecolor="white")
    wrapped = (textwrap.fill(line, int(width * LETTERS_PER_INCH)) for line in title.splitlines())
    figure.suptitle("\n".join(wrapped), fontsize=9)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _draw(axis, cell: xr.Dataset) -> None:
    if not bool(cell["done"]):
        axis.text(0.5, 0.5, "not done", ha="center", va="center", fontsize=6)
        axis.set(xticks=[], yticks=[])
        return
    show(axis, cell["display"].values)


def _activations(cell: xr.Dataset) -> str:
    raw, display = float(cell["activation_raw"]), float(cell["activation_display"])
    text = f"{raw:.3g} → {display:.3g}"
    return text if float(cell["gradient_seed"]) != 0 else f"{text}\nno gradient at seed"


def label(dim: str, value) -> str:
    """Name a coordinate's value as figures do: "TV 0.01", or a text as it is."""
    if isinstance(value, str):
        return value
    text = f"{value:g}" if isinstance(value, float | np.floating) else str(value)
    return f"{SYMBOLS.get(dim, dim)} {text}"


def _range(dataset: xr.Dataset, dim: str) -> str:
    labels = [label(dim, value) for value in dataset[dim].values]
    if len(labels) > MOST_SAID:
        return f"{labels[0]} to {labels[-1]}, {len(labels)} in all"
    return ", ".join(labels)


def _title(dataset: xr.Dataset, shown: tuple[str, ...], title: str) -> str:
    fixed = [label(dim, dataset[dim].values[0]) for dim in GRID if dim not in shown]
    kind = "SadMaps" if dataset.attrs["sign"] == "sad" else "HappyMaps"
    objective = dataset.attrs["objective"]
    what = f"{kind} of {dataset.attrs['layer']} ({objective})"
    steps = f"{dataset.attrs['steps']} steps, {dataset.attrs['engine']}"
    lines = [title, ", ".join([what, *fixed, steps]), EXPLANATION]
    return "\n".join(line for line in lines if line)


def _alt(dataset: xr.Dataset, what: str) -> str:
    raw, display = dataset["activation_raw"], dataset["activation_display"]
    return (
        f"{what} {dataset.attrs['layer']}, {dataset.attrs['objective']}: raw maps reach"
        f" {float(raw.min()):.3g} to {float(raw.max()):.3g}, as shown"
        f" {float(display.min()):.3g} to {float(display.max()):.3g}."
    )


def _flat(dataset: xr.Dataset, shown: tuple[str, ...]) -> xr.Dataset:
    return dataset.isel({dim: 0 for dim in GRID if dim not in shown})


def _check_dims(dataset: xr.Dataset, shown: tuple[str, ...]) -> None:
    for dim in shown:
        if dim not in GRID:
            raise ValueError(f"dims to draw over must be of {GRID}, got {dim!r}")
    long = {dim: dataset.sizes[dim] for dim in GRID if dim not in shown and dataset.sizes[dim] != 1}
    if long:
        raise ValueError(f"dims not drawn must have length 1, got {long}: select one value of each")
