"""HappyMaps and SadMaps of any Keras model, as one labelled Dataset (the keras-vis preset)."""

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
from helpers.maps.dataset import FIELDS, LOSS_PARTS, empty, put
from helpers.maps.fused import Job
from helpers.maps.parametrizations import start_noise
from helpers.maps.provenance import provenance
from helpers.maps.spec import MapSpec
from helpers.maps.targets import LayerTarget
from helpers.models.preprocessing import input_front, resolve_preprocessing

OnStep = Callable[[int, np.ndarray], None]


def happy_maps(
    model: keras.Model | str | Path,
    layer: str | int,
    units: Sequence[int] | int | None = None,
    *,
    objective: str = "activation",
    tv_weights: Sequence[float] | float = 10.0,
    lp_weights: Sequence[float] | float = 10.0,
    seeds: Sequence[int] | int = 0,
    steps: int = 200,
    activation_weight: float = 1.0,
    pixels: str = "free",
    engine: str = "batched",
    preprocessing: str | tuple[float, float] | None = None,
    seed_input: np.ndarray | None = None,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> xr.Dataset:
    """Optimize the images that maximise units of a layer (activation maximisation).

    The maths is keras-vis's (Erhan et al. 2009, "Visualizing Higher-Layer Features of a Deep
    Network"; regularizers of Mahendran & Vedaldi 2016, 1512.02017, section 3.2): minimise
    `- activation_weight * activation + lp_weight * |x|_6 / n + tv_weight * TV(x) / n`.

    Args:
        model: a Keras model or the path of one.
        layer: name or index of a layer that has units.
        units: unit numbers; None for all units of the layer.
        objective: "activation", "pre-activation" (a logit for a softmax) or "pre-activation minus
            others" (less the mean over the layer's other units).
        tv_weights: weights of the total variation, each >= 0.
        lp_weights: weights of the LP norm, each >= 0.
        seeds: integers >= 0, each of which makes one seed input.
        steps: gradient steps, at least 1.
        activation_weight: weight of the objective, > 0.
        pixels: "free", as keras-vis, or "bounded": every pixel stays in 0..255 (not with engine
            "keras-vis").
        engine: "batched" (many maps in one fused loop), "keras-vis" (the genuine package, one map
            at a time) or "generic" (the loop of `maximize`).
        preprocessing: what the model expects: "0..255", "0..1", "-1..1", "caffe", "torch" or
            (low, high); None where it begins with a Rescaling or Normalization layer.
        seed_input: an image (H, W, C) of pixels 0..255 to start from instead of noise, or one for
            each seed (S, H, W, C).
        progress: show a bar.
        on_step: `on_step(step, image)` is called with a map's image (H, W, C) as it grows (every
            step of keras-vis; the first and every 20th of a batch's first map); may raise to stop.

    Returns:
        A Dataset over (unit, tv_weight, lp_weight, seed): `raw` (height, width, channel) float32,
        the kept image in the model's own input range; `display`, the same as a person is shown it,
        uint8 pixels; `activation_raw`, `activation_display`, `activation_seed`, the objective
        measured on both and on the seed input; `gradient_seed`, the RMS over pixels of the
        objective's gradient at the seed input (0: there is nothing to follow); `loss` and its
        weighted parts over `step`; `done`, False where an interrupt came first.

    Raises:
        ValueError: an argument is not legal; the message names it and says what is.
    """
    return _maps(
        model,
        layer,
        units,
        seed_input,
        progress,
        on_step,
        sign="happy",
        objective=objective,
        tv_weights=tv_weights,
        lp_weights=lp_weights,
        seeds=seeds,
        steps=steps,
        activation_weight=activation_weight,
        pixels=pixels,
        engine=engine,
        preprocessing=preprocessing,
    )


def sad_maps(
    model: keras.Model | str | Path,
    layer: str | int,
    units: Sequence[int] | int | None = None,
    *,
    objective: str = "pre-activation",
    tv_weights: Sequence[float] | float = 10.0,
    lp_weights: Sequence[float] | float = 10.0,
    seeds: Sequence[int] | int = 0,
    steps: int = 200,
    activation_weight: float = 1.0,
    pixels: str = "free",
    engine: str = "batched",
    preprocessing: str | tuple[float, float] | None = None,
    seed_input: np.ndarray | None = None,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> xr.Dataset:
    """Optimize the images that minimise units of a layer, by their pre-activation.

    The regularizers keep their sign. Arguments, result and errors are those of `happy_maps`, but
    `objective` is "pre-activation" or "pre-activation minus others": a ReLU has no gradient below
    0.
    """
    return _maps(
        model,
        layer,
        units,
        seed_input,
        progress,
        on_step,
        sign="sad",
        objective=objective,
        tv_weights=tv_weights,
        lp_weights=lp_weights,
        seeds=seeds,
        steps=steps,
        activation_weight=activation_weight,
        pixels=pixels,
        engine=engine,
        preprocessing=preprocessing,
    )


def make_spec(
    model: keras.Model,
    layer: str | int,
    units: Sequence[int] | int | None = None,
    *,
    sign: str = "happy",
    objective: str = "activation",
    tv_weights: Sequence[float] | float = 10.0,
    lp_weights: Sequence[float] | float = 10.0,
    seeds: Sequence[int] | int = 0,
    steps: int = 200,
    activation_weight: float = 1.0,
    pixels: str = "free",
    engine: str = "batched",
    preprocessing: str | tuple[float, float] | None = None,
    seed_input: str | None = None,
) -> MapSpec:
    """Build a spec whose layer, units and preprocessing exist in `model`.

    Arguments are those of `happy_maps`, `sign` is "happy" or "sad", `seed_input` an
    `image_digest`.

    Raises:
        ValueError: as `happy_maps`.
    """
    if engine not in engines.ENGINES:
        raise ValueError(f"engine must be one of {tuple(engines.ENGINES)}, got {engine!r}")
    return MapSpec(
        models.find_layer(model, layer).name,
        models.check_units(model, layer, units),
        sign=sign,
        objective=objective,
        tv_weights=tv_weights,
        lp_weights=lp_weights,
        seeds=seeds,
        steps=steps,
        activation_weight=activation_weight,
        pixels=pixels,
        engine=engine,
        preprocessing=resolve_preprocessing(model, preprocessing),
        seed_input=seed_input,
    )


def compute(
    model: keras.Model,
    spec: MapSpec,
    *,
    seed_input: np.ndarray | None = None,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> xr.Dataset:
    """Optimize every map of `spec`; Dataset and errors as `happy_maps`.

    A KeyboardInterrupt ends it and returns the maps that are done, with a warning.
    """
    target = targets.resolve(model, spec)
    starts = starts_of(spec.seeds, target.shape, seed_input)
    grid = {dim: list(getattr(spec, field)) for dim, field in FIELDS.items()}
    dataset = empty(grid, target.shape, spec.steps, LOSS_PARTS)

    positions = list(product(*(range(len(labels)) for labels in grid.values())))
    jobs = [
        Job(spec.units[u], spec.tv_weights[t], spec.lp_weights[lp], starts[s])
        for u, t, lp, s in positions
    ]
    bar = tqdm(total=len(jobs), desc=f"{spec.sign} maps of {spec.layer}", disable=not progress)
    try:
        with bar:
            for i, made in engines.ENGINES[spec.engine](target, jobs, on_step):
                put(dataset, positions[i], made.raw, made.display, made.loss, made.parts)
                bar.update()
    except KeyboardInterrupt:
        done = int(dataset["done"].sum())
        warnings.warn(f"interrupted: {done} of {len(jobs)} maps are done", stacklevel=2)

    _measure(dataset, target, starts)
    dataset["raw"].values[:] = input_front(spec.preprocessing)(dataset["raw"].values)
    dataset.attrs |= provenance(model, spec, target.digest)
    _report_silent(dataset, spec)
    return dataset


def image_digest(images: np.ndarray) -> str:
    """Name (20 hex digits) of float32 images, as a spec's `seed_input` holds it."""
    return hashlib.sha256(images.tobytes()).hexdigest()[:20]


picture_digest = image_digest


def starts_of(seeds: tuple[int, ...], shape: tuple, images: np.ndarray | None) -> np.ndarray:
    """What each seed's maps start from, (S, H, W, C).

    Raises:
        ValueError: images of another shape, or not finite.
    """
    if images is None:
        return np.stack([start_noise(seed, shape) for seed in seeds])
    if images.shape not in (shape, (len(seeds), *shape)):
        raise ValueError(
            f"seed_input must have shape {shape} (H, W, C), or {(len(seeds), *shape)} with one for"
            f" each seed, got {images.shape}"
        )
    if not np.isfinite(images).all():
        raise ValueError("seed_input must be finite, got NaN or infinity")
    return np.broadcast_to(images, (len(seeds), *shape))


def _maps(model, layer, units, seed_input, progress, on_step, **values) -> xr.Dataset:
    model = targets.checked_model(model)
    if seed_input is not None:
        seed_input = np.asarray(seed_input, "float32")
        values["seed_input"] = image_digest(seed_input)
    spec = make_spec(model, layer, units, **values)
    return compute(model, spec, seed_input=seed_input, progress=progress, on_step=on_step)


def _measure(dataset: xr.Dataset, target: LayerTarget, starts: np.ndarray) -> None:
    units, done = list(target.spec.units), dataset["done"].values
    activation, gradient = targets.scores_and_gradients(target.network, starts, units)
    dataset["activation_seed"] = ("unit", "seed"), activation
    dataset["gradient_seed"] = ("unit", "seed"), gradient
    for name in ("raw", "display"):
        measured = targets.scores(target.network, dataset[name].values)
        for row, unit in enumerate(units):
            own = np.where(done[row], measured[row, ..., unit], np.nan)
            dataset[f"activation_{name}"].values[row] = own


def _report_silent(dataset: xr.Dataset, spec: MapSpec) -> None:
    silent = (dataset["gradient_seed"] == 0).all("seed")
    if silent.any():
        units = dataset["unit"].values[silent.values].tolist()
        warnings.warn(
            f"no gradient at any seed input for units {units} of {spec.layer}: their maps follow"
            " the regularizers only. More seeds or objective='pre-activation' may wake them.",
            stacklevel=3,
        )
