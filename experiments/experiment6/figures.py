"""The figures: rows of large maps in their own colours, each with a line of words."""

from collections.abc import Sequence

import xarray as xr

from helpers.plots import Gallery, gallery


def of_recipes(made: xr.Dataset, *, title: str) -> Gallery:
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


def of_faces(measured: xr.Dataset, *, title: str, seed: int = 0) -> Gallery:
    """The maps of every pose by every recipe, of the first training; from `judged.join`."""
    chosen = measured.sel(seed=seed).isel(model=0)
    rows = {}
    for label in measured["label"].values:
        cells = [chosen.sel(label=label, recipe=recipe) for recipe in measured["recipe"].values]
        rows[f"{label}"] = [
            (cell["display"].values, f"{cell['recipe'].item()}\n{cell['transfer'].item():.0%}")
            for cell in cells
        ]
    return gallery(rows, title=title, side=144)


def of_maps(maps: xr.Dataset, names: Sequence[str], *, title: str, columns: int = 4) -> Gallery:
    """Maps over their first dim, in lines of `columns`, with a name each; from `maximize`."""
    images = [
        (image, f"{name}\nactivation {float(reached):.3g}")
        for name, image, reached in zip(
            names, maps["display"].values, maps["activation_display"].values, strict=True
        )
    ]
    lines = [images[i : i + columns] for i in range(0, len(images), columns)]
    return gallery({" " * number: line for number, line in enumerate(lines)}, title=title)


def of_directions(maps: xr.Dataset, names: Sequence[str], *, title: str) -> Gallery:
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
