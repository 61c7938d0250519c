"""Units that do the same over images."""

import keras
import numpy as np
import xarray as xr
from scipy.cluster.hierarchy import average, fcluster
from scipy.spatial.distance import squareform

from helpers.images import LabelledImages, as_input
from helpers.models import cutting
from helpers.models.forward import Forward
from helpers.models.preprocessing import from_pixels

REDUNDANT = 0.9
"""Correlation of activations from which units count as redundant: 81 % of the variance shared."""


def activation_correlation(
    model: keras.Model,
    images: LabelledImages,
    layer: str | int,
    *,
    preprocessing=None,
    batch: int = 64,
    progress: bool = True,
) -> xr.DataArray:
    """Pearson correlation of every two units' activations over all images and positions.

    `E[(x_i - mu_i)(x_j - mu_j)] / (s_i s_j)`, the within-network correlation of Li et al. 2015
    (1511.07543, section 3.1). NaN for a unit that never changes.

    Args:
        model, images, layer, preprocessing, batch, progress: as `measure_responses` takes them.

    Returns:
        (unit, other_unit), -1..1.
    """
    cut = from_pixels(cutting.at_layer(model, layer), preprocessing)
    pixels = as_input(images.images, cut.input_shape[1:])
    count, total, products = 0, 0.0, 0.0
    for outputs in Forward(cut).batches(pixels, batch=batch, progress=progress):
        flat = outputs.reshape(-1, outputs.shape[-1]).astype("float64")
        count, total, products = count + len(flat), total + flat.sum(0), products + flat.T @ flat
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    variance = np.diag(covariance)
    changes = variance > 1e-12 * (variance + mean**2)
    sd = np.sqrt(np.where(changes, variance, np.nan))
    values = np.clip(covariance / np.outer(sd, sd), -1, 1)
    units = np.arange(len(values))
    return xr.DataArray(values, {"unit": units, "other_unit": units}, ("unit", "other_unit"))


def clusters(correlation: xr.DataArray, level: float = REDUNDANT) -> xr.DataArray:
    """Number of the cluster that each unit is in, 1 the largest; 0 for a unit without correlation.

    Average linkage (Sokal & Michener 1958) on `1 - correlation`: units join while the mean
    correlation between the groups is at least `level`.
    """
    alive = np.flatnonzero(np.isfinite(np.diag(correlation)))
    numbers = np.zeros(len(correlation), int)
    if len(alive) == 1:
        numbers[alive] = 1
    elif len(alive):
        square = correlation.values[np.ix_(alive, alive)]
        distances = squareform(np.clip(1 - square, 0, None), checks=False)
        groups = fcluster(average(distances), 1 - level, "distance")
        names, first, counts = np.unique(groups, return_index=True, return_counts=True)
        order = names[np.lexsort((first, -counts))]
        numbers[alive] = [1 + order.tolist().index(group) for group in groups]
    return xr.DataArray(numbers, {"unit": correlation["unit"].values}, ("unit",), name="cluster")


def effective_rank(correlation: xr.DataArray) -> float:
    """How many independent units a layer is worth: 1 to its number of live units.

    `exp(- sum p_k log p_k)` with `p_k = s_k / sum s` (Roy & Vetterli 2007, "The effective rank",
    section 3), s the singular values of the activations standardised unit by unit: the square roots
    of the eigenvalues of their correlation matrix. Units that never change are left out.
    """
    alive = np.flatnonzero(np.isfinite(np.diag(correlation)))
    eigenvalues = np.linalg.eigvalsh(correlation.values[np.ix_(alive, alive)])
    singular = np.sqrt(np.clip(eigenvalues, 0, None))
    p = singular[singular > 0] / singular.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def most_correlated_unit(correlation: xr.DataArray) -> xr.Dataset:
    """The other unit of the layer whose activation correlates most with each unit's.

    Args:
        correlation: from `activation_correlation`.

    Returns:
        Over `unit`: `most_correlated_unit`, -1 for none, and `max_correlation`, -1..1, NaN for
        none.
    """
    others = correlation.where(correlation["unit"] != correlation["other_unit"])
    largest = others.max("other_unit")
    unit = others.fillna(-2).idxmax("other_unit").where(largest.notnull(), -1).astype(int)
    return xr.Dataset({"most_correlated_unit": unit, "max_correlation": largest})
