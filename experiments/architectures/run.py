"""Experiments on models of other shapes: declared in TOML, trained, measured, kept as numbers.

`python -m experiments.architectures experiments/experiment4/architectures.toml` trains and measures
whatever model is not measured yet (one small file each, in `results` beside the TOML file), and
writes `measured.nc` from all of them. The models themselves are not kept.
"""

import argparse
import datetime
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from experiments.architectures import between_models, richness
from experiments.architectures.measured import read_measured
from experiments.architectures.plans import Plan, Shape
from experiments.architectures.richness import LAST_CONVOLUTION, OUTPUT
from helpers import faces, files, models
from helpers.faces import evaluation, training
from helpers.images import LabelledImages
from helpers.maps.dataset import as_grid, one_weight
from helpers.maps.provenance import NUMERICS
from helpers.sweeps import store

PHOTOGRAPHS = "photographs"
KEPT_UNITS = 4
PRUNED_ON, PRUNED_FOR = 100, 200
"""So many images of train people decide the order in which units are switched off, and so many of
test people measure what it costs."""
PACKAGES = ("keras", "tensorflow", "numpy")


def run(path: str | Path, *, photographs: str | Path | None = None, progress: bool = True) -> Path:
    """Train and measure every model that is not measured yet, and write `measured.nc`.

    Several processes may run the same experiment: each takes models that no other is at. A model's
    weights and maps stay in `results` too: what is there is used, whatever else is missing.

    Args:
        path: the experiment's TOML file.
        photographs: folder or archive of the CMU Face Images, to test on them too.
        progress: show a bar.

    Returns:
        The path of `measured.nc`, beside the TOML file.

    Raises:
        ValueError: the plan is not legal.
    """
    path = Path(path)
    plan = Plan.from_toml(path)
    files = {
        (name, seed): path.parent / "results" / f"{plan.digest(name, seed)}.nc"
        for seed in sorted({seed for shape in plan.models.values() for seed in shape.seeds})
        for name, shape in plan.models.items()
        if seed in shape.seeds
    }
    missing = [key for key, file in files.items() if not store.is_intact(file)]
    more = {}
    if missing and photographs:
        more[PHOTOGRAPHS] = faces.load_faces("cmu", photographs)
    for wait in (False, True):
        for name, seed in tqdm(missing, desc="models", disable=not progress or wait):
            _make(plan, name, seed, files[name, seed], more, wait=wait, progress=progress)
    measured = collect(plan, {key: read_measured(file) for key, file in files.items()})
    return store.save(measured, path.with_name("measured.nc"))


def trained_model(plan: Plan, shape: Shape, seed: int, *, progress: bool = True) -> keras.Model:
    """Train a model of a shape on the plan's train people, or only initialise it (0 epochs)."""
    train, test = plan.train_and_test
    setup = training.Setup(filters=shape.filters, dense=shape.dense, epochs=shape.epochs)
    if shape.epochs == 0:
        image_shape, classes = train.images.shape[1:], len(train.class_names)
        return training.build_model(image_shape, classes, setup, seed=seed)
    return training.train(train, test, setup=setup, seed=seed, progress=progress).model


def measure(
    plan: Plan,
    model: keras.Model,
    maps_by_layer: dict[str, xr.Dataset],
    more: dict[str, LabelledImages],
    pruning: Sequence[float] = (),
) -> xr.Dataset:
    """Everything that is recorded of one model.

    Args:
        plan: the experiment.
        model: takes pixels 0..255.
        maps_by_layer: its maps, from `richness.optimize_maps`.
        more: further images to test it on, by name.
        pruning: shares of a convolution's units to switch off; none for no pruning.

    Returns:
        What `richness.measure_layers` and `richness.prune` return; `parameters`; over `image_set`
        ("train people", "test people", each style, and "photographs", NaN where they are not at
        hand) `accuracy` (0..1) and `balanced`, the mean over the classes of the share that is
        right, 0.5 by chance; `output_maps` (output, seed, height, width, channel), uint8; and
        `last_convolution_maps` (map, ...), of the last convolution's first units.
    """
    train, test = plan.train_and_test
    sets = {"train people": train, "test people": test} | plan.outside_sets | more
    layers = richness.mapped_layers(model)
    results = {name: evaluation.evaluate(model, images) for name, images in sets.items()}
    names = [*(name for name in sets if name != PHOTOGRAPHS), PHOTOGRAPHS]
    accuracy = [results[n].accuracy if n in results else np.nan for n in names]
    balanced = [_balanced(results[n].confusion) if n in results else np.nan for n in names]
    last = _display(maps_by_layer[layers[LAST_CONVOLUTION]]).isel(seed=0, unit=slice(KEPT_UNITS))
    parts = [
        richness.measure_layers(model, test, maps_by_layer),
        xr.Dataset(
            {
                "parameters": model.count_params(),
                "accuracy": ("image_set", accuracy),
                "balanced": ("image_set", balanced),
                "output_maps": _display(maps_by_layer[layers[OUTPUT]]).rename(unit="output"),
                "last_convolution_maps": last.rename(unit="map").drop_vars("seed"),
            },
            {"image_set": names},
        ),
    ]
    if pruning:
        few = _some(train, PRUNED_ON), _some(test, PRUNED_FOR)
        parts.append(richness.prune(model, *few, shares=pruning))
    return xr.merge(parts, join="outer", compat="override", combine_attrs="drop")


def collect(plan: Plan, measured: dict[tuple[str, int], xr.Dataset]) -> xr.Dataset:
    """Join the models' numbers over (model, run), and compare their output maps.

    Returns:
        What `measure` returns over (model, run), NaN where a model has no such layer or run;
        `last_convolution_maps` and `output_maps` of the first run and seed only. And over (model,
        run, comparison) `similarity_same` and `similarity_other`, from
        `between_models.output_similarity`.
    """
    rows = pd.MultiIndex.from_tuples(measured, names=["model", "run"])
    numbers = [
        each.drop_vars(("output_maps", "last_convolution_maps", "output", "seed"))
        for each in measured.values()
    ]
    joined = xr.concat(numbers, "row", join="outer", coords="minimal", compat="override")
    similarity = between_models.output_similarity(
        xr.concat([each["output_maps"] for each in measured.values()], "model"),
        [run for _, run in measured],
        [name == plan.reference for name, _ in measured],
    )
    joined = joined.assign(
        similarity.rename(model="row", same="similarity_same", other="similarity_other")
    )
    joined = joined.assign_coords(xr.Coordinates.from_pandas_multiindex(rows, "row")).unstack("row")
    first = [measured[name, shape.seeds[0]] for name, shape in plan.models.items()]
    models = pd.Index(plan.models, name="model")
    outputs = [each["output_maps"].isel(seed=0, drop=True) for each in first]
    joined["output_maps"] = xr.concat(outputs, models)
    joined["last_convolution_maps"] = xr.concat(
        [each["last_convolution_maps"] for each in first], models
    )
    layers = sorted(set(joined["layer"].values) - {LAST_CONVOLUTION, OUTPUT})
    joined = joined.sel(model=list(plan.models), layer=[*layers, LAST_CONVOLUTION, OUTPUT])
    joined = joined.transpose("model", "run", ...)
    shapes = {name: asdict(shape) for name, shape in plan.models.items()}
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return joined.assign_attrs(
        title=plan.title,
        reference=plan.reference,
        models=json.dumps(shapes),
        versions=versions,
        numerics=NUMERICS,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _make(plan, name, seed, file: Path, more, *, wait: bool, progress: bool) -> None:
    right = files.lock(file, wait=wait)
    if right is None:
        return
    try:
        if store.is_intact(file):
            return
        net_file = file.with_suffix(".keras")
        if not net_file.exists():
            net = trained_model(plan, plan.models[name], seed, progress=progress)
            with files.atomic_write(net_file) as part:
                net.save(part)
        net = models.load_model(net_file)
        maps_by_layer = _stored_maps(plan, net, file.with_name(f"{file.stem}-maps"), progress)
        pruning = plan.pruning if plan.models[name].epochs else ()
        store.save(measure(plan, net, maps_by_layer, more, pruning), file)
    finally:
        files.unlock(right)


def _stored_maps(plan: Plan, net: keras.Model, folder: Path, progress: bool) -> dict:
    layers = dict.fromkeys(richness.mapped_layers(net).values())
    files = {layer: folder / f"{layer}.nc" for layer in layers}
    if not all(store.is_intact(file) for file in files.values()):
        optimized = richness.optimize_maps(
            net, plan.train_and_test[1], plan.maps, progress=progress
        )
        for layer, maps_of_layer in optimized.items():
            store.save(maps_of_layer, files[layer])
    return {layer: store.load(file) for layer, file in files.items()}


def _some(whole: LabelledImages, count: int) -> LabelledImages:
    return whole[np.random.default_rng(0).permutation(len(whole))[:count]]


def _display(happy: xr.Dataset) -> xr.DataArray:
    return one_weight(as_grid(happy))["display"].drop_vars(("tv_weight", "lp_weight"))


def _balanced(confusion: np.ndarray) -> float:
    return float((np.diag(confusion) / confusion.sum(1)).mean())


def main(arguments: list[str] | None = None) -> int:
    """Run an experiment from the command line; 130 after an interrupt, as shells do."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.architectures", description=__doc__
    )
    parser.add_argument("experiment", type=Path, help="the experiment's TOML file")
    parser.add_argument("--photographs", type=Path, help="CMU Face Images to test on too")
    chosen = parser.parse_args(arguments)
    try:
        print(run(chosen.experiment, photographs=chosen.photographs))
    except KeyboardInterrupt:
        print("interrupted; what is measured stays, and the same command goes on", file=sys.stderr)
        return 130
    return 0
