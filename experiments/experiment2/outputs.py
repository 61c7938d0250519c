"""Maps of a net's output units: what each objective does to them, by the same measures."""

from collections.abc import Mapping

import keras
import numpy as np
import pandas as pd
import xarray as xr

from helpers.faces.dataset import Faces
from helpers.maps.dataset import PICTURE
from helpers.maps.spec import MINUS_OTHERS, MapSpec
from helpers.measures import appearance, displayed, kinds, similarity
from helpers.models import cutting
from helpers.models.preprocessing import from_pixels
from helpers.units import statistics
from helpers.units.responses import measure_responses

NAMES = {"activation": "probability", "pre-activation": "logit", MINUS_OTHERS: "logit minus others"}
"""What each objective is called when the layer is a softmax."""
RECOGNISED = 0.5
"""Probability above which a softmax of any number of classes has decided for a class."""


def as_shown(maps: xr.Dataset, model: keras.Model) -> xr.Dataset:
    """What the net makes of the maps as shown, by yardsticks that all objectives share.

    Args:
        maps: what `happy_maps` returns for a softmax layer.
        model: the net.

    Returns:
        Over the maps' leading dims: `probability` (0..1) and `margin`, the logit less the mean of
        the others', of the unit that the map is of.
    """
    preprocessing = MapSpec.from_toml(maps.attrs["spec"]).preprocessing
    cut = cutting.at_layer(model, maps.attrs["layer"], pre_activation=True)
    net = from_pixels(cut, preprocessing)
    shown = maps["display"].transpose("unit", ..., *PICTURE)
    flat = shown.values.reshape(-1, *shown.shape[-3:]).astype("float32")
    logits = np.asarray(net(flat), "float64").reshape(*shown.shape[:-3], -1)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    units = maps["unit"].values
    own = np.stack([logits[i, ..., unit] for i, unit in enumerate(units)])
    others = (logits.sum(-1) - own) / (logits.shape[-1] - 1)
    chances = powers / powers.sum(-1, keepdims=True)
    chance = np.stack([chances[i, ..., unit] for i, unit in enumerate(units)])
    dims = shown.dims[:-3]
    coordinates = {dim: shown[dim] for dim in dims}
    return xr.Dataset({"probability": (dims, chance), "margin": (dims, own - others)}, coordinates)


def scales(model: keras.Model, faces: Faces, layer: str) -> dict[str, xr.Dataset]:
    """The scale of every objective of a softmax layer over images: `displayed.scale` by its name.

    One data set for the three, so that weights and activations relative to it can be compared.
    """
    return {
        objective: statistics.scale(
            measure_responses(model, faces, layer, objective=objective, progress=False)
        )
        for objective in NAMES
    }


def measure(maps: xr.Dataset, model: keras.Model, scale: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Measure the maps of output units, a number for each weight and seed: means over the units.

    Args:
        maps: what `happy_maps` returns: a softmax layer, at least two units and seeds, one LP
            weight.
        model: the net.
        scale: from `scales`.

    Returns:
        Over (tv_weight, seed): "between outputs", the correlation of two outputs' maps of one seed,
        -1 for complements; "alike over seeds", that of one output's maps with those of the other
        seeds, in place; "high-frequency share" (0..1), without the frame; "z-score as shown", of
        the margin of the map as shown against the images, whatever the objective; "display gap",
        raw minus shown activation in standard deviations of the objective; "probability as shown",
        0..1. Coordinates: `recognised` (tv_weight), whether the net gives the class of every map as
        shown more than 0.5; `scale`, the objective's standard deviation over the images, mean over
        units.
    """
    shown = as_shown(maps, model)
    margin = scale[MINUS_OTHERS].squeeze(drop=True).sel(unit=maps["unit"])
    own = displayed.against_data(maps, scale[maps.attrs["objective"]])
    sd = scale[maps.attrs["objective"]]["std"].squeeze(drop=True).sel(unit=maps["unit"])
    columns = {
        "between outputs": appearance.between(
            appearance.pairwise(appearance.correlation, maps["display"], "unit"), "unit"
        ),
        "alike over seeds": _alike(maps).mean("unit"),
        "high-frequency share": appearance.high_frequency_share(
            appearance.inner(maps["display"])
        ).mean("unit"),
        "z-score as shown": ((shown["margin"] - margin["mean"]) / margin["std"]).mean("unit"),
        "display gap": (own["display_gap"] / sd).mean("unit"),
        "probability as shown": shown["probability"].mean("unit"),
    }
    whole = xr.Dataset({name: values.squeeze("lp_weight") for name, values in columns.items()})
    recognised = (shown["probability"] > RECOGNISED).all(("unit", "seed")).squeeze("lp_weight")
    return whole.drop_vars("lp_weight").assign_coords(
        recognised=("tv_weight", recognised.values), scale=float(sd.mean())
    )


def kind_shares(maps: Mapping[str, xr.Dataset], faces: Faces) -> pd.DataFrame:
    """Share (0..1) of the maps of each kind (`kinds.kind`): a row a name, a column a kind.

    Args:
        maps: name -> what `happy_maps` returns.
        faces: the images that a map is bright or spread out against.
    """
    rows = {}
    for name, found in maps.items():
        level = kinds.levels(kinds.of_images(faces.images, found))
        kind = pd.Series(kinds.kind(kinds.of_maps(found), level).values.ravel())
        rows[name] = kind.value_counts(normalize=True)
    table = pd.DataFrame.from_dict(rows, "index")
    return table.reindex(columns=[kind for kind in kinds.KINDS if kind in table]).fillna(0.0)


def _alike(maps: xr.Dataset) -> xr.DataArray:
    """Each map's mean likeness, in place, to the maps of the same unit from the other seeds."""
    parts = []
    for weight in maps["tv_weight"].values:
        pairs = similarity.as_pictures(maps.sel(tv_weight=[weight]), shifts=False, progress=False)
        same = xr.concat(
            [pairs.sel(unit=u, other_unit=u, drop=True) for u in maps["unit"].values], maps["unit"]
        )
        parts.append(same.where(same["seed"] != same["other_seed"]).mean("other_seed"))
    return xr.concat(parts, maps["tv_weight"]).expand_dims(lp_weight=maps["lp_weight"].values)
