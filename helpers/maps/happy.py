"""HappyMaps and SadMaps of any Keras model, as one labelled Dataset."""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import keras
import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from helpers import models
from helpers.maps import engines, targets
from helpers.maps.dataset import GRID, PICTURE
from helpers.maps.fused import Job
from helpers.maps.provenance import provenance
from helpers.maps.spec import PIXEL_RANGE, MapSpec
from helpers.models.preprocessing import input_front, resolve_preprocessing

LOSS_PARTS = ("activation", "lp_norm", "tv")


def happy_maps(
    model: keras.Model | str | Path,
    layer: str | int,
    units: Sequence[int] | int | None = None,
    *,
    objective: str = "activation",
    **options,
) -> xr.Dataset:
    """Search the pictures that make units fire most (activation maximisation).

    The maths is keras-vis's (Erhan et al. 2009, "Visualizing Higher-Layer Features of a Deep
    Network"; regularizers of Mahendran & Vedaldi 2016, 1512.02017, section 3.2): minimise
    `- activation_weight * activation + lp_weight * |x|_6 / n + tv_weight * TV(x) / n`.

    Args:
        model: a Keras model or the path of one.
        layer: name or index of a layer that has units.
        units: unit numbers; None for all units of the layer.
        objective: "activation", "pre-activation" (a logit for a softmax) or "pre-activation minus
            others".
        **options: `tv_weights`, `lp_weights`, `seeds`, `activation_weight`, `steps`, `engine`,
            `pixels` and `preprocessing` as `MapSpec` takes them; `seed_input`, a picture (H, W, C)
            of pixels 0..255 to start from instead of noise, or one for each seed (S, H, W, C);
            `progress=False` for no bar;
            `on_step(step, picture)`, called with a map's picture (H, W, C) as it grows (every step
            of keras-vis; the first and every 20th of a batch's first map), which may raise to stop.

    Returns:
        A Dataset over (unit, tv_weight, lp_weight, seed): `raw` (height, width, channel) float32,
        the kept picture in the net's own input range; `display`, the same as a person is shown it,
        uint8 pixels; `activation_raw`, `activation_display`, `activation_seed`, the objective
        measured on both and on the seed input; `gradient_seed`, the RMS over pixels of the
        objective's gradient at the seed input (0: the search has nothing to follow); `loss` and its
        weighted parts over `step`; `done`, False where an interrupt came first.

    Raises:
        ValueError: an argument is not legal; the message names it and says what is.
    """
    return _maps(model, layer, units, sign="happy", objective=objective, **options)


def sad_maps(
    model: keras.Model | str | Path,
    layer: str | int,
    units: Sequence[int] | int | None = None,
    *,
    objective: str = "pre-activation",
    **options,
) -> xr.Dataset:
    """Search the pictures that make units fire least: minimise the pre-activation.

    The regularizers keep their sign. Arguments, result and errors are those of `happy_maps`.
    """
    return _maps(model, layer, units, sign="sad", objective=objective, **options)


def make_spec(model: keras.Model, layer: str | int, units=None, **values) -> MapSpec:
    """Build a spec whose layer, units and preprocessing exist in `model`.

    Raises:
        ValueError: as `happy_maps`.
    """
    if values.get("engine", "batched") not in engines.ENGINES:
        raise ValueError(
            f"engine must be one of {tuple(engines.ENGINES)}, got {values['engine']!r}"
        )
    values["preprocessing"] = resolve_preprocessing(model, values.get("preprocessing"))
    name = models.find_layer(model, layer).name
    return MapSpec(name, models.check_units(model, layer, units), **values)


def compute(
    model: keras.Model,
    spec: MapSpec,
    *,
    seed_input: np.ndarray | None = None,
    progress: bool = True,
    on_step: Callable[[int, np.ndarray], None] | None = None,
) -> xr.Dataset:
    """Search every map of `spec`; Dataset and errors as `happy_maps`.

    A KeyboardInterrupt ends the search and returns the maps that are done, with a warning.
    """
    digest = models.weight_digest(model)
    target = targets.target_of(model, spec, digest)
    shape = target.input_shape[1:]
    starts = _starts(spec.seeds, shape, seed_input)
    dataset = _empty(spec, shape)

    positions = list(product(*(range(dataset.sizes[dim]) for dim in GRID)))
    jobs = [
        Job(spec.units[u], spec.tv_weights[t], spec.lp_weights[lp], starts[s])
        for u, t, lp, s in positions
    ]
    bar = tqdm(total=len(jobs), desc=f"{spec.sign} maps of {spec.layer}", disable=not progress)
    try:
        with bar:
            for i, found in engines.ENGINES[spec.engine](target, jobs, spec, on_step):
                at = positions[i]
                dataset["raw"].values[at] = found.raw
                dataset["display"].values[at] = found.display
                dataset["loss"].values[at] = found.loss
                for part in found.parts:
                    dataset[f"loss_{part}"].values[at] = found.parts[part]
                dataset["done"].values[at] = True
                bar.update()
    except KeyboardInterrupt:
        done = int(dataset["done"].sum())
        warnings.warn(f"interrupted: {done} of {len(jobs)} maps are done", stacklevel=2)

    _measure(dataset, target, starts, spec)
    dataset["raw"].values[:] = input_front(spec.preprocessing)(dataset["raw"].values)
    dataset.attrs |= provenance(model, spec, digest)
    _report_silent(dataset, spec)
    return dataset


def start_noise(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Seed input (H, W, C) float32: uniform noise brought to mean 127.5 and sd 12.75 (keras-vis).

    keras-vis 0.4.1, `Optimizer._get_seed_input`: mean of the input range, sd 0.05 of its width.
    """
    noise = np.random.default_rng(seed).random(shape)
    noise = (noise - noise.mean()) / noise.std()
    low, high = PIXEL_RANGE
    return ((low + high) / 2 + 0.05 * (high - low) * noise).astype("float32")


def picture_digest(pictures: np.ndarray) -> str:
    """Name (20 hex digits) of float32 pictures, as a spec's `seed_input` holds it."""
    return hashlib.sha256(pictures.tobytes()).hexdigest()[:20]


def _maps(model, layer, units, *, seed_input=None, progress=True, on_step=None, **values):
    model = models.load_model(model)
    if seed_input is not None:
        seed_input = np.asarray(seed_input, "float32")
        values["seed_input"] = picture_digest(seed_input)
    spec = make_spec(model, layer, units, **values)
    return compute(model, spec, seed_input=seed_input, progress=progress, on_step=on_step)


def _starts(seeds: tuple[int, ...], shape: tuple, pictures: np.ndarray | None) -> np.ndarray:
    """What each seed's maps start from, (S, H, W, C)."""
    if pictures is None:
        return np.stack([start_noise(seed, shape) for seed in seeds])
    if pictures.shape not in (shape, (len(seeds), *shape)):
        raise ValueError(
            f"seed_input must have shape {shape} (H, W, C), or {(len(seeds), *shape)} with one for"
            f" each seed, got {pictures.shape}"
        )
    if not np.isfinite(pictures).all():
        raise ValueError("seed_input must be finite, got NaN or infinity")
    return np.broadcast_to(pictures, (len(seeds), *shape))


def _empty(spec: MapSpec, shape: tuple) -> xr.Dataset:
    grid = (len(spec.units), len(spec.tv_weights), len(spec.lp_weights), len(spec.seeds))
    trace = ((*GRID, "step"), np.full((*grid, spec.steps), np.nan, "float32"))
    variables = {
        "raw": ((*GRID, *PICTURE), np.full(grid + shape, np.nan, "float32")),
        "display": ((*GRID, *PICTURE), np.zeros(grid + shape, "uint8")),
        "activation_raw": (GRID, np.full(grid, np.nan, "float32")),
        "activation_display": (GRID, np.full(grid, np.nan, "float32")),
        "done": (GRID, np.zeros(grid, bool)),
        "loss": trace,
        **{f"loss_{part}": (trace[0], np.zeros_like(trace[1])) for part in LOSS_PARTS},
    }
    coordinates = {
        "unit": list(spec.units),
        "tv_weight": list(spec.tv_weights),
        "lp_weight": list(spec.lp_weights),
        "seed": list(spec.seeds),
        "step": np.arange(spec.steps),
    }
    return xr.Dataset(variables, coordinates)


def _measure(dataset: xr.Dataset, target: keras.Model, starts: np.ndarray, spec: MapSpec) -> None:
    units, done = list(spec.units), dataset["done"].values
    activation, gradient = targets.scores_and_gradients(target, starts, units)
    dataset["activation_seed"] = ("unit", "seed"), activation
    dataset["gradient_seed"] = ("unit", "seed"), gradient
    for name in ("raw", "display"):
        found = targets.scores(target, dataset[name].values)
        for row, unit in enumerate(units):
            measured = np.where(done[row], found[row, ..., unit], np.nan)
            dataset[f"activation_{name}"].values[row] = measured


def _report_silent(dataset: xr.Dataset, spec: MapSpec) -> None:
    silent = (dataset["gradient_seed"] == 0).all("seed")
    if silent.any():
        units = dataset["unit"].values[silent.values].tolist()
        warnings.warn(
            f"no gradient at any seed input for units {units} of {spec.layer}: their maps follow"
            " the regularizers only. More seeds or objective='pre-activation' may wake them.",
            stacklevel=3,
        )
