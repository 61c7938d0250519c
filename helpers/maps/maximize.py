"""Maps of any objective by any parametrization, transforms, regularizers and optimizer."""

import warnings
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import xarray as xr
from tqdm.auto import tqdm

from helpers.images import display
from helpers.maps import loop, targets
from helpers.maps.batches import images_at_once
from helpers.maps.dataset import empty, put, raised
from helpers.maps.given import resolve
from helpers.maps.happy import OnStep, as_expected, image_digest, some, starts_of
from helpers.maps.loop import Job
from helpers.maps.objectives import Objective
from helpers.maps.optimization import AXES, Optimization, several
from helpers.maps.optimizers import Optimizer
from helpers.maps.parametrizations import Parametrization
from helpers.maps.presets import Preset, preset_fields
from helpers.maps.provenance import provenance_of_optimization
from helpers.maps.regularizers import Regularizer
from helpers.maps.transforms import Transform
from helpers.models.preprocessing import Preprocessing


def maximize(
    model: keras.Model | str | Path,
    objective: Objective | Sequence[Objective],
    *,
    preset: str | Preset = "robust",
    parametrization: Parametrization | Sequence[Parametrization] | None = None,
    transforms: Sequence[Transform] | Sequence[Sequence[Transform]] | None = None,
    regularizers: Sequence[Regularizer] | Sequence[Sequence[Regularizer]] | None = None,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    steps: int | None = None,
    wake_steps: int | None = None,
    patience: int | None = None,
    seeds: Sequence[int] | int = (0,),
    size: int | Sequence[int] | None = None,
    preprocessing: Preprocessing | None = None,
    held: Mapping[str, object] | None = None,
    seed_input: np.ndarray | None = None,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> xr.Dataset:
    """Optimize the images that maximise an objective.

    The default is the usual recipe of today (Olah et al. 2017, "Feature Visualization"). What is
    None is as the preset has it. Each of objective, parametrization, transforms, regularizers and
    optimizer is one value or a list of values; a list becomes a dim of the result.

    Args:
        model: a Keras model or the path of one.
        objective: such as `Unit("conv", 3)`, `Unit("conv", 3) - 0.5 * Unit("conv", 4)`.
        preset: a name in `PRESETS` ("robust", "maco", "keras_vis") or a `Preset`.
        parametrization: `Pixels()`, `BoundedPixels()` or `FourierImage()`.
        transforms: such as `(Jitter(8), RandomRotate(5))`; () for none.
        regularizers: such as `(TotalVariation(1e-3),)`.
        optimizer: `Adam()` or `KerasVisRMSprop()`.
        steps: gradient steps, at least 1.
        wake_steps: steps at the start in which ReLUs that pass no gradient pass that of inputs
            below 0, so that units silent at the start wake; 0 for none.
        patience: a map stops when its objective, a running mean of about 10 steps, has not risen
            for so many steps; None to take all steps.
        seeds: integers >= 0; each makes a start and the random numbers of the transforms.
        size: of the map, one number or one for each axis, such as (height, width); None for the
            model's own. A flat vector that is an image needs it.
        preprocessing: what the model expects, as `happy_maps` takes it; None to infer it.
        held: values of the inputs that are not the image, by name; 0 for those that are not given.
        seed_input: an image (H, W, C) of pixels 0..255 to start from instead of noise, or one for
            each seed (S, H, W, C).
        progress: show a bar.
        on_step: `on_step(step, image)` is called after the first and every 20th step of a batch
            with its first image (H, W, C), pixels 0..255; may raise to stop.

    Returns:
        A Dataset over `objective`, `seed` and what is given as a list, labelled by the parts' own
        names (`parametrization`, `transforms`, `regularizers`, `optimizer`, otherwise scalar
        coordinates): `raw` float32 (height, width, channel), of signals (time, channel), of volumes
        (depth, height, width, channel), the map in the model's own input range; `display`, uint8
        pixels, the map itself where the parametrization bounds it, else keras-vis's z-score;
        `activation_raw`, `activation_display`, `activation_seed`, the objective measured on both
        and on the start; `raised`, whether one of the first two exceeds the third; `gradient_seed`,
        the RMS over pixels of its gradient there; `loss`, `loss_activation` (minus the objective)
        and `loss_<regularizer>`, weighted, over `step`, before each step, NaN where the map had
        stopped; `steps_taken`; `done`, False where an interrupt came first.

    Raises:
        ValueError: an argument is not legal; the message names it and says what is.
    """
    model = targets.checked_model(model)
    given = {
        "parametrization": parametrization,
        "transforms": transforms,
        "regularizers": regularizers,
        "optimizer": optimizer,
        "steps": steps,
        "wake_steps": wake_steps,
    }
    given = preset_fields(preset) | {k: value for k, value in given.items() if value is not None}
    if seed_input is not None:
        seed_input = np.asarray(seed_input, "float32")
    spec = Optimization(
        objective=objective,
        **given,
        patience=patience,
        seeds=seeds,
        **resolve(model, preprocessing, size, held),
        seed_input=None if seed_input is None else image_digest(seed_input),
    )
    maps = maximize_spec(model, spec, seed_input=seed_input, progress=progress, on_step=on_step)
    one = [axis for axis in AXES[1:] if not several(axis, given[axis])]
    return maps.squeeze(one)


def maximize_spec(
    model: keras.Model,
    spec: Optimization,
    *,
    seed_input: np.ndarray | None = None,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> xr.Dataset:
    """Optimize every map of `spec`; Dataset, with all dims, and errors as `maximize`.

    A KeyboardInterrupt ends it and returns the maps that are done, with a warning.
    """
    taps = tuple(dict.fromkeys(tap for objective in spec.objective for tap in objective.taps))
    cut = targets.cut_of(model, taps, spec.preprocessing, spec.size, spec.held)
    targets.check_gradient(cut)
    shapes = dict(zip(taps, (tuple(output.shape) for output in cut.outputs), strict=True))
    for objective in spec.objective:
        objective.check(shapes)
    shape = tuple(cut.input_shape[1:])
    jobs = _jobs(spec, shape, seed_input)
    parts = [r.part for regularizers in spec.regularizers for r in regularizers]
    grid = {axis: spec.labels(axis) for axis in AXES} | {"seed": list(spec.seeds)}
    maps = empty(grid, shape, spec.steps, dict.fromkeys(["activation", *parts]))
    maps["steps_taken"] = xr.zeros_like(maps["done"], int)

    positions = list(product(*(range(len(labels)) for labels in grid.values())))
    images = np.full((len(jobs), *shape), np.nan, "float32")
    bar = tqdm(total=len(jobs), desc="maps", disable=not progress)
    try:
        with bar:
            for i, made in loop.optimize(
                cut,
                taps,
                jobs,
                steps=spec.steps,
                wake_steps=spec.wake_steps,
                patience=spec.patience,
                on_step=on_step,
            ):
                images[i] = made.image
                shown = _displayed(made.image, jobs[i].parametrization.is_bounded)
                put(maps, positions[i], made.image, shown, made.loss, made.parts)
                maps["steps_taken"].values[positions[i]] = made.steps
                bar.update()
    except KeyboardInterrupt:
        done = int(maps["done"].sum())
        warnings.warn(f"interrupted: {done} of {len(jobs)} maps are done", stacklevel=2)

    _measure(maps, cut, taps, jobs, positions)
    maps["raw"].values[:] = as_expected(spec.preprocessing, maps["raw"].values, shape)
    maps = maps.assign_attrs(
        provenance_of_optimization(model, spec, targets.digest_of(model), shape),
        layer=", ".join(dict.fromkeys(tap.layer for tap in taps)),
    )
    maps["raised"] = raised(maps)
    _report_not_raised(maps)
    return maps


def _report_not_raised(maps: xr.Dataset) -> None:
    fails = (maps["done"] & ~maps["raised"]).transpose("objective", ...)
    if fails.any():
        failing = fails.values.reshape(len(fails), -1).any(1)
        names = [str(name)[:60] for name in maps["objective"].values[failing]]
        warnings.warn(
            f"{int(fails.sum())} of {fails.size} maps are not raised above their start, of"
            f" {some(names, 2)}: try more steps, another seed, pre_activation=True or smaller"
            " weights of the regularizers.",
            stacklevel=4,
        )


def _jobs(spec: Optimization, shape, seed_input) -> list[Job]:
    """The maps of the grid in the order of its dims."""
    images = None if seed_input is None else starts_of(spec.seeds, shape, seed_input)
    starts = {
        (parametrization, seed): parametrization.start(seed, shape)
        if images is None
        else parametrization.encode(images[s])
        for parametrization in spec.parametrization
        for s, seed in enumerate(spec.seeds)
    }
    return [
        Job(*chosen, start=starts[chosen[1], seed], seed=seed, group=chosen)
        for *parts, seed in product(*(getattr(spec, axis) for axis in AXES), spec.seeds)
        for chosen in [tuple(parts)]
    ]


def _displayed(image: np.ndarray, is_bounded: bool) -> np.ndarray:
    return np.rint(image).astype("uint8") if is_bounded else display(image, image.ndim)


def _measure(maps: xr.Dataset, cut, taps, jobs: list[Job], positions: list[tuple]) -> None:
    """Add the objective, measured on start, raw and displayed map, without transforms."""
    for name in ("activation_seed", "gradient_seed"):
        maps[name] = maps["activation_raw"].copy(deep=True)
    for numbers in loop.batches(jobs, images_at_once(cut, len(jobs), loop.MOST_MAPS)):
        chosen = [jobs[i] for i in numbers]
        if not all(maps["done"].values[positions[i]] for i in numbers):
            continue
        measure = loop.measure_of(cut, taps, chosen[0].recipe.form)
        compiled = loop.loop_of(cut, taps, chosen[0].recipe)
        own = loop.stacked(chosen, steps=0)
        seeds = compiled.images(tf.constant(np.stack([job.start for job in chosen])))
        seen = {"seed": seeds.numpy()} | {
            name: np.stack([maps[name].values[positions[i]] for i in numbers])
            for name in ("raw", "display")
        }
        for name, images in seen.items():
            images = tf.constant(images, tf.float32)
            scores, gradients = measure(images, own.parameters, own.groups)
            for k, i in enumerate(numbers):
                maps[f"activation_{name}"].values[positions[i]] = scores[k]
                if name == "seed":
                    maps["gradient_seed"].values[positions[i]] = gradients[k]
