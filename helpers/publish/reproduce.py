"""Make a figure again from its PNG alone, and say how near it came.

`python -m helpers.publish.reproduce FIGURE.png`. The maps are optimized anew by the spec in the
PNG, on the model whose weights have the digest in the PNG.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from helpers import maps, models, plots
from helpers.maps import dataset
from helpers.plots.recipe import Box, Recipe, read_recipe
from helpers.publish.notebooks import ROOT

FUNCTIONS = {"map_grid": plots.map_grid, "map_wall": plots.map_wall}


@dataclass(frozen=True)
class Comparison:
    """A figure beside the one made again.

    Attributes:
        path: the new PNG.
        net: file of the net.
        recipe: what both follow from.
        pixels: mean and largest difference of the maps as drawn, gray levels 0..255.
        raw: largest difference of the raw maps' activations.
        display: the same of the maps as shown.
        numerics: version of the maths that made the new one.
        versions: of the libraries that made the new one.
    """

    path: Path
    net: Path
    recipe: Recipe
    pixels: tuple[float, float]
    raw: float
    display: float
    numerics: str
    versions: str

    def __str__(self) -> str:
        """The comparison in a few lines."""
        count = len(self.recipe.activation_raw)
        layers = ", ".join(spec.layer for spec in self.recipe.specs)
        mean, largest = self.pixels
        lines = [
            f"{self.path}: {count} maps of {layers}, searched anew on {self.net}",
            f"maps as drawn, gray levels 0..255: differ by {mean:.3g} on average,"
            f" {largest:.0f} at most",
            f"activation of the raw maps, up to {np.nanmax(self.recipe.activation_raw):.3g}:"
            f" differs by {self.raw:.2g} at most",
            f"activation as shown, up to {np.nanmax(self.recipe.activation_display):.3g}:"
            f" differs by {self.display:.2g} at most",
        ]
        if self.numerics != self.recipe.numerics:
            old, new = self.recipe.numerics, self.numerics
            lines.append(f"the maths changed in between: version {old}, now {new}")
        if self.versions != self.recipe.versions:
            lines.append(f"the libraries changed: {self.recipe.versions}, now {self.versions}")
        return "\n".join(lines)


def reproduce(
    figure: str | Path, model: str | Path | None = None, output: str | Path | None = None
) -> Comparison:
    """Search a figure's maps anew, draw them as it did, and compare.

    Args:
        figure: a PNG that `MapFigure.save` wrote.
        model: file of the net; None to look beside the figure and in `experiments/`.
        output: the new PNG; None for `NAME_again.png` beside the figure.

    Raises:
        ValueError: the PNG holds no recipe, its search started from a picture that is not in it,
            or no net with its digest is found.
    """
    figure = Path(figure)
    recipe, boxes = read_recipe(figure)
    if any(spec.seed_input for spec in recipe.specs):
        raise ValueError(f"{figure} cannot be made again: its search started from a given picture")
    if recipe.function not in FUNCTIONS:
        raise ValueError(f"{figure} must be drawn by {sorted(FUNCTIONS)}, got {recipe.function!r}")
    net = find_net(recipe.weight_digest, [model] if model else _candidates(figure))
    searched = _search(recipe, models.load_model(net))
    again = FUNCTIONS[recipe.function](searched, **recipe.arguments)
    path = Path(output) if output else figure.with_name(f"{figure.stem}_again.png")
    again.save(path)
    return Comparison(
        path,
        net,
        recipe,
        _pixel_difference((figure, boxes), (path, read_recipe(path)[1])),
        _largest_difference(recipe.activation_raw, searched["activation_raw"]),
        _largest_difference(recipe.activation_display, searched["activation_display"]),
        searched.attrs["numerics"],
        searched.attrs["versions"],
    )


def find_net(digest: str, files: Sequence[str | Path]) -> Path:
    """Find the file whose net has this digest of weights.

    Raises:
        ValueError: none of them has it, or one cannot be read.
    """
    for path in files:
        if models.weight_digest(models.load_model(path)) == digest:
            return Path(path)
    looked = ", ".join(map(str, files)) or "no file"
    raise ValueError(f"no net has the figure's weight digest {digest[:12]}...; looked at {looked}")


def _candidates(figure: Path) -> list[Path]:
    folders = [*figure.resolve().parents[:3], *sorted((ROOT / "experiments").iterdir())]
    found = [path for folder in folders for path in sorted(folder.glob("*.keras"))]
    return list(dict.fromkeys(found))


def _search(recipe: Recipe, net) -> xr.Dataset:
    found = [maps.compute(net, spec) for spec in recipe.specs]
    whole = dataset.pool(found) if recipe.is_pooled else found[0]
    return whole.sel(unit=list(recipe.units))


def _pixel_difference(*drawn: tuple[Path, list[Box]]) -> tuple[float, float]:
    old, new = ([_crop(path, box) for box in boxes] for path, boxes in drawn)
    pairs = [(a, b.resize(a.size, Image.Resampling.NEAREST)) for a, b in zip(old, new, strict=True)]
    differences = [np.abs(np.asarray(a, float) - np.asarray(b, float)) for a, b in pairs]
    return (
        float(np.mean([difference.mean() for difference in differences])),
        float(max(difference.max() for difference in differences)),
    )


def _crop(path: Path, box: Box) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB").crop(box)


def _largest_difference(before: Sequence[float], after: xr.DataArray) -> float:
    return float(np.nanmax(np.abs(after.values.ravel() - np.array(before))))


def main(arguments: list[str] | None = None) -> int:
    """Reproduce one figure from the command line; 2 where it cannot be made again."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.publish.reproduce", description=__doc__
    )
    parser.add_argument("figure", type=Path)
    parser.add_argument("--model", type=Path, help="file of the net")
    parser.add_argument("--output", type=Path, help="the new PNG")
    chosen = parser.parse_args(arguments)
    try:
        print(reproduce(chosen.figure, chosen.model, chosen.output))
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
