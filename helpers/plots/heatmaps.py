"""Heatmaps over the images that they are of."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from helpers.plots.figure import DPI, SMALLEST_TEXT, MapFigure

ONE_SIGN, TWO_SIGNS = "YlOrRd", "RdBu_r"
"""Colours of heatmaps of one sign, and of two (red raises the score, blue lowers it)."""
QUANTILE = 0.995
"""Of a heatmap's absolute values: what full colour stands for, so that one pixel does not rule."""
CELL_INCHES = 1.7


def heatmap_grid(
    made: xr.Dataset | Mapping[str, xr.Dataset],
    *,
    title: str = "",
    opacity: float = 0.85,
) -> MapFigure:
    """Draw heatmaps over their images, one image a row, the image itself first.

    Args:
        made: what `attribution` returns, a column a target; or several with one target each, by a
            name for the column (methods beside each other).
        title: said above.
        opacity: of full colour, 0..1.

    Raises:
        ValueError: the heatmaps have channels or another size than the images; several Datasets
            have more than one target each, or not the same images.
    """
    columns = _columns(made)
    first = next(iter(columns.values()))
    names, pixels = first.image.values, first.pixels.values
    for name, column in columns.items():
        if column.heatmap.dims != ("image", "height", "width"):
            raise ValueError(f"{name} must hold heatmaps of the images' size, without channels")
        if not np.array_equal(column.pixels.values, pixels):
            raise ValueError(f"{name} must be of the same images as the first")
    is_signed = any(bool((column.heatmap < 0).any()) for column in columns.values())
    rows, count = len(names), len(columns) + 1
    aspect = pixels.shape[1] / pixels.shape[2]
    size = (count * CELL_INCHES + 0.9, rows * (CELL_INCHES * aspect + 0.2) + 0.6)
    figure = MapFigure(figsize=size, layout="constrained", facecolor="white")
    figure.suptitle(title or f"{first.attrs['method']} of {first.attrs['layer']}", fontsize=10)
    figure.get_layout_engine().set(hspace=0.02, wspace=0.02, h_pad=0.03, w_pad=0.03)
    axes = figure.subplots(rows, count, squeeze=False)
    said = []
    for i, name in enumerate(names):
        _show(axes[i, 0], pixels[i] / 255)
        axes[i, 0].set_ylabel(str(name), fontsize=SMALLEST_TEXT)
        for j, (label, column) in enumerate(columns.items(), 1):
            cell = column.isel(image=i)
            heat = cell.heatmap.values
            _show(axes[i, j], overlay(pixels[i], heat, signed=is_signed, opacity=opacity))
            note = "random weights too" if bool(cell.get("random_too", False)) else ""
            note = f", {note}" if note else ""
            score = f"score {float(cell.score):.3g}{note}"
            axes[i, j].set_xlabel(score, fontsize=SMALLEST_TEXT)
            said.append(f"{' '.join(str(name).split())}, {label}: {where_in_words(heat)}{note}")
            if i == 0:
                axes[i, j].set_title(label, fontsize=SMALLEST_TEXT)
    axes[0, 0].set_title("image", fontsize=SMALLEST_TEXT)
    _scale(figure, axes, is_signed)
    figure.alt = f"{title or first.attrs['method']}. Heatmaps lie mostly: {'; '.join(said)}."
    return figure


def overlay(
    pixels: np.ndarray, heat: np.ndarray, *, signed: bool | None = None, opacity: float = 0.85
) -> np.ndarray:
    """A heatmap in colour over its image in gray.

    Colour is laid on as thickly as the heatmap is strong, so that the image stays visible.

    Args:
        pixels: (H, W, C), 0..255.
        heat: (H, W).
        signed: colours for two signs; None: where the heatmap has two.
        opacity: of full colour, 0..1.

    Returns:
        (H, W, 3) in 0..1.
    """
    signed = bool((heat < 0).any()) if signed is None else signed
    strength = normalised(heat)
    colours = colormaps[TWO_SIGNS](strength / 2 + 0.5) if signed else colormaps[ONE_SIGN](strength)
    gray = pixels.mean(-1, keepdims=True) / 255
    thickness = opacity * np.abs(strength)[..., None]
    return (1 - thickness) * (0.25 + 0.75 * gray) + thickness * colours[..., :3]


def normalised(heat: np.ndarray) -> np.ndarray:
    """A heatmap (H, W) by its `QUANTILE`, cut off at -1 and 1; zeros where it is 0 all over."""
    full = np.quantile(np.abs(heat), QUANTILE) or np.abs(heat).max()
    return np.clip(heat / full, -1, 1) if full else np.zeros_like(heat)


def _columns(made) -> dict[str, xr.Dataset]:
    if isinstance(made, xr.Dataset):
        return {str(t): made.sel(target=t) for t in made.target.values}
    for name, one in made.items():
        if one.sizes["target"] != 1:
            raise ValueError(f"{name} must have one target, got {list(one.target.values)}")
    return {name: one.isel(target=0) for name, one in made.items()}


def _show(axis, image: np.ndarray) -> None:
    small = max(image.shape[:2]) <= CELL_INCHES * DPI
    gray = image.shape[-1] == 1
    axis.imshow(
        np.clip(image[..., 0] if gray else image, 0, 1),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest" if small else "antialiased",
    )
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _scale(figure: MapFigure, axes, is_signed: bool) -> None:
    low, colours = (-1, TWO_SIGNS) if is_signed else (0, ONE_SIGN)
    bar = figure.colorbar(
        ScalarMappable(Normalize(low, 1), colours),
        ax=axes,
        shrink=min(1, 2 / len(axes)),
        aspect=25,
        pad=0.02,
    )
    ticks = [-1, 0, 1] if is_signed else [0, 1]
    names = ["lowers", "0", "raises"] if is_signed else ["0", "most"]
    bar.set_ticks(ticks, labels=names)
    bar.ax.tick_params(labelsize=SMALLEST_TEXT, length=2)
    bar.outline.set_visible(False)
    bar.set_label(f"share of each heatmap's {QUANTILE:.1%} quantile", fontsize=SMALLEST_TEXT)


def where_in_words(heat: np.ndarray) -> str:
    """Where the centre of mass of a heatmap (H, W) lies: "top left", "middle centre", "nowhere"."""
    weight = np.abs(heat)
    if not weight.any():
        return "nowhere"
    rows, columns = np.indices(heat.shape)
    down, across = (float((axis * weight).sum() / weight.sum()) for axis in (rows, columns))
    vertical = ("top", "middle", "bottom")[min(int(3 * down / heat.shape[0]), 2)]
    horizontal = ("left", "centre", "right")[min(int(3 * across / heat.shape[1]), 2)]
    return f"{vertical} {horizontal}"
