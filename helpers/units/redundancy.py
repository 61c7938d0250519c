"""Units that do the same over images."""

import keras
import numpy as np
import xarray as xr
from scipy.cluster.hierarchy import average, fcluster
from scipy.spatial.distance import squareform

from helpers.faces.dataset import Faces
from helpers.images import as_input
from helpers.models import cutting
from helpers.models.preprocessing import from_pixels
from helpers.units.responses import _outputs

TWINS = 0.9
"""Correlation of activations from which units count as one cluster: 81 % of variance shared."""


def activation_correlation(
    model: keras.Model,
    faces: Faces,
    layer: str | int,
    *,
    preprocessing=None,
    batch: int = 64,
    progress: bool = True,
) -> xr.DataArray:
    """Pearson correlation of every two units' activations over all images and positions.

    `E[(x_i - mu_i)(x_j - mu_j)] / (s_i s_j)`, the within-net correlation of Li et al. 2015
    (1511.07543, section 3.1). NaN for a unit that never changes.

    Args:
        model, faces, layer, preprocessing, batch, progress: as `responses` takes them.

    Returns:
        (unit, other_unit), -1..1.
    """
    net = from_pixels(cutting.at_layer(model, layer), preprocessing)
    pixels = as_input(faces.images, net.input_shape[1:])
    count, total, products = 0, 0.0, 0.0
    for out in _outputs(net, pixels, batch, progress):
        flat = out.reshape(-1, out.shape[-1])
        count, total, products = count + len(flat), total + flat.sum(0), products + flat.T @ flat
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    variance = np.diag(covariance)
    changes = variance > 1e-12 * (variance + mean**2)
    sd = np.sqrt(np.where(changes, variance, np.nan))
    values = np.clip(covariance / np.outer(sd, sd), -1, 1)
    units = np.arange(len(values))
    return xr.DataArray(values, {"unit": units, "other_unit": units}, ("unit", "other_unit"))


def clusters(correlation: xr.DataArray, level: float = TWINS) -> xr.DataArray:
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
    """How many units' worth of different things a layer says: 1 to its number of live units.

    `exp(- sum p_k log p_k)` with `p_k = s_k / sum s` (Roy & Vetterli 2007, "The effective rank",
    section 3), s the singular values of the activations standardised unit by unit: the square roots
    of the eigenvalues of their correlation matrix. Units that never change are left out.
    """
    alive = np.flatnonzero(np.isfinite(np.diag(correlation)))
    eigenvalues = np.linalg.eigvalsh(correlation.values[np.ix_(alive, alive)])
    singular = np.sqrt(np.clip(eigenvalues, 0, None))
    p = singular[singular > 0] / singular.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def twins(correlation: xr.DataArray) -> xr.Dataset:
    """The unit that each unit is most like: `twin`, -1 for none, and `twin_correlation`."""
    others = correlation.where(correlation["unit"] != correlation["other_unit"])
    best = others.max("other_unit")
    return xr.Dataset(
        {
            "twin": others.fillna(-2).idxmax("other_unit").where(best.notnull(), -1).astype(int),
            "twin_correlation": best,
        }
    )
