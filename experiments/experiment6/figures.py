"""The figures: rows of large maps in their own colours, each with a line of words."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from helpers import plots
from helpers.plots.figure import DPI, MapFigure, sheet, text_size

GAP, LINE = 10, 22
"""Pixels between images, and for a line of text."""
Image = tuple[np.ndarray, str]
"""Pixels 0..255 (H, W, C), and the words under it."""


def gallery(rows: Mapping[str, Sequence[Image]], *, title: str, side: int = 224) -> MapFigure:
    """Draw rows of images.

    Args:
        rows: words over the row -> its images.
        title: written above.
        side: height of an image in pixels.
    """
    count = max(len(images) for images in rows.values())
    width = GAP + count * (side + GAP)
    lines = 1 + max(words.count("\n") for images in rows.values() for _, words in images)
    points = text_size(width, 9)
    line = LINE * points / 9
    pitch = line * 1.4 + side + lines * line * 0.85 + GAP
    heading = GAP + line * 1.2 * (1 + title.count("\n"))
    figure = sheet(width, heading + len(rows) * pitch)
    height = figure.get_size_inches()[1] * DPI

    def write(left, top, words, **style):
        figure.text(left / width, 1 - top / height, words, va="top", **style)

    write(GAP, GAP / 2, title, size=points * 1.2, weight="bold")
    for number, (name, images) in enumerate(rows.items()):
        top = heading + number * pitch
        write(GAP, top + line * 0.2, name, size=points, weight="bold")
        for column, (image, words) in enumerate(images):
            left = GAP + column * (side + GAP)
            plots.show(figure.place(left, top + line * 1.4, side, side), image)
            write(left, top + line * 1.5 + side, words, size=points, linespacing=1.1)
    told = [f"{name}: {', '.join(words for _, words in images)}" for name, images in rows.items()]
    figure.alt = ". ".join([title, *told]).replace("\n", " ")
    return figure


def of_recipes(made: xr.Dataset, *, title: str) -> MapFigure:
    """One row for each objective, one image for each recipe; from `side_by_side.optimize`."""
    rows = {}
    for objective in made["objective"].values:
        cells = [made.sel(objective=objective, recipe=recipe) for recipe in made["recipe"].values]
        rows[str(objective)] = [
            (
                cell["display"].item(),
                f"{cell['recipe'].item()}\nactivation {cell['activation_display'].item():.3g}",
            )
            for cell in cells
        ]
    return gallery(rows, title=title)


def of_faces(measured: xr.Dataset, *, title: str, seed: int = 0) -> MapFigure:
    """The maps of both classes by every recipe; from `judged.judge`."""
    chosen = measured.sel(seed=seed).isel(model=0)
    rows = {}
    for label in measured["label"].values:
        cells = [chosen.sel(label=label, recipe=recipe) for recipe in measured["recipe"].values]
        images = [
            (
                cell["display"].values,
                f"{cell['recipe'].item()}\n{cell['transfer'].item():.0%} of other trainings",
            )
            for cell in cells
        ]
        half = (len(images) + 1) // 2
        rows[f"{label}"] = images[:half]
        rows[f"{label}, continued"] = images[half:]
    return gallery(rows, title=title, side=192)


def of_maps(maps: xr.Dataset, names: Sequence[str], *, title: str, columns: int = 4) -> MapFigure:
    """Maps over their first dim, in lines of `columns`, with a name each; from `maximize`."""
    images = [
        (image, f"{name}\nactivation {float(reached):.3g}")
        for name, image, reached in zip(
            names, maps["display"].values, maps["activation_display"].values, strict=True
        )
    ]
    lines = [images[i : i + columns] for i in range(0, len(images), columns)]
    return gallery({" " * number: line for number, line in enumerate(lines)}, title=title)


def of_directions(maps: xr.Dataset, names: Sequence[str], *, title: str) -> MapFigure:
    """One row for each objective, one image for each seed; from `maximize`."""
    rows = {
        name: [
            (image, f"seed {seed}, score {float(reached):.3g}")
            for seed, image, reached in zip(
                maps["seed"].values,
                one["display"].values,
                one["activation_display"].values,
                strict=True,
            )
        ]
        for i, name in enumerate(names)
        for one in [maps.isel(objective=i)]
    }
    return gallery(rows, title=title, side=336)
