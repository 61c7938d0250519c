"""Everything that is known about the maps of one layer, one row a unit."""

from dataclasses import dataclass

import keras
import numpy as np
import xarray as xr

from helpers import models
from helpers.faces.dataset import Faces
from helpers.images import as_input
from helpers.maps import dataset
from helpers.measures import displayed, kinds, repeatability, similarity
from helpers.models import receptive_fields
from helpers.models.receptive_fields import ReceptiveField
from helpers.units import census, redundancy
from helpers.units import statistics as unit_statistics
from helpers.units.responses import measure_responses

NO_MAP = "no map"


@dataclass(frozen=True)
class Evidence:
    """The maps of a layer, the images they are judged against, and the numbers of both.

    Attributes:
        happy: HappyMaps, one TV and LP weight.
        sad: SadMaps of the same units, or None.
        pixels: (N, H, W, C), the images as the net takes them, 0..255.
        field: receptive field of the layer's neurons.
        responses: what the units do on the images, by the objective of the HappyMaps.
        before: the same before the activation function.
        units: over `unit`, the columns that `gather` names.
        facet: (unit, seed), which facet a map is in, 0 for none.
    """

    happy: xr.Dataset
    sad: xr.Dataset | None
    pixels: np.ndarray
    field: ReceptiveField
    responses: xr.Dataset
    before: xr.Dataset
    units: xr.Dataset
    facet: xr.DataArray


def gather(
    model: keras.Model,
    faces: Faces,
    happy: xr.Dataset,
    sad: xr.Dataset | None = None,
    *,
    selective_for: str | None = None,
    preprocessing=None,
    progress: bool = True,
) -> Evidence:
    """Measure the maps of a layer and its units.

    Args:
        model: the net.
        faces: labelled images to judge against.
        happy: what `happy_maps` returns: one TV and LP weight, at least two units and two seeds.
        sad: what `sad_maps` returns for the same units, or None.
        selective_for: the class that selectivity is about; the last of `faces.class_names`.
        preprocessing: what the net expects, as `preprocessing.from_pixels` takes it.
        progress: show bars.

    Returns:
        The evidence. `units` holds `verdict`, `alike`, `null`, `level`, `facets` and `largest` of
        `repeatability` of the pictures (at the best shift for a convolution, else in place), the
        same named `texture_verdict` ... of their textures (convolutions only) and
        `deeper_verdict` ... of their activations in the last layer before the net's output (where
        that is deeper); `kind` ("no map" where there is none)
        and the numbers of `kinds`, means over the maps that found something; `activation_spread`;
        `z_score`, `ratio`, `percentile` (as shown) and `display_gap` of
        `displayed.against_data`, means over the seeds; `apoz`, `dead`, `always_on`, `light`,
        `selectivity` and `class_selectivity` of `census.census`; `twin` and `twin_correlation`, the
        unit that does most the same over the images, and `cluster`.

    Raises:
        ValueError: as the functions that measure.
    """
    layer, units = happy.attrs["layer"], happy["unit"].values
    quiet = {"preprocessing": preprocessing, "progress": progress}
    objective = happy.attrs["objective"]
    over = {
        name: measure_responses(model, faces, layer, objective=name, **quiet)
        for name in {"activation", "pre-activation", objective}
    }
    pixels = as_input(faces.images, model.input_shape[1:])
    statistics = unit_statistics.scale(over[objective])
    field = receptive_fields.receptive_field(model, layer)
    is_local = field.stride != (0, 0)
    alike = {"": similarity.as_pictures(happy, shifts=is_local, progress=progress)}
    if is_local:
        alike["texture_"] = similarity.as_textures(happy)
    deeper = [info.name for info in models.layers(model)][:-1]
    if layer in deeper[:-1]:
        alike["deeper_"] = similarity.to_the_net(happy, model, deeper[-1])
    repeat = {name: repeatability.repeatability(happy, alike[name]) for name in alike}
    correlation = redundancy.activation_correlation(model, faces, layer, **quiet)
    rows = [
        *(_judged(found, name) for name, found in repeat.items()),
        _looks(happy, pixels),
        _against(happy, statistics),
        census.census(over["activation"], selective_for=selective_for or faces.class_names[-1]).sel(
            unit=units
        ),
        redundancy.twins(correlation).sel(unit=units),
        redundancy.clusters(correlation).sel(unit=units),
    ]
    merged = xr.merge(rows, combine_attrs="drop_conflicts", compat="override", join="exact")
    return Evidence(
        happy,
        sad,
        pixels,
        field,
        over[objective],
        over["pre-activation"],
        merged.assign_attrs(layer=layer),
        repeat[""]["facet"],
    )


def _judged(found: xr.Dataset, prefix: str) -> xr.Dataset:
    columns = found.drop_vars("facet").drop_dims("seed")
    return columns.rename({name: f"{prefix}{name}" for name in columns})


def _looks(happy: xr.Dataset, pixels: np.ndarray) -> xr.Dataset:
    one = happy.squeeze(["tv_weight", "lp_weight"], drop=True)
    found = dataset.found(one)
    numbers = kinds.of_maps(one).where(found).mean("seed")
    kind = kinds.kind(numbers, kinds.levels(kinds.of_images(pixels / 255, one)))
    spread = repeatability.activation_spread(one)
    return numbers.assign(kind=kind.where(found.any("seed"), NO_MAP), activation_spread=spread)


def _against(happy: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
    one = happy.squeeze(["tv_weight", "lp_weight"], drop=True)
    found = displayed.against_data(one, statistics).mean("seed")
    shown = found[["z_score", "ratio", "percentile"]].sel(of="display", drop=True)
    return shown.assign(display_gap=found["display_gap"])
