"""What a figure of maps follows from, kept inside its PNG: specs, weight digest, layout."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import xarray as xr
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from helpers.maps.dataset import FIELDS, GRID
from helpers.maps.spec import MapSpec

RECIPE = "recipe"
SPEC = "spec"
DIGEST = "weight digest"
DESCRIPTION = "Description"
"""Keywords of the PNG's text chunks; specs of several layers are `spec`, `spec 2`, ..."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a figure of maps follows from, and what it reached.

    Attributes:
        specs: of the maps, one for each layer.
        weight_digest: of the model, as `helpers.models.weight_digest`.
        units: labels of the units in the order drawn; "layer unit" where layers are pooled.
        function: name of what drew it in `helpers.plots`.
        arguments: of that function, JSON values.
        activation_raw: of each raw map, in the order of `GRID`.
        activation_display: of each displayed map, in the same order.
        numerics: version of the maths.
        versions: of the libraries.
    """

    specs: tuple[MapSpec, ...]
    weight_digest: str
    units: tuple
    function: str
    arguments: dict
    activation_raw: tuple[float, ...]
    activation_display: tuple[float, ...]
    numerics: str
    versions: str

    @property
    def is_pooled(self) -> bool:
        """Whether the units carry their layer's name."""
        return isinstance(self.units[0], str)


def recipe_of(dataset: xr.Dataset, function: str, **arguments) -> Recipe | None:
    """Say what a figure of these maps follows from; None where the Dataset does not know.

    A Dataset knows by its attributes `spec` and `weight_digest`, as `happy_maps` returns it and
    `joined_attributes` keeps it, and by having the dims that a spec has.

    Args:
        dataset: maps, a dim of length 1 where one value is selected.
        function: name of what draws them in `helpers.plots`.
        **arguments: of that function, JSON values.
    """
    if not {"spec", "weight_digest"} <= set(dataset.attrs):
        return None
    if set(dataset["activation_raw"].dims) != set(GRID):
        return None
    spec = MapSpec.from_toml(dataset.attrs["spec"])
    units = tuple(dataset["unit"].values.tolist())
    layers: dict[str, list[int]] = {}
    for unit in units:
        layer, number = unit.rsplit(" ", 1) if isinstance(unit, str) else (spec.layer, unit)
        layers.setdefault(layer, []).append(int(number))
    grid = {FIELDS[dim]: dataset[dim].values.tolist() for dim in GRID if dim != "unit"}
    return Recipe(
        tuple(replace(spec, layer=name, units=some, **grid) for name, some in layers.items()),
        dataset.attrs["weight_digest"],
        units,
        function,
        arguments,
        tuple(dataset["activation_raw"].transpose(*GRID).values.ravel().tolist()),
        tuple(dataset["activation_display"].transpose(*GRID).values.ravel().tolist()),
        dataset.attrs["numerics"],
        dataset.attrs["versions"],
    )


def with_channels(channels: Sequence[int] | None) -> dict[str, list[int]]:
    """The argument `channels` of a figure, where it was given."""
    return {} if channels is None else {"channels": list(channels)}


def png_text(recipe: Recipe | None, alt: str, boxes: Sequence[Box]) -> PngInfo:
    """Text chunks of a figure's PNG: its description, and its recipe where it has one.

    Args:
        recipe: what it follows from.
        alt: the figure in words.
        boxes: where each map is drawn.
    """
    info = PngInfo()
    info.add_text(DESCRIPTION, alt)
    if recipe is None:
        return info
    values = asdict(recipe)
    del values["specs"]
    info.add_text(DIGEST, values.pop("weight_digest"))
    for number, spec in enumerate(recipe.specs, 1):
        info.add_text(SPEC if number == 1 else f"{SPEC} {number}", spec.to_toml())
    info.add_text(RECIPE, json.dumps(values | {"boxes": boxes}), zip=True)
    return info


def read_recipe(path: str | Path) -> tuple[Recipe, list[Box]]:
    """Read what `png_text` wrote: the recipe, and where each map is drawn.

    Raises:
        ValueError: not a PNG file, or it holds no recipe.
    """
    try:
        with Image.open(path) as image:
            image.load()
            text = dict(getattr(image, "text", {}))
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"figure must be a PNG file, got {str(path)!r}: {error}") from error
    if RECIPE not in text:
        raise ValueError(
            f"figure must be a PNG of maps that MapFigure.save wrote, got {str(path)!r}: it holds"
            f" no spec (text chunks: {sorted(text) or 'none'})"
        )
    values = json.loads(text[RECIPE])
    boxes = [tuple(box) for box in values.pop("boxes")]
    specs = tuple(
        MapSpec.from_toml(text[key]) for key in text if key == SPEC or key.startswith(f"{SPEC} ")
    )
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Recipe(specs=specs, weight_digest=text[DIGEST], **(values | lists)), boxes
