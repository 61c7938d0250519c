"""The figures: rows of large maps in their own colours, each with a line of words."""

from collections.abc import Sequence

import xarray as xr

from helpers.plots import Gallery, gallery


def of_recipes(made: xr.Dataset, *, title: str) -> Gallery:
    """One row for each objective, one image for each recipe; from `side_by_side.optimize`."""
    rows = {}
    for objective in made["objective"].values:
        row = made.sel(objective=objective)
        words = [
            f"{recipe}\nactivation {reached:.3g}"
            for recipe, reached in zip(
                row["recipe"].values, row["activation_display"].values, strict=True
            )
        ]
        rows[str(objective)] = row["display"].values, words
    return gallery(rows, title=title)


def of_faces(measured: xr.Dataset, *, title: str, seed: int = 0) -> Gallery:
    """The maps of every pose by every recipe, of the first training; from `judged.join`."""
    chosen = measured.sel(seed=seed).isel(model=0)
    rows = {}
    for label in measured["label"].values:
        row = chosen.sel(label=label)
        words = [
            f"{recipe}\n{share:.0%}"
            for recipe, share in zip(row["recipe"].values, row["transfer"].values, strict=True)
        ]
        rows[str(label)] = row["display"].transpose("recipe", ...).values, words
    return gallery(rows, title=title, side=144)


def of_maps(
    maps: xr.Dataset, names: Sequence[str], *, title: str, columns: int = 4, side: int = 224
) -> Gallery:
    """Maps over their first dim, in lines of `columns`, with a name each; from `maximize`."""
    words = [
        f"{name}\nactivation {reached:.3g}"
        for name, reached in zip(names, maps["activation_display"].values, strict=True)
    ]
    starts = range(0, len(words), columns)
    rows = {
        " " * i: (maps["display"].values[i : i + columns], words[i : i + columns]) for i in starts
    }
    return gallery(rows, title=title, side=side)
