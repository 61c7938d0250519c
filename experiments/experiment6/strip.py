"""From the first layers to the last: one unit for each depth, chosen by a rule."""

import keras
import numpy as np
import pandas as pd
import xarray as xr

from helpers import maps, models, natural
from helpers.images import as_pixels
from helpers.maps import targets
from helpers.models.forward import Forward

DEPTHS = (
    "stem_activation",
    "block1a_project_bn",
    "block2b_add",
    "block3b_add",
    "block4c_add",
    "block5c_add",
    "block6d_add",
    "logits",
)
CANDIDATES, SIZE, STEPS = 12, 112, 48


def chosen_units(model: keras.Model, *, seed: int = 0) -> pd.DataFrame:
    """Of random units of each depth, that whose map most exceeds its photographs.

    The measure: the map's activation less the largest on the photographs at hand, in units of their
    standard deviation. The maps are small and short: only for the choice.

    Returns:
        Per layer: `unit`, `map` and `largest`, the activations of map and photographs, `exceeds`.
    """
    draw, rows = np.random.default_rng(seed), {}
    photographs = as_pixels(natural.photographs(SIZE).images)
    for layer in DEPTHS:
        cut = targets.cut_of(model, (maps.Tap(layer),), size=(SIZE, SIZE))
        values = Forward(cut)(photographs)
        values = values.reshape(len(values), -1, values.shape[-1]).mean(1)
        units = draw.choice(values.shape[-1], CANDIDATES, replace=False)
        objectives = [maps.Unit(layer, int(unit)) for unit in units]
        made = maps.maximize(model, objectives, size=SIZE, steps=STEPS, progress=False)
        reached = made["activation_display"].values.ravel()
        largest, sd = values.max(0)[units], values.std(0)[units]
        exceeds = (reached - largest) / np.where(sd > 0, sd, np.inf)
        best = int(exceeds.argmax())
        rows[layer] = int(units[best]), reached[best], largest[best], exceeds[best]
    return pd.DataFrame.from_dict(rows, "index", columns=["unit", "map", "largest", "exceeds"])


def optimize(model: keras.Model, chosen: pd.DataFrame, *, steps: int | None = None) -> xr.Dataset:
    """The maps of the chosen units, at the model's own size, over (objective,)."""
    objectives = [maps.Unit(layer, int(unit)) for layer, unit in chosen["unit"].items()]
    made = [
        maps.maximize(model, objective, steps=steps, progress=False).squeeze("seed", drop=True)
        for objective in objectives
    ]
    return xr.concat(made, "objective", combine_attrs="drop_conflicts")


def names(chosen: pd.DataFrame) -> list[str]:
    """Layer and unit in words; a class by its name."""
    return [
        models.class_names()[unit] if layer == "logits" else f"{layer} {unit}"
        for layer, unit in chosen["unit"].items()
    ]
