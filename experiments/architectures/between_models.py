"""How similar the output maps of models of different shapes and runs are."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from helpers.measures.appearance import BLOCK, without_frame
from helpers.measures.similarity import image_similarity, texture_similarity


def output_similarity(
    output_maps: xr.DataArray, run: Sequence[int], is_reference: Sequence[bool]
) -> xr.Dataset:
    """How similar each model's output maps are to those of the reference models of other runs.

    Args:
        output_maps: (model, output, seed, height, width, channel), as displayed.
        run: which training run each model is of.
        is_reference: which models are references.

    Returns:
        Over (comparison, model), means over all pairs of maps, NaN where there is no such
        reference: `same`, of the same output, and `other`, of two different outputs. Comparison "in
        place" and "best shift" of `image_similarity`, "texture" of `texture_similarity`, and
        "where", the correlation over blocks of 8x8 pixels, without the frame, of the contrast in
        them: whether the maps have something at the same places, whatever it is.
    """
    models, outputs, seeds = output_maps.shape[:3]
    dims = ("unit", "seed", "height", "width", "channel")
    flat = output_maps.values.reshape(models * outputs, *output_maps.shape[2:])
    numbered = {"unit": range(models * outputs), "seed": range(seeds)}
    maps = xr.Dataset({"display": (dims, flat)}, numbered)
    matrices = {
        "in place": image_similarity(maps, shifts=False, progress=False),
        "best shift": image_similarity(maps, progress=False),
        "texture": texture_similarity(maps),
        "where": _where(maps),
    }
    run, is_reference = np.array(run), np.array(is_reference)
    counts = is_reference & (run[:, None] != run)
    is_same = np.eye(outputs, dtype=bool)[None, :, None, :]
    columns: dict[str, list[np.ndarray]] = {"same": [], "other": []}
    for matrix in matrices.values():
        pairs = matrix.values.reshape(models, outputs, seeds, models, outputs, seeds).mean((2, 5))
        for name, which in (("same", is_same), ("other", ~is_same)):
            chosen = np.where(counts[:, None, :, None] & which, pairs, np.nan)
            columns[name].append(xr.DataArray(chosen).mean(("dim_1", "dim_2", "dim_3")).values)
    return xr.Dataset(
        {name: (("comparison", "model"), values) for name, values in columns.items()},
        {"comparison": list(matrices)},
    )


def _where(maps: xr.Dataset) -> xr.DataArray:
    blocks = without_frame(maps["display"]).astype("float64")
    blocks = blocks.coarsen(height=BLOCK, width=BLOCK, boundary="trim").var()
    contrast = np.sqrt(blocks.mean("channel"))
    other = contrast.rename(unit="other_unit", seed="other_seed")
    return xr.corr(contrast, other, ("height", "width"))
