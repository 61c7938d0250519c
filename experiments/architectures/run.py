"""Experiments on nets of other shapes: declared in TOML, trained, measured, kept as numbers.

`python -m experiments.architectures experiments/experiment4/experiment.toml` trains and measures
whatever net is not measured yet (one small file each, in `results` beside the TOML file), and
writes `measured.nc` from all of them. The nets themselves are not kept.
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

from experiments.architectures import between_nets, richness
from experiments.architectures.plans import NetShape, Plan
from experiments.architectures.richness import LAST_CONVOLUTION, OUTPUT
from helpers import faces, files, models
from helpers.faces import evaluation, training
from helpers.faces.dataset import Faces
from helpers.maps.provenance import NUMERICS
from helpers.sweeps import store

PHOTOGRAPHS = "photographs"
SHOWN_UNITS = 4
PRUNED_ON, PRUNED_FOR = 100, 200
"""About so many images of known people decide the order in which units are switched off, and so
many of unseen people tell what it costs."""
PACKAGES = ("keras", "tensorflow", "numpy")


def run(path: str | Path, *, photographs: str | Path | None = None, progress: bool = True) -> Path:
    """Train and measure every net that is not measured yet, and write `measured.nc`.

    Several processes may run the same experiment: each takes nets that no other is at. A net's
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
        for seed in sorted({seed for shape in plan.nets.values() for seed in shape.seeds})
        for name, shape in plan.nets.items()
        if seed in shape.seeds
    }
    missing = [key for key, file in files.items() if not store.is_whole(file)]
    more = {}
    if missing and photographs:
        more[PHOTOGRAPHS] = faces.load_faces("cmu", photographs)
    for wait in (False, True):
        for name, seed in tqdm(missing, desc="nets", disable=not progress or wait):
            _make(plan, name, seed, files[name, seed], more, wait=wait, progress=progress)
    measured = collect(plan, {key: store.load(file) for key, file in files.items()})
    return store.save(measured, path.with_name("measured.nc"))


def trained_net(plan: Plan, shape: NetShape, seed: int, *, progress: bool = True) -> keras.Model:
    """Train a net of a shape on the plan's known people, or only initialise it (0 epochs)."""
    known, unseen = plan.known_and_unseen
    setup = training.Setup(filters=shape.filters, dense=shape.dense, epochs=shape.epochs)
    if shape.epochs == 0:
        shape_of_images, classes = known.images.shape[1:], len(known.class_names)
        return training.build_model(shape_of_images, classes, setup, seed=seed)
    return training.train(known, unseen, setup=setup, seed=seed, progress=progress).model


def measure(
    plan: Plan,
    net: keras.Model,
    searched: dict[str, xr.Dataset],
    more: dict[str, Faces],
    pruning: Sequence[float] = (),
) -> xr.Dataset:
    """Everything that is recorded of one net.

    Args:
        plan: the experiment.
        net: takes pixels 0..255.
        searched: its maps, from `richness.search`.
        more: further faces to test it on, by name.
        pruning: shares of a convolution's units to switch off; none for no pruning.

    Returns:
        What `richness.of_net` and `richness.pruned` return; `parameters`; over `faces` ("known
        people", "unseen people", each style, and "photographs", NaN where they are not at hand)
        `accuracy` (0..1) and `balanced`, the mean over the classes of the share that is right, 0.5
        by chance; `output_maps` (output, seed, height, width, channel), uint8; and `shown`
        (picture, ...), maps of the last convolution's first units.
    """
    known, unseen = plan.known_and_unseen
    sets = {"known people": known, "unseen people": unseen} | plan.outside_sets | more
    layers = richness.mapped_layers(net)
    results = {name: evaluation.evaluate(net, one) for name, one in sets.items()}
    names = [*(name for name in sets if name != PHOTOGRAPHS), PHOTOGRAPHS]
    accuracy = [results[n].accuracy if n in results else np.nan for n in names]
    balanced = [_balanced(results[n].confusion) if n in results else np.nan for n in names]
    shown = _display(searched[layers[LAST_CONVOLUTION]]).isel(seed=0, unit=slice(SHOWN_UNITS))
    parts = [
        richness.of_net(net, unseen, searched),
        xr.Dataset(
            {
                "parameters": net.count_params(),
                "accuracy": ("faces", accuracy),
                "balanced": ("faces", balanced),
                "output_maps": _display(searched[layers[OUTPUT]]).rename(unit="output"),
                "shown": shown.rename(unit="picture").drop_vars("seed"),
            },
            {"faces": names},
        ),
    ]
    if pruning:
        few = _some(known, PRUNED_ON), _some(unseen, PRUNED_FOR)
        parts.append(richness.pruned(net, *few, shares=pruning))
    return xr.merge(parts, join="outer", compat="override", combine_attrs="drop")


def collect(plan: Plan, measured: dict[tuple[str, int], xr.Dataset]) -> xr.Dataset:
    """Join the nets' numbers over (net, training), and compare their output maps.

    Returns:
        What `measure` returns over (net, training), NaN where a net has no such layer or training;
        `shown` and `output_maps` of the first training and seed only. And over (net, training,
        comparison) `alike_same` and `alike_other`, from `between_nets.output_likeness`.
    """
    row = pd.MultiIndex.from_tuples(measured, names=["net", "training"])
    numbers = [
        one.drop_vars(("output_maps", "shown", "output", "seed")) for one in measured.values()
    ]
    joined = xr.concat(numbers, "row", join="outer", coords="minimal", compat="override")
    alike = between_nets.output_likeness(
        xr.concat([one["output_maps"] for one in measured.values()], "net"),
        [seed for _, seed in measured],
        [name == plan.reference for name, _ in measured],
    )
    joined = joined.assign(alike.rename(net="row", same="alike_same", other="alike_other"))
    joined = joined.assign_coords(xr.Coordinates.from_pandas_multiindex(row, "row")).unstack("row")
    first = [measured[name, shape.seeds[0]] for name, shape in plan.nets.items()]
    outputs = [one["output_maps"].isel(seed=0, drop=True) for one in first]
    joined["output_maps"] = xr.concat(outputs, pd.Index(plan.nets, name="net"))
    joined["shown"] = xr.concat([one["shown"] for one in first], pd.Index(plan.nets, name="net"))
    layers = sorted(set(joined["layer"].values) - {LAST_CONVOLUTION, OUTPUT})
    joined = joined.sel(net=list(plan.nets), layer=[*layers, LAST_CONVOLUTION, OUTPUT])
    joined = joined.transpose("net", "training", ...)
    shapes = {name: asdict(shape) for name, shape in plan.nets.items()}
    versions = ", ".join(f"{one} {importlib.metadata.version(one)}" for one in PACKAGES)
    return joined.assign_attrs(
        title=plan.title,
        reference=plan.reference,
        nets=json.dumps(shapes),
        versions=versions,
        numerics=NUMERICS,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _make(plan, name, seed, file: Path, more, *, wait: bool, progress: bool) -> None:
    right = files.claim(file, wait=wait)
    if right is None:
        return
    try:
        if store.is_whole(file):
            return
        net_file = file.with_suffix(".keras")
        if not net_file.exists():
            net = trained_net(plan, plan.nets[name], seed, progress=progress)
            with files.whole_file(net_file) as part:
                net.save(part)
        net = models.load_model(net_file)
        searched = _stored_maps(plan, net, file.with_name(f"{file.stem}-maps"), progress)
        pruning = plan.pruning if plan.nets[name].epochs else ()
        store.save(measure(plan, net, searched, more, pruning), file)
    finally:
        files.release(right)


def _stored_maps(plan: Plan, net: keras.Model, folder: Path, progress: bool) -> dict:
    layers = dict.fromkeys(richness.mapped_layers(net).values())
    files = {layer: folder / f"{layer}.nc" for layer in layers}
    if not all(store.is_whole(file) for file in files.values()):
        searched = richness.search(net, plan.known_and_unseen[1], plan.maps, progress=progress)
        for layer, maps_of_layer in searched.items():
            store.save(maps_of_layer, files[layer])
    return {layer: store.load(file) for layer, file in files.items()}


def _some(whole: Faces, count: int) -> Faces:
    return whole[np.random.default_rng(0).permutation(len(whole))[:count]]


def _display(happy: xr.Dataset) -> xr.DataArray:
    return happy["display"].squeeze(["tv_weight", "lp_weight"], drop=True)


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
