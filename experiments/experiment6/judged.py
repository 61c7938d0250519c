"""The recipes on faces models of several trainings: what each map is to the others' models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import xarray as xr

from experiments.experiment6.recipes import RECIPES, Recipe, Sources
from helpers import measures, models
from helpers.faces import dataset, training
from helpers.faces.dataset import POSES, Faces
from helpers.faces.training import Setup
from helpers.images import as_pixels, fit
from helpers.models.forward import Forward

FACES, WEIGHTS_SEEDS, SEEDS = "real faces", (1, 2, 3, 4, 5), (0, 1)
POST = Setup(epochs=4)
OTHER_ARCHITECTURE = Setup(filters=(16, 24, 32, 48), dense=(48,), dropout=(0.25,), epochs=6)
"""Four convolutions and one dense layer less: a judge that shares no layer's shape."""
FEATURES = "conv2d_3"
MEASURES = {
    "own_margin": "logit margin, own model",
    "transfer": "transfer, other trainings",
    "judges_margin": "logit margin, other trainings",
    "transfer_architecture": "transfer, other architecture",
    "architecture_margin": "logit margin, other architecture",
    "similarity_over_seeds": "similarity over seeds",
    "high_frequency_share": "high-frequency share",
    "distance": "distance to faces",
}


@dataclass(frozen=True, eq=False)
class Training:
    """A faces model, the people that it learned from, and the others, labelled by pose."""

    model: keras.Model
    known: Faces
    unknown: Faces

    @property
    def accuracy(self) -> float:
        """On the unknown people."""
        chosen = Forward(self.model)(as_pixels(self.unknown.images)).argmax(1)
        return float((chosen == self.unknown.labels).mean())


def trained(faces: Faces, seed: int, path: Path, setup: Setup = POST) -> Training:
    """Train on faces labelled by pose, from other weights and on other people by seed.

    A model that is at `path` is read; otherwise it is kept there.
    """
    known, unknown = dataset.split_by_person(faces, seed=seed)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        training.train(known, unknown, seed=seed, setup=setup, progress=False).model.save(path)
    return Training(models.load_model(path), known, unknown)


def judge(
    own: Training,
    others: Sequence[keras.Model],
    architecture: keras.Model,
    *,
    recipes: Mapping[str, Recipe] = RECIPES,
    seeds: Sequence[int] = SEEDS,
    steps: int | None = None,
) -> xr.Dataset:
    """Make maps by every recipe on one model, and measure them.

    Args:
        own: the training that the maps are of.
        others: models of other trainings.
        architecture: a model of another architecture.
        recipes: what is compared.
        seeds: of the maps.
        steps: gradient steps; None for each preset's own.

    Returns:
        `MEASURES` over (recipe, label, seed), the real faces of unknown people as a further
        recipe; `display`, uint8 (recipe, label, seed, height, width, channel).
    """
    sources = Sources(own.model, own.known, tuple(seeds), steps)
    pixels = {name: make(sources) for name, make in recipes.items()}
    pixels[FACES] = _real_faces(own.unknown, len(seeds))
    references = as_pixels(own.unknown.images[:: max(1, len(own.unknown) // 200)])
    measured = [
        measure(images, own.model, others, architecture, references) for images in pixels.values()
    ]
    dims = ("recipe", "label", "seed", "height", "width", "channel")
    shown = np.stack(list(pixels.values())).round().astype("uint8")
    return xr.concat(measured, pd.Index(list(pixels), name="recipe")).assign(display=(dims, shown))


def join(judged: Sequence[xr.Dataset]) -> xr.Dataset:
    """The measures of all trainings over `model`; `display` of the first only."""
    joined = xr.concat(
        [one.drop_vars("display") for one in judged], pd.Index(range(len(judged)), name="model")
    )
    return joined.assign(display=judged[0]["display"])


def measure(
    pixels: np.ndarray,
    model: keras.Model,
    others: Sequence[keras.Model],
    architecture: keras.Model,
    references: np.ndarray,
) -> xr.Dataset:
    """Measure the maps of one model.

    Args:
        pixels: displayed maps (poses, seeds, H, W, C).
        model: that they are made on.
        others: models of other trainings.
        architecture: a model of another architecture.
        references: real faces (N, H, W, C).

    Returns:
        `MEASURES` over (label, seed).
    """
    flat = pixels.reshape(-1, *pixels.shape[2:]).astype("float32")
    labels = np.repeat(np.arange(len(POSES)), pixels.shape[1])
    features = Forward(models.at_layer(others[0], FEATURES))
    as_image = xr.DataArray(flat, dims=("map", "height", "width", "channel"))
    values = {
        "own_margin": _margins(model, flat, labels),
        "transfer": measures.transfer(flat, labels, others),
        "judges_margin": np.mean([_margins(other, flat, labels) for other in others], 0),
        "transfer_architecture": measures.transfer(flat, labels, [architecture]),
        "architecture_margin": _margins(architecture, flat, labels),
        "high_frequency_share": measures.high_frequency_share(as_image).values,
        "distance": measures.distance_to_images(features(flat), features(references)),
    }
    shaped = {name: value.reshape(pixels.shape[:2]) for name, value in values.items()}
    grid = ("unit", "tv_weight", "lp_weight", "seed", "height", "width", "channel")
    coordinates = {"unit": range(len(POSES)), "tv_weight": [0.0], "lp_weight": [0.0]}
    as_maps = xr.Dataset(
        {"display": (grid, pixels[:, None, None])},
        coordinates | {"seed": range(pixels.shape[1])},
    )
    shaped["similarity_over_seeds"] = measures.similarity_over_seeds(as_maps).values[:, 0, 0]
    return xr.Dataset(
        {name: (("label", "seed"), value) for name, value in shaped.items()},
        {"label": list(POSES), "seed": list(range(pixels.shape[1]))},
    )


def table(measured: xr.Dataset) -> pd.DataFrame:
    """The recipes by measures: means over models, labels and seeds."""
    means = measured[list(MEASURES)].mean(("model", "label", "seed")).to_dataframe()
    return means.rename(columns=MEASURES)


def by_model(measured: xr.Dataset, name: str) -> pd.DataFrame:
    """One measure by recipe, mean over labels and seeds: a column for each training."""
    values = measured[name].mean(("label", "seed")).transpose("recipe", "model").to_pandas()
    return values.rename(columns=lambda number: f"training {number + 1}")


def by_label(measured: xr.Dataset, name: str) -> pd.DataFrame:
    """One measure by recipe and class, mean over models and seeds."""
    return measured[name].mean(("model", "seed")).transpose("recipe", "label").to_pandas()


def _real_faces(unknown: Faces, count: int) -> np.ndarray:
    """(poses, count, H, W, C): of each pose a face of as many people."""
    of_pose = (np.flatnonzero(unknown.labels == label) for label in range(len(POSES)))
    return np.stack(
        [as_pixels(unknown.images[which[:: len(which) // count][:count]]) for which in of_pose]
    )


def _margins(model: keras.Model, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The logit of each map's class less the mean of the others."""
    last = models.at_layer(model, model.layers[-1].name, pre_activation=True)
    logits = Forward(last)(fit(pixels, model.input_shape[1:]))
    own = logits[np.arange(len(labels)), labels]
    return own - (logits.sum(1) - own) / (logits.shape[1] - 1)
