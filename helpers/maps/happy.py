"""HappyMaps and SadMaps of any Keras model, as one labelled Dataset (the keras-vis preset)."""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import keras
import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from helpers import models
from helpers.maps import engines, given, relative, targets
from helpers.maps.dataset import FIELDS, LOSS_PARTS, empty, put, raised
from helpers.maps.fused import Job
from helpers.maps.given import Held, OwnPreprocessing
from helpers.maps.parametrizations import start_noise
from helpers.maps.provenance import provenance
from helpers.maps.spec import MapSpec
from helpers.maps.targets import LayerTarget
from helpers.models.preprocessing import Preprocessing, input_front

PER_SEED = ("unit", "seed")
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
    weights: str = "absolute",
    pixels: str = "free",
    engine: str = "batched",
    preprocessing: Preprocessing | None = None,
    size: int | Sequence[int] | None = None,
    held: Mapping[str, object] | None = None,
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
        layer: path or index of a layer that has units, as `models.layers` lists them.
        units: unit numbers; None for all units of the layer.
        objective: "activation", "pre-activation" (a logit for a softmax) or "pre-activation minus
            others" (less the mean over the layer's other units).
        tv_weights: weights of the total variation, each >= 0.
        lp_weights: weights of the LP norm, each >= 0.
        seeds: integers >= 0, each of which makes one seed input.
        steps: gradient steps, at least 1.
        activation_weight: weight of the objective, > 0.
        weights: "absolute", as keras-vis, or "relative": `tv_weights` and `lp_weights` are in units
            of the objective, so that one weight serves every model; 0.1 for both is the
            panel's choice. A relative weight r is the absolute weight at
            which the regularizer's gradient at the seed input is r times as large as the
            objective's (RMS over pixels); a unit without gradient there gets the median of its
            layer's.
        pixels: "free", as keras-vis, or "bounded": every pixel stays in 0..255 (not with engine
            "keras-vis").
        engine: "batched" (many maps in one fused loop), "keras-vis" (the genuine package, one map
            at a time) or "generic" (the loop of `maximize`).
        preprocessing: what the model expects: "0..255", "0..1", "-1..1", "caffe", "torch",
            (low, high), `models.Standardized(mean, sd)`, a range in another colour space such as
            "YUV -1..1", a Keras layer or a function of pixels; None to infer it.
        size: of the map, where the model has no size or another is wanted: one number for all axes
            or one for each. A flat vector that is an image needs it.
        held: values of the inputs that are not the image, by name; 0 for those that are not given.
        seed_input: an image (H, W, C) of pixels 0..255 to start from instead of noise, or one for
            each seed (S, H, W, C).
        progress: show a bar.
        on_step: `on_step(step, image)` is called with a map's image (H, W, C) as it grows (every
            step of keras-vis; the first and every 20th of a batch's first map); may raise to stop.

    Returns:
        A Dataset over (unit, tv_weight, lp_weight, seed): `raw` float32 over (height, width,
        channel), of signals (time, channel), of volumes (depth, height, width, channel), the kept
        image in the model's own input range; `display`, the same as a person is shown it, uint8
        pixels; `activation_raw`, `activation_display`, `activation_seed`, the objective measured on
        both and on the seed input; `raised`, whether one of the first two exceeds the third;
        `gradient_seed`, the RMS over pixels of the objective's gradient at the seed input (0: there
        is nothing to follow); `loss` and its weighted parts over `step`; `done`, False where an
        interrupt came first; with relative weights `absolute_tv_weight` and `absolute_lp_weight`.
        Warnings name the units without gradient and those that are not raised.

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
        weights=weights,
        pixels=pixels,
        engine=engine,
        preprocessing=preprocessing,
        size=size,
        held=held,
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
    weights: str = "absolute",
    pixels: str = "free",
    engine: str = "batched",
    preprocessing: Preprocessing | None = None,
    size: int | Sequence[int] | None = None,
    held: Mapping[str, object] | None = None,
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
        weights=weights,
        pixels=pixels,
        engine=engine,
        preprocessing=preprocessing,
        size=size,
        held=held,
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
    weights: str = "absolute",
    pixels: str = "free",
    engine: str = "batched",
    preprocessing: Preprocessing | OwnPreprocessing | None = None,
    size: int | Sequence[int] | None = None,
    held: Mapping[str, object] | Held | None = None,
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
        weights=weights,
        pixels=pixels,
        engine=engine,
        seed_input=seed_input,
        **given.resolve(model, preprocessing, size, held),
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
    at_seed = targets.scores_and_gradients(target.network, starts, spec.units)
    dataset["activation_seed"], dataset["gradient_seed"] = ((PER_SEED, each) for each in at_seed)
    tv_weights, lp_weights = _absolute_weights(dataset, target, starts)

    positions = list(product(*(range(len(labels)) for labels in grid.values())))
    is_silent = dataset["gradient_seed"].values == 0
    jobs = [
        Job(
            spec.units[at[0]],
            float(tv_weights[at]),
            float(lp_weights[at]),
            starts[at[-1]],
            bool(is_silent[at[0], at[-1]]),
        )
        for at in positions
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

    _measure(dataset, target)
    dataset["raw"].values[:] = as_expected(spec.preprocessing, dataset["raw"].values, target.shape)
    dataset.attrs |= provenance(model, spec, target.digest, target.shape)
    dataset["raised"] = raised(dataset)
    _report_silent(dataset, spec)
    _report_not_raised(dataset, target, starts)
    return dataset


def image_digest(images: np.ndarray) -> str:
    """Name (20 hex digits) of float32 images, as a spec's `seed_input` holds it."""
    return hashlib.sha256(images.tobytes()).hexdigest()[:20]


def as_expected(preprocessing, pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels (..., *shape) in 0..255 as what the model expects, of the same shape."""
    flat = pixels.reshape(-1, *shape)
    return np.asarray(input_front(preprocessing)(flat), "float32").reshape(pixels.shape)


def starts_of(seeds: tuple[int, ...], shape: tuple, images: np.ndarray | None) -> np.ndarray:
    """What each seed's maps start from, (S, *shape).

    Raises:
        ValueError: images of another shape, or not finite.
    """
    if images is None:
        return np.stack([start_noise(seed, shape) for seed in seeds])
    if images.shape not in (shape, (len(seeds), *shape)):
        raise ValueError(
            f"seed_input must have the shape {shape} of an image, or {(len(seeds), *shape)} with"
            f" one for each seed, got {images.shape}"
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


def _absolute_weights(dataset: xr.Dataset, target: LayerTarget, starts) -> list[np.ndarray]:
    """The weights of TV and LP norm of every map, as they enter the loss; relative ones are kept.

    Args:
        dataset: of the maps that are asked for.
        target: what they are asked of.
        starts: seed inputs.
    """
    like, dims = dataset["activation_raw"], ("tv_weight", "lp_weight")
    weights = [dataset[dim].broadcast_like(like).transpose(*like.dims) for dim in dims]
    if target.spec.weights == "absolute":
        return [each.values for each in weights]
    units = relative.units_of_weights(target, starts, dataset["gradient_seed"].values)
    absolute = []
    for dim, each, unit in zip(dims, weights, units, strict=True):
        values = each.values * unit[:, None, None]
        dataset[f"absolute_{dim}"] = like.dims, values.astype("float32")
        absolute.append(values)
    return absolute


def _measure(dataset: xr.Dataset, target: LayerTarget) -> None:
    done = dataset["done"].values
    for name in ("raw", "display"):
        measured = targets.scores(target.network, dataset[name].values)
        for row, unit in enumerate(target.spec.units):
            own = np.where(done[row], measured[row, ..., unit], np.nan)
            dataset[f"activation_{name}"].values[row] = own


def _report_silent(dataset: xr.Dataset, spec: MapSpec) -> None:
    silent = (dataset["gradient_seed"] == 0).all("seed")
    if silent.any():
        units = dataset["unit"].values[silent.values].tolist()
        warnings.warn(
            f"no gradient at any seed input for units {some(units)} of {spec.layer}: their maps"
            " follow the regularizers only. More seeds or objective='pre-activation' may wake them",
            stacklevel=5,
        )


def _report_not_raised(dataset: xr.Dataset, target: LayerTarget, starts: np.ndarray) -> None:
    """Warn of the maps of units with a gradient that stay at or below their seed input."""
    spec, has_gradient = target.spec, dataset["gradient_seed"] > 0
    fails = (dataset["done"] & has_gradient & ~dataset["raised"]).transpose("unit", ...)
    if not fails.any():
        return
    failing = fails.any([dim for dim in fails.dims if dim != "unit"]).values
    units = dataset["unit"].values[failing].tolist()
    gradients = dataset["gradient_seed"].where(has_gradient).values[failing]
    tv, lp = (
        relative.RELATIVE_WEIGHT * float(np.nanmedian(unit))
        for unit in relative.units_of_weights(target, starts, gradients)
    )
    if spec.weights == "relative":
        tv, lp = (relative.RELATIVE_WEIGHT * min(w) for w in (spec.tv_weights, spec.lp_weights))
        way_out = f"try smaller weights, such as tv_weights={tv:.2g}, lp_weights={lp:.2g}"
    elif max(spec.tv_weights) <= tv and max(spec.lp_weights) <= lp:
        way_out = "try more steps, another seed or objective='pre-activation'"
    else:
        way_out = (
            f"try tv_weights={tv:.2g}, lp_weights={lp:.2g}, which is weights='relative' with"
            f" {relative.RELATIVE_WEIGHT} for both"
        )
    warnings.warn(
        f"{int(fails.sum())} of {fails.size} maps are not raised above their seed input, of units"
        f" {some(units)} of {spec.layer}: {way_out}",
        stacklevel=5,
    )


def some(values: Sequence, most: int = 12) -> str:
    """A list of values, cut after `most` of them."""
    if len(values) <= most:
        return str(list(values))
    return f"{str(list(values[:most]))[:-1]}, ... {len(values) - most} more]"
