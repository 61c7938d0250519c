"""Make a figure again from its PNG alone, and say how near it came.

`python -m helpers.publish.reproduce FIGURE.png`. The maps are optimized anew by the spec in the
PNG, on the model whose weights have the digest in the PNG.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import xarray as xr
from PIL import Image

from helpers import maps, models, plots
from helpers.maps import dataset
from helpers.plots.recipe import Box, Recipe, read_recipe
from helpers.publish.sources import ROOT

FUNCTIONS = {
    "map_grid": plots.map_grid,
    "map_wall": plots.map_wall,
    "map_image": plots.map_image,
}
"""Names that recipes of PNGs use, those of older ones too -> what draws the maps now."""


@dataclass(frozen=True)
class Comparison:
    """A figure beside the one made again.

    Attributes:
        path: the new PNG.
        model: file of the model.
        recipe: what both follow from.
        pixels: mean and largest difference of the maps as drawn, gray levels 0..255.
        raw: largest difference of the raw maps' activations.
        display: the same of the displayed maps.
        numerics: version of the maths that made the new one.
        versions: of the libraries that made the new one.
    """

    path: Path
    model: Path
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
        raw, display = (
            np.nanmax(values)
            for values in (self.recipe.activation_raw, self.recipe.activation_display)
        )
        lines = [
            f"{self.path}: {count} maps of {layers}, optimized anew on {self.model}",
            f"maps as drawn, gray levels 0..255: differ by {mean:.3g} on average,"
            f" {largest:.0f} at most",
            f"activation of the raw maps, up to {raw:.3g}: differs by {self.raw:.2g} at most",
            f"activation of the displayed maps, up to {display:.3g}:"
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
    """Optimize a figure's maps anew, draw them as it did, and compare.

    Args:
        figure: a PNG that `MapFigure.save` wrote.
        model: file of the model; None to look beside the figure and in `experiments/`.
        output: the new PNG; None for `NAME_again.png` beside the figure.

    Raises:
        ValueError: the PNG holds no recipe, its maps started from an image that is not in it, or no
            model with its digest is at hand.
    """
    figure = Path(figure)
    recipe, boxes = read_recipe(figure)
    if any(spec.seed_input for spec in recipe.specs):
        raise ValueError(f"{figure} cannot be made again: its maps started from a given image")
    if recipe.function not in FUNCTIONS:
        raise ValueError(f"{figure} must be drawn by {sorted(FUNCTIONS)}, got {recipe.function!r}")
    file, found = find_model(recipe.weight_digest, [model] if model else _candidates(figure))
    optimized = _optimize(recipe, found)
    again = FUNCTIONS[recipe.function](optimized, **recipe.arguments)
    path = Path(output) if output else figure.with_name(f"{figure.stem}_again.png")
    again.save(path)
    return Comparison(
        path,
        file,
        recipe,
        _pixel_difference((figure, boxes), (path, read_recipe(path)[1])),
        _largest_difference(recipe.activation_raw, optimized["activation_raw"]),
        _largest_difference(recipe.activation_display, optimized["activation_display"]),
        optimized.attrs["numerics"],
        optimized.attrs["versions"],
    )


def find_model(digest: str, files: Sequence[str | Path]) -> tuple[Path, keras.Model]:
    """Find the file whose model, or that without its Rescaling, has this digest of weights.

    Raises:
        ValueError: none of them has it, or one cannot be read.
    """
    for path in files:
        for model in _as_it_is_and_bare(models.load_model(path)):
            if models.weight_digest(model) == digest:
                return Path(path), model
    tried = ", ".join(map(str, files)) or "no file"
    raise ValueError(f"no model has the figure's weight digest {digest[:12]}...; tried {tried}")


def _as_it_is_and_bare(model: keras.Model) -> Iterator[keras.Model]:
    yield model
    if isinstance(model.layers[1], keras.layers.Rescaling):
        yield models.without_rescaling(model)


def _candidates(figure: Path) -> list[Path]:
    folders = [*figure.resolve().parents[:3], *sorted((ROOT / "experiments").iterdir())]
    files = [path for folder in folders for path in sorted(folder.glob("*.keras"))]
    return list(dict.fromkeys(files))


def _optimize(recipe: Recipe, model: keras.Model) -> xr.Dataset:
    layers = [maps.compute(model, spec) for spec in recipe.specs]
    whole = dataset.pool(layers) if recipe.is_pooled else layers[0]
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
    parser.add_argument("--model", type=Path, help="file of the model")
    parser.add_argument("--output", type=Path, help="the new PNG")
    chosen = parser.parse_args(arguments)
    try:
        print(reproduce(chosen.figure, chosen.model, chosen.output))
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
