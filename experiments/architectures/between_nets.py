"""How alike the output maps of nets of different shapes and trainings are."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from helpers.measures import appearance, similarity
from helpers.measures.kinds import BLOCK


def output_likeness(
    maps_of_nets: xr.DataArray, training: Sequence[int], is_reference: Sequence[bool]
) -> xr.Dataset:
    """How alike each net's output maps are to those of the reference nets of other trainings.

    Args:
        maps_of_nets: (net, output, seed, height, width, channel), as shown.
        training: which training each net is of.
        is_reference: which nets are references.

    Returns:
        Over (comparison, net), means over all pairs of maps, NaN where there is no such reference:
        `same`, of the same output, and `other`, of two different outputs. Comparison "in place" and
        "best shift" of `likeness.as_pictures`, "texture" of `likeness.as_textures`, and "where",
        the correlation over blocks of 8x8 pixels of the contrast in them: whether the maps show
        something at the same places, whatever it is.
    """
    nets, outputs, seeds = maps_of_nets.shape[:3]
    dims = ("unit", "seed", "height", "width", "channel")
    flat = maps_of_nets.values.reshape(nets * outputs, *maps_of_nets.shape[2:])
    numbered = {"unit": range(nets * outputs), "seed": range(seeds)}
    shown = xr.Dataset({"display": (dims, flat)}, numbered)
    matrices = {
        "in place": similarity.as_pictures(shown, shifts=False, progress=False),
        "best shift": similarity.as_pictures(shown, progress=False),
        "texture": similarity.as_textures(shown),
        "where": _where(shown),
    }
    training, is_reference = np.array(training), np.array(is_reference)
    counts = is_reference & (training[:, None] != training)
    is_same = np.eye(outputs, dtype=bool)[None, :, None, :]
    found = {"same": [], "other": []}
    for matrix in matrices.values():
        pairs = matrix.values.reshape(nets, outputs, seeds, nets, outputs, seeds).mean((2, 5))
        for name, which in (("same", is_same), ("other", ~is_same)):
            chosen = np.where(counts[:, None, :, None] & which, pairs, np.nan)
            found[name].append(xr.DataArray(chosen).mean(("dim_1", "dim_2", "dim_3")).values)
    columns = {name: (("comparison", "net"), values) for name, values in found.items()}
    return xr.Dataset(columns, {"comparison": list(matrices)})


def _where(maps: xr.Dataset) -> xr.DataArray:
    blocks = appearance.inner(maps["display"]).astype("float64")
    blocks = blocks.coarsen(height=BLOCK, width=BLOCK, boundary="trim").var()
    contrast = np.sqrt(blocks.mean("channel"))
    other = contrast.rename(unit="other_unit", seed="other_seed")
    return xr.corr(contrast, other, ("height", "width"))
