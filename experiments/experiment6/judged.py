"""The recipes on faces models of several trainings: what each map is to the others' models."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import pandas as pd
import xarray as xr

from experiments.experiment6.recipes import LAST, RECIPES, Sources
from helpers import measures, models
from helpers.faces import dataset, training
from helpers.faces.dataset import Faces
from helpers.images import as_pixels
from helpers.models.forward import Forward

FACES, WEIGHTS_SEEDS, SEEDS, EPOCHS = "real faces", (1, 2, 3, 4, 5), (0, 1, 2), 4
FEATURES = "conv2d_3"
LABELS = {0: "not left", 1: "left"}
MEASURES = {
    "own_margin": "logit margin, own model",
    "transfer": "transfer, other trainings",
    "judges_margin": "logit margin there",
    "transfer_photos": "transfer, photographs model",
    "similarity_over_seeds": "similarity over seeds",
    "high_frequency_share": "high-frequency share",
    "distance": "distance to faces",
}


def trained(seed: int) -> tuple[keras.Model, Faces, Faces]:
    """A model trained on the rendered faces, the people it learned from, and the others."""
    faces = dataset.load_faces("rendered", seed=0)
    known, unknown = dataset.split_by_person(faces, seed=seed)
    made = training.train(known, unknown, seed=seed, epochs=EPOCHS, progress=False)
    return made.model, known, unknown


def judge(
    trainings: Sequence[tuple[keras.Model, Faces, Faces]], photographs_model: keras.Model
) -> xr.Dataset:
    """Make maps by every recipe on every model, and measure them.

    Returns:
        `MEASURES` over (recipe, model, label, seed), the real faces of unknown people as a further
        recipe; `display`, pixels 0..255 of the first model's maps, (recipe, label, seed, height,
        width, channel).
    """
    parts, shown = [], []
    for number, (model, known, unknown) in enumerate(trainings):
        others = [other for i, (other, _, _) in enumerate(trainings) if i != number]
        pixels = {name: _maps(make, model, known) for name, make in RECIPES.items()}
        pixels[FACES] = _real_faces(unknown)
        references = as_pixels(unknown.images[:: max(1, len(unknown) // 200)])
        judged = {
            name: measure(maps, model, others, photographs_model, references)
            for name, maps in pixels.items()
        }
        parts.append(xr.concat(list(judged.values()), pd.Index(list(judged), name="recipe")))
        if not number:
            shown = np.stack(list(pixels.values())).round().astype("uint8")
    result = xr.concat(parts, pd.Index(range(len(parts)), name="model"))
    dims = ("recipe", "label", "seed", "height", "width", "channel")
    return result.assign(display=(dims, shown)).transpose("recipe", "model", "label", "seed", ...)


def measure(
    pixels: np.ndarray,
    model: keras.Model,
    others: Sequence[keras.Model],
    photographs_model: keras.Model,
    references: np.ndarray,
) -> xr.Dataset:
    """Measure the maps of one model.

    Args:
        pixels: displayed maps (labels, seeds, H, W, C).
        model: that they are made on.
        others: models of other trainings.
        photographs_model: a model of other faces.
        references: real faces (N, H, W, C).

    Returns:
        `MEASURES` over (label, seed).
    """
    flat = pixels.reshape(-1, *pixels.shape[2:]).astype("float32")
    labels = np.repeat(list(LABELS), pixels.shape[1])
    features = Forward(models.at_layer(others[0], FEATURES))
    as_image = xr.DataArray(flat, dims=("map", "height", "width", "channel"))
    values = {
        "own_margin": _margins(model, flat, labels),
        "transfer": measures.transfer(flat, labels, others),
        "judges_margin": np.mean([_margins(other, flat, labels) for other in others], 0),
        "transfer_photos": measures.transfer(flat, labels, [photographs_model]),
        "high_frequency_share": measures.high_frequency_share(as_image).values,
        "distance": measures.distance_to_images(features(flat), features(references)),
    }
    shaped = {name: value.reshape(pixels.shape[:2]) for name, value in values.items()}
    grid = ("unit", "tv_weight", "lp_weight", "seed", "height", "width", "channel")
    as_maps = xr.Dataset(
        {"display": (grid, pixels[:, None, None])},
        {
            "unit": list(LABELS),
            "tv_weight": [0.0],
            "lp_weight": [0.0],
            "seed": range(len(pixels[0])),
        },
    )
    shaped["similarity_over_seeds"] = measures.similarity_over_seeds(as_maps).values[:, 0, 0]
    coordinates = {"label": list(LABELS.values()), "seed": list(range(pixels.shape[1]))}
    return xr.Dataset({k: (("label", "seed"), v) for k, v in shaped.items()}, coordinates)


def table(measured: xr.Dataset) -> pd.DataFrame:
    """The recipes by measures: means over models, labels and seeds."""
    means = measured[list(MEASURES)].mean(("model", "label", "seed")).to_dataframe()
    return means.rename(columns=MEASURES)


def by_label(measured: xr.Dataset, name: str) -> pd.DataFrame:
    """One measure by recipe and class, with the least and the largest of the models."""
    per_model = measured[name].mean("seed")
    columns: Mapping[str, pd.Series] = {
        f"{label}{suffix}": getattr(per_model.sel(label=label), how)("model").to_series()
        for label in LABELS.values()
        for suffix, how in (("", "mean"), (", least", "min"), (", most", "max"))
    }
    return pd.DataFrame(columns)


def _maps(make, model: keras.Model, known: Faces) -> np.ndarray:
    return np.stack(
        [make(Sources(model, known, SEEDS), label)["display"].values for label in LABELS]
    )


def _real_faces(unknown: Faces) -> np.ndarray:
    chosen = [np.flatnonzero(unknown.labels == label)[:: len(unknown) // 20] for label in LABELS]
    return np.stack([as_pixels(unknown.images[of_label[: len(SEEDS)]]) for of_label in chosen])


def _margins(model: keras.Model, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logits = Forward(models.at_layer(model, LAST, pre_activation=True))(pixels)
    own = logits[np.arange(len(labels)), labels]
    return own - (logits.sum(1) - own) / (logits.shape[1] - 1)
