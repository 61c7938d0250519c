"""Numbers about maps as lines, bars and matrices, and series of maps side by side."""

from collections.abc import Mapping

import pandas as pd
import xarray as xr
from matplotlib.colors import to_rgb

from helpers.maps.dataset import as_grid
from helpers.plots.figure import SMALLEST_TEXT, MapFigure
from helpers.plots.map_grids import grid_dims, label

COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#475569")
TITLE = 10
SHADES = ("#1d4ed8", "#93c5fd", "#c2410c", "#fde68a", "#d4d4d8", "#15803d", "#7e22ce", "#52525b")
FITS = 0.06
"""Share from which a bar's part is wide enough for its percentage."""


def as_columns(maps: Mapping[str, xr.Dataset], dim: str = "series") -> xr.Dataset:
    """Maps of several optimizations as one Dataset over a further dim, whose labels are the names.

    Args:
        maps: name -> what `happy_maps` returns; dims in which they differ have length 1.
        dim: name of the further dim.

    Returns:
        What `map_grid` draws with one column per name. A dim in which the maps differ becomes a
        coordinate along `dim`.

    Raises:
        ValueError: a dim in which they differ is longer than 1.
    """
    grids = [as_grid(one) for one in maps.values()]
    differing = [name for name in grid_dims(grids[0]) if _differ(grids, name)]
    if long := [name for name in differing if any(one.sizes[name] > 1 for one in grids)]:
        raise ValueError(f"maps must agree in dims longer than 1, they differ in {long}")
    joined = xr.concat(
        [one.squeeze(differing) for one in grids],
        pd.Index(list(maps), name=dim),
        coords="different",
        compat="equals",
        combine_attrs="drop_conflicts",
    )
    objectives = dict.fromkeys(one.attrs["objective"] for one in grids)
    return joined.assign_attrs(objective=" | ".join(objectives))


def _differ(grids: list[xr.Dataset], dim: str) -> bool:
    return len({tuple(one[dim].values.tolist()) for one in grids}) > 1


def line_plot(values: xr.DataArray, x: str, *, title: str, y_label: str) -> MapFigure:
    """Draw lines over `x` (logarithmic for a weight), one for each value of the other dim.

    Args:
        values: one or two dims, one of them `x`.
        x: dim that goes across.
        title: written above.
        y_label: what the values are, with their unit or range.
    """
    figure = MapFigure(figsize=(8, 4), layout="constrained", facecolor="white")
    axis = figure.subplots()
    others = [dim for dim in values.dims if dim != x]
    rows = values.transpose(*others, x)
    for row in rows if others else [rows]:
        name = label(others[0], row[others[0]].item()) if others else None
        axis.plot(row[x], row, marker="o", label=name)
    if x.endswith("weight"):
        axis.set_xscale("log")
    axis.set_xlabel(x.replace("_", " "))
    axis.set_ylabel(y_label)
    axis.set_title(title, fontsize=TITLE)
    axis.grid(alpha=0.3)
    if others:
        axis.legend(fontsize=SMALLEST_TEXT)
    figure.alt = (
        f"{title} {y_label} over {x}: from {float(values.min()):.3g} to {float(values.max()):.3g}."
    )
    return figure


def matrix(values: xr.DataArray, *, title: str) -> MapFigure:
    """Draw a square of correlations (-1 blue, 0 white, 1 red) with a colour bar.

    Args:
        values: two dims, -1..1.
        title: written above.
    """
    figure = MapFigure(figsize=(6, 5.2), layout="constrained", facecolor="white")
    axis = figure.subplots()
    image = axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    axis.set_ylabel(values.dims[0].replace("_", " "))
    axis.set_xlabel(values.dims[1].replace("_", " "))
    axis.set_title(title, fontsize=TITLE)
    figure.colorbar(image, label="correlation")
    figure.alt = (
        f"{title} Matrix of correlations over {values.dims[0]} and {values.dims[1]},"
        f" from {float(values.min()):.2f} to {float(values.max()):.2f}."
    )
    return figure


def stacked_bars(shares: pd.DataFrame, *, title: str, x_label: str) -> MapFigure:
    """Draw one bar per row, cut into the row's shares, each with its percentage where it fits.

    Args:
        shares: rows x at most eight parts; each row adds to 1.
        title: written above.
        x_label: what the whole is.
    """
    figure = MapFigure(
        figsize=(9, 1.4 + 0.45 * len(shares)), layout="constrained", facecolor="white"
    )
    axis = figure.subplots()
    left = pd.Series(0.0, shares.index)
    for part, colour in zip(shares, SHADES, strict=False):
        bars = axis.barh(shares.index, shares[part], left=left, color=colour, label=part)
        texts = [f"{share:.0%}" if share >= FITS else "" for share in shares[part]]
        ink = "black" if sum(to_rgb(colour)) > 1.8 else "white"
        axis.bar_label(bars, texts, label_type="center", fontsize=SMALLEST_TEXT, color=ink)
        left = left + shares[part]
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel(x_label, fontsize=SMALLEST_TEXT)
    axis.tick_params(labelsize=SMALLEST_TEXT)
    axis.set_title(title, fontsize=TITLE)
    figure.legend(loc="outside lower center", ncols=5, fontsize=SMALLEST_TEXT, frameon=False)
    figure.alt = f"{title} " + " ".join(_in_words(name, row) for name, row in shares.iterrows())
    return figure


def line_panels(values: xr.Dataset, x: str, *, title: str, n_columns: int = 3) -> MapFigure:
    """Draw one panel per variable, side by side, with one line for each value of the other dim.

    Args:
        values: every variable over `x` and one other dim.
        x: the dim that goes across, on a logarithmic axis.
        title: written above.
        n_columns: panels in a row, at least 1.
    """
    names = list(values)
    n_columns = min(n_columns, len(names))
    n_rows = -(-len(names) // n_columns)
    figure = MapFigure(
        figsize=(3.6 * n_columns, 2.8 * n_rows + 0.8), layout="constrained", facecolor="white"
    )
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        lines = values[name].transpose(..., x)
        dim = lines.dims[0]
        for line, colour in zip(lines, COLOURS, strict=False):
            label = str(line[dim].item())
            axis.plot(line[x], line, marker="o", markersize=3, color=colour, label=label)
        axis.set_xscale("log")
        axis.set_title(name, fontsize=SMALLEST_TEXT)
        axis.set_xlabel(x.replace("_", " "), fontsize=SMALLEST_TEXT)
        axis.tick_params(labelsize=SMALLEST_TEXT)
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, fontsize=SMALLEST_TEXT, frameon=False
    )
    figure.suptitle(title, fontsize=TITLE)
    ranges = (
        f"{name} from {float(values[name].min()):.3g} to {float(values[name].max()):.3g}"
        for name in names
    )
    figure.alt = f"{title} Lines over {x} for {', '.join(labels)}: {'; '.join(ranges)}."
    return figure


def _in_words(name: str, row: pd.Series) -> str:
    return f"{name}: " + ", ".join(f"{part} {share:.0%}" for part, share in row.items()) + "."
