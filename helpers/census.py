"""What the units of a layer do over real images: dead, always on, following light, redundant."""

import keras
import numpy as np
import xarray as xr
from scipy.cluster.hierarchy import average, fcluster
from scipy.spatial.distance import squareform
from scipy.stats import rankdata
from tqdm.auto import tqdm

from helpers import cutting, evaluation, maps, models, objectives
from helpers.faces import Faces
from helpers.preprocessing import from_pixels

ALWAYS_ON = 0.05
"""APoZ up to which a unit counts as always on: zero at one position in twenty at most."""
TWINS = 0.9
"""Correlation of activations from which units count as one cluster: 81 % of variance shared."""


def responses(
    model: keras.Model,
    faces: Faces,
    layer: str | int,
    *,
    objective: str = "activation",
    preprocessing=None,
    batch: int = 64,
    progress: bool = True,
) -> xr.Dataset:
    """What every unit of a layer does on each image.

    Args:
        model: the net.
        faces: labelled images; brought to the net's size and channels by `evaluation.as_input`.
        layer: name or index of a layer with units.
        objective: what a unit's activation is, as `MapSpec` takes it.
        preprocessing: what the net expects, as `preprocessing.from_pixels` takes it.
        batch: images at a time.
        progress: show a bar.

    Returns:
        Over (image, unit): `activation`, the mean over positions; `positive` (0..1), the share of
        the positions above 0; `most` and `least`, the largest and smallest value at any position,
        and `most_row`, `most_column`, `least_row`, `least_column`, where (0 for a dense layer).
        Over `image`: `brightness`, the mean pixel (0..255), and coordinates `label` and `person`.

    Raises:
        ValueError: no such layer, one without units, or no such objective.
    """
    spec = maps.make_spec(model, layer, objective=objective, preprocessing=preprocessing)
    digest = models.weight_digest(model)
    net = objectives.target_of(model, spec, digest)
    pixels = evaluation.as_input(faces.images, net.input_shape[1:])
    parts = [_measured(out) for out in _outputs(net, pixels, batch, progress)]
    variables = {
        name: (("image", "unit"), np.concatenate([part[name] for part in parts]))
        for name in parts[0]
    }
    variables["brightness"] = ("image", pixels.mean((1, 2, 3), dtype="float64"))
    coordinates = {
        "image": np.arange(len(pixels)),
        "unit": np.arange(parts[0]["activation"].shape[1]),
        "label": ("image", np.array(faces.class_names)[faces.labels]),
        "person": ("image", faces.people),
    }
    attributes = {
        "layer": spec.layer,
        "objective": objective,
        "weight_digest": digest,
    }
    return xr.Dataset(variables, coordinates, attributes)


def census(responses: xr.Dataset, *, selective_for: str) -> xr.Dataset:
    """One row a unit, from its activation (after ReLU) on real images.

    - `apoz`: average percentage of zeros, 0..1: the share of all positions of all images at which
      the unit is 0 or below (Hu et al. 2016, 1607.03250, equation 1).
    - `dead`: at 0 at every position of every image. `always_on`: `apoz` of at most 0.05.
    - `light`: ambient-light index, -1..1: Pearson correlation over the images of the activation
      with the image's mean brightness. NaN for a unit that never changes.
    - `selectivity`: probability (0..1) that the unit fires more on an image of the class than on
      one of the others, ties half: U / (n1 n2) of Mann & Whitney (1947). 0.5 tells nothing.
    - `class_selectivity`: (m - o) / (m + o) with the mean activation m on the class and o on the
      others (Morcos et al. 2018, 1803.06959, section 2.2, there m is the best class), -1..1 for a
      ReLU; NaN where both are 0.

    Args:
        responses: from `responses`, objective "activation".
        selective_for: a class, as in the coordinate `label`.

    Raises:
        ValueError: no image or every image is of that class.
    """
    activation = responses["activation"].astype("float64")
    inside = responses["label"] == selective_for
    if not 0 < int(inside.sum()) < inside.size:
        classes = np.unique(responses["label"].values).tolist()
        raise ValueError(
            f"selective_for must be one of several classes {classes}, got {selective_for!r}"
        )
    apoz = 1 - responses["positive"].astype("float64").mean("image")
    ranks = activation.copy(data=rankdata(activation, axis=activation.get_axis_num("image")))
    n, m = int(inside.sum()), int((~inside).sum())
    mean, others = activation.where(inside).mean("image"), activation.where(~inside).mean("image")
    both = mean + others
    return xr.Dataset(
        {
            "apoz": apoz,
            "dead": apoz == 1,
            "always_on": apoz <= ALWAYS_ON,
            "light": xr.corr(activation, responses["brightness"], "image"),
            "selectivity": (ranks.where(inside).sum("image") - n * (n + 1) / 2) / (n * m),
            "class_selectivity": (mean - others) / both.where(both != 0),
        },
        attrs={"selective_for": selective_for},
    )


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
    pixels = evaluation.as_input(faces.images, net.input_shape[1:])
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


def _outputs(net: keras.Model, pixels: np.ndarray, batch: int, progress: bool):
    starts = range(0, len(pixels), batch)
    for start in tqdm(starts, desc="images", disable=not progress, leave=False):
        yield np.asarray(net(pixels[start : start + batch]), "float64")


def _measured(outputs: np.ndarray) -> dict[str, np.ndarray]:
    columns = outputs.shape[2] if outputs.ndim == 4 else 1
    flat = outputs.reshape(len(outputs), -1, outputs.shape[-1])
    found = {"activation": flat.mean(1), "positive": (flat > 0).mean(1)}
    for name, position in (("most", flat.argmax(1)), ("least", flat.argmin(1))):
        found[name] = np.take_along_axis(flat, position[:, None], 1)[:, 0]
        found[f"{name}_row"], found[f"{name}_column"] = np.divmod(position, columns)
    return found
