"""Grids of maps as figures: every map at 1:1 or larger, its numbers under it."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from helpers.maps import dataset as map_data
from helpers.maps.dataset import as_grid
from helpers.plots.figure import DPI, PAGE, SMALLEST_TEXT, MapFigure, sheet, text_size
from helpers.plots.images import LARGE_SIDE, SMALL_SIDE, display_size, show
from helpers.plots.recipe import recipe_of, with_channels

SYMBOLS = {"unit": "unit", "tv_weight": "TV", "lp_weight": "LP", "seed": "seed"}
MOST_LABELS = 16
"""Labels that a text alternative names one by one."""
EXPLANATION = "Under each map: activation of the raw map → of the displayed map."
NOT_RAISED = "not raised"
GAP = 8
"""Pixels between maps, and around a figure."""
NARROWEST = 480
"""Pixels: room for the title over a single map."""
LETTER, LINE, LABEL = 0.6, 1.45, 9 / 8
"""Width of a letter, height of a line and size of a label, in units of the size of the text."""


def map_grid(
    dataset: xr.Dataset,
    rows: str | None = None,
    columns: str | None = None,
    *,
    title: str = "",
    channels: Sequence[int] | None = None,
) -> MapFigure:
    """Draw maps over two dims, one labelled row and column each.

    Any selection of a Dataset of maps can be drawn: `maps.sel(seed=0)` needs no list.

    Args:
        dataset: what `happy_maps` or `maximize` returns, or a selection of it.
        rows: dim that goes down; None for "unit".
        columns: dim that goes across; None for the other dim that is longer than 1.
        title: written above, before layer, weights and seed.
        channels: three channels to draw as red, green and blue, or one as gray; None draws one and
            three channels so, and others side by side.

    Raises:
        ValueError: a dim is not one of the maps', or a dim that is not drawn is longer than 1; or
            `channels` are not one or three of theirs.
    """
    maps = as_grid(dataset)
    rows, columns = _axes(maps, rows, columns)
    drawn = [dim for dim in (rows, columns) if dim]
    _check_dims(maps, drawn)
    cells = [
        [_cell(maps, {rows: i} | ({columns: j} if columns else {})) for j in range(n_columns)]
        for n_columns in [maps.sizes[columns] if columns else 1]
        for i in range(maps.sizes[rows])
    ]
    figure = _draw(
        cells,
        heading=_title(maps, drawn, title),
        row_labels=labels(maps, rows),
        column_labels=labels(maps, columns) if columns else (),
        channels=channels,
    )
    arguments = {"rows": rows, "columns": columns, "title": title} | with_channels(channels)
    figure.recipe = recipe_of(maps, "map_grid", **arguments)
    names = [f"Rows: {_range(maps, rows)}."]
    names += [f"Columns: {_range(maps, columns)}."] if columns else []
    figure.alt = _alt(maps, " ".join(part for part in (title, *names) if part))
    return figure


def map_wall(
    dataset: xr.Dataset,
    along: str = "unit",
    *,
    title: str = "",
    n_columns: int = 16,
    notes: Sequence[str] = (),
    channels: Sequence[int] | None = None,
) -> MapFigure:
    """Draw maps over one dim, wrapped into rows, each with its own caption.

    Args:
        dataset: what `happy_maps` or `maximize` returns, or a selection of it.
        along: the dim that the maps are spread over, in the order of the Dataset.
        title: written above, before layer, weights and seed.
        n_columns: maps in a row at most, at least 1; fewer where they would not fit on a page.
        notes: a further line under each map, one for each along the dim, or none.
        channels: as `map_grid`.

    Raises:
        ValueError: as `map_grid`, or there are not as many notes as maps.
    """
    maps = as_grid(dataset)
    _check_dims(maps, [along])
    if len(notes) not in (0, maps.sizes[along]):
        raise ValueError(f"notes must be {maps.sizes[along]}, one per map, got {len(notes)}")
    cells = [
        _cell(maps, {along: i}, heading=name, note=notes[i] if len(notes) else "")
        for i, name in enumerate(labels(maps, along))
    ]
    figure = _draw(
        _wrapped(cells, n_columns, channels),
        heading=_title(maps, [along], title),
        channels=channels,
    )
    arguments = {"along": along, "title": title, "n_columns": n_columns, "notes": list(notes)}
    figure.recipe = recipe_of(maps, "map_wall", **arguments, **with_channels(channels))
    figure.alt = _alt(maps, f"{title} Maps of {_range(maps, along)}.".strip())
    return figure


def contact_sheet(
    images: np.ndarray, captions: Sequence[str], *, title: str, n_columns: int = 8
) -> MapFigure:
    """Draw images (N, H, W, C) in 0..1 with a caption each.

    Raises:
        ValueError: there are not as many captions as images.
    """
    if len(images) != len(captions):
        raise ValueError(f"captions must be {len(images)}, one per image, got {len(captions)}")
    cells = [
        Cell(np.rint(np.asarray(image) * 255), heading=caption)
        for image, caption in zip(images, captions, strict=True)
    ]
    figure = _draw(_wrapped(cells, n_columns), heading=title)
    figure.alt = f"{title} {len(images)} images: {', '.join(sorted(set(captions)))}."
    return figure


def grid_dims(dataset: xr.Dataset) -> tuple[str, ...]:
    """Dims that maps are spread over: those of a number that each map has."""
    return dataset["activation_raw"].dims


def label(dim: str, value) -> str:
    """Name a coordinate's value as figures do: "TV 0.01", or a text as it is."""
    if isinstance(value, str):
        return value
    text = f"{value:g}" if isinstance(value, float | np.floating) else str(value)
    return f"{SYMBOLS.get(dim, dim.replace('_', ' '))} {text}"


def labels(dataset: xr.Dataset, dim: str) -> list[str]:
    """Name every value along a dim."""
    return [label(dim, value) for value in dataset[dim].values]


def numbers(cell: xr.Dataset) -> str:
    """The activation of one map, raw → displayed."""
    return f"{float(cell['activation_raw']):.3g} → {float(cell['activation_display']):.3g}"


def remark(cell: xr.Dataset) -> str:
    """What must be known of one map: that it is not raised, and why; else nothing."""
    if bool(map_data.raised(cell)):
        return ""
    return NOT_RAISED if float(cell["gradient_seed"]) else f"{NOT_RAISED}: no gradient"


@dataclass(frozen=True)
class Cell:
    """One image of a figure.

    Attributes:
        image: as `images.show` takes it; None for a map that is not done.
        heading: line above it.
        lines: lines under it.
    """

    image: np.ndarray | None
    heading: str = ""
    lines: tuple[str, ...] = ()


def _cell(maps: xr.Dataset, position: dict[str, int], heading: str = "", note: str = "") -> Cell:
    cell = maps.isel({dim: position.get(dim, 0) for dim in grid_dims(maps)})
    if not bool(cell["done"]):
        return Cell(None, heading, ("not done",))
    second = "; ".join(part for part in (remark(cell), note) if part)
    return Cell(cell["display"].values, heading, (numbers(cell), second))


def _wrapped(
    cells: list[Cell], n_columns: int, channels: Sequence[int] | None = None
) -> list[list[Cell]]:
    pitch = _pitch(cells, (), SMALLEST_TEXT, SMALL_SIDE, channels)
    across = max(1, min(n_columns, (PAGE - 2 * GAP) // pitch))
    return [cells[start : start + across] for start in range(0, len(cells), across)]


def _pitch(
    cells: Sequence[Cell], column_labels: Sequence[str], points: float, side: int, channels
) -> int:
    """Pixels from one column to the next: no line of text reaches into another."""
    images = [cell.image for cell in cells if cell.image is not None]
    image = max(display_size(image, side, channels)[0] for image in images)
    texts = [text for cell in cells for text in (cell.heading, *cell.lines)]
    text = max(_text_width(texts, points), _text_width(column_labels, LABEL * points))
    return GAP + max(image, text)


def _pixels(points: float) -> float:
    return points * DPI / 72


def _draw(
    rows: list[list[Cell]],
    *,
    heading: str,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    channels: Sequence[int] | None = None,
) -> MapFigure:
    """Lay cells out in rows, in whole pixels."""
    cells = [cell for row in rows for cell in row]
    if all(cell.image is None for cell in cells):
        raise ValueError("maps must be done to be drawn, got none that is")

    across = max(map(len, rows))
    room = (PAGE - _text_width(row_labels, LABEL * SMALLEST_TEXT)) // across - 2 * GAP
    side = min(max(room, SMALL_SIDE), LARGE_SIDE)

    def widths(points: float) -> tuple[int, int, int]:
        margin = GAP + _text_width(row_labels, LABEL * points)
        pitch = _pitch(cells, column_labels, points, side, channels)
        return margin, pitch, margin + across * pitch + GAP

    points = text_size(widths(SMALLEST_TEXT)[-1])
    margin, pitch, filled = widths(points)
    width = max(filled, NARROWEST)
    margin += (width - filled) // 2
    line, label_line = (math.ceil(LINE * _pixels(size)) for size in (points, LABEL * points))
    title = _wrap(heading, width, LABEL * points)
    top = GAP + label_line * (_height([title]) + _height(column_labels)) + GAP
    above = line * _height([cell.heading for cell in cells])
    under = line * max(sum(_height([text]) for text in cell.lines) for cell in cells)
    images = [cell.image for cell in cells if cell.image is not None]
    sizes = [display_size(image, side, channels) for image in images]
    step = above + max(height for _, height in sizes) + under + GAP
    height = top + step * len(rows) + GAP
    figure = sheet(width, height)
    figure.text(0.5, 1 - GAP / height, title, ha="center", va="top", fontsize=LABEL * points)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            is_done = cell.image is not None
            wide, high = display_size(cell.image, side, channels) if is_done else sizes[0]
            left = margin + j * pitch + (pitch - wide) // 2
            axis = figure.place(left, top + i * step + above, wide, high)
            _fill(axis, cell, points, channels)
            if i == 0 and column_labels:
                _write(axis, column_labels[j], (0.5, 1), (0, 3), "bottom", LABEL * points)
            if j == 0 and row_labels:
                at = (-(left - margin) / wide, 0.5)
                _write(axis, row_labels[i], at, (-3, 0), "center", LABEL * points, "right")
    return figure


def _fill(axis: Axes, cell: Cell, points: float, channels: Sequence[int] | None) -> None:
    if cell.image is None:
        axis.set(xticks=[], yticks=[])
    else:
        show(axis, cell.image, channels)
    if cell.heading:
        _write(axis, cell.heading, (0.5, 1), (0, 2), "bottom", points)
    if text := "\n".join(line for line in cell.lines if line):
        _write(axis, text, (0.5, 0), (0, -2), "top", points)


def _write(axis, text, at, offset, vertical, points, horizontal="center") -> None:
    axis.annotate(
        text,
        at,
        offset,
        xycoords="axes fraction",
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=points,
    )


def _text_width(texts: Sequence[str], points: float) -> int:
    letters = max((len(line) for text in texts for line in text.splitlines()), default=0)
    return math.ceil(letters * LETTER * _pixels(points))


def _height(texts: Sequence[str]) -> int:
    """Lines of the tallest text."""
    return max((len(text.splitlines()) for text in texts), default=0)


def _wrap(text: str, width: float, points: float) -> str:
    letters = int((width - 2 * GAP) / (LETTER * _pixels(points)))
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def _axes(maps: xr.Dataset, rows: str | None, columns: str | None) -> tuple[str, str | None]:
    dims = grid_dims(maps)
    rows = rows or ("unit" if "unit" in dims and columns != "unit" else dims[0])
    if columns is None:
        others = [dim for dim in dims if dim != rows]
        long = [dim for dim in others if maps.sizes[dim] > 1]
        columns = next(iter(long or [dim for dim in others if dim == "tv_weight"] or others), None)
    return rows, columns


def _range(dataset: xr.Dataset, dim: str) -> str:
    names = labels(dataset, dim)
    if len(names) > MOST_LABELS:
        return f"{names[0]} to {names[-1]}, {len(names)} in all"
    return ", ".join(names)


def _title(dataset: xr.Dataset, drawn: Sequence[str], title: str) -> str:
    attributes = dataset.attrs
    name = {"sad": "SadMaps", "happy": "HappyMaps"}.get(attributes.get("sign"), "Maps")
    fixed = [label(dim, dataset[dim].values[0]) for dim in grid_dims(dataset) if dim not in drawn]
    layer = _of_layer(dataset)
    subject = f"{name} of {layer}" if layer else name
    is_relative = attributes.get("weights") == "relative"
    weights = "weights relative to the objective" if is_relative else ""
    how = [weights, f"{attributes['steps']} steps", attributes.get("engine", "")]
    details = ", ".join(part for part in [subject, *fixed, *how] if part)
    return "\n".join(line for line in (title, details, EXPLANATION) if line)


def _of_layer(dataset: xr.Dataset) -> str:
    """The layer and the objective, where all maps of a Dataset share them."""
    layer, objective = (dataset.attrs.get(name) for name in ("layer", "objective"))
    return f"{layer} ({objective})" if layer and objective else layer or ""


def _alt(dataset: xr.Dataset, text: str) -> str:
    raw, display = dataset["activation_raw"], dataset["activation_display"]
    layer = _of_layer(dataset)
    return (
        f"{text} {layer + ': raw' if layer else 'Raw'} maps reach"
        f" {float(raw.min()):.3g} to {float(raw.max()):.3g}, displayed maps"
        f" {float(display.min()):.3g} to {float(display.max()):.3g}."
    )


def _check_dims(dataset: xr.Dataset, drawn: Sequence[str]) -> None:
    dims = grid_dims(dataset)
    for dim in drawn:
        if dim not in dims:
            raise ValueError(f"dims to draw over must be of {dims}, got {dim!r}")
    long = {dim: dataset.sizes[dim] for dim in dims if dim not in drawn and dataset.sizes[dim] > 1}
    if long:
        raise ValueError(
            f"dims that are not drawn must have length 1, got {long}: select one value of each,"
            " as in maps.sel(seed=0), or give it as rows or columns"
        )
