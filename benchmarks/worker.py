"""One tool in a process of its own: reads requests from stdin, answers on stdout, a JSON per line.

`python -m benchmarks.worker TOOL`. A request is `{"do": NAME, ...}` with a name in `ANSWERS`; the
answer has `seconds` and such, or `error`.
"""

import importlib.metadata
import json
import math
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import TextIO

from benchmarks import contenders, robust

RECIPES = {"keras-vis": contenders.TOOLS, "robust": robust.TOOLS}
PACKAGES = ("tensorflow", "keras", "numpy", "keras-vis", "tf-keras-vis", "xplique")


def about(tool: str) -> dict:
    """Versions of the libraries here, the devices TensorFlow found and its threads."""
    import tensorflow as tf

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {"versions": versions, "gpus": gpus, "peak_mb": _peak_mb()}


def optimize(tool: str, model: str, recipe: str = "keras-vis", **work) -> dict:
    """Time an optimization (seconds, the model loaded before) and check that every map is there."""
    loaded = _load(model)
    run = RECIPES[recipe][tool]
    began = time.perf_counter()
    images = run(loaded, **work)
    seconds = time.perf_counter() - began
    count = math.prod(len(value) for value in work.values() if isinstance(value, list))
    expected = (count, *loaded.input_shape[1:])
    if images.shape != expected:
        raise ValueError(f"{tool} must return images {expected}, got {images.shape}")
    return {"seconds": seconds, "maps": count, "peak_mb": _peak_mb()}


def panel(tool: str, model: str, layer: str, unit: int, steps: int) -> dict:
    """Move the panel to a unit: seconds until its first image, and until its map is done."""
    view = _panel(model, layer, steps, {contenders.OURS: "batched"}.get(tool, tool))
    times = []
    began = time.perf_counter()
    watch = lambda _: times.append(time.perf_counter() - began)  # noqa: E731
    view.image.observe(watch, "png")
    view.controls.unit.value = unit
    view.wait()
    done = time.perf_counter() - began
    view.image.unobserve(watch, "png")
    if view.status.is_error:
        raise ValueError(view.status.text)
    return {"first": times[0], "finished": done, "peak_mb": _peak_mb()}


def convolutions(tool: str, model: str, layer: str, batch: int, repeats: int) -> dict:
    """Time the convolutions alone; see `benchmarks.convolutions`."""
    from benchmarks.convolutions import step_time

    return step_time(_load(model), layer, batch, repeats)


def layers(tool: str, model: str) -> dict:
    """Units of every convolution and dense layer."""
    from helpers.models import layers as model_layers

    weighted = ("Conv2D", "Dense")
    infos = model_layers(_load(model))
    return {"units": {info.name: info.units for info in infos if info.kind in weighted}}


def opening(tool: str, model: str) -> dict:
    """Seconds for importing `helpers.maps` (or what else the tool needs) and loading a model."""
    began = time.perf_counter()
    if tool == contenders.OURS:
        import helpers.maps
    elif tool == contenders.KERAS_VIS:
        import helpers.maps.keras_vis  # noqa: F401
    imported = time.perf_counter()
    _load(model)
    return {"import": imported - began, "load": time.perf_counter() - imported}


def build(tool: str, name: str, path: str) -> dict:
    """Save a model of `benchmarks.zoo`."""
    from benchmarks.zoo import BUILDERS

    BUILDERS[name]().save(path)
    return {}


def checking(tool: str, model: str) -> dict:
    """Seconds for importing Keras or `helpers.maps`, and for opening a model as it opens one.

    Ours checks what it loads, and names its weights by their digest, once.
    """
    began = time.perf_counter()
    if tool == contenders.OURS:
        from helpers.maps.targets import checked_model as load
    else:
        import keras

        load = partial(keras.models.load_model, compile=False)
    imported = time.perf_counter()
    load(model)
    return {"import": imported - began, "load": time.perf_counter() - imported}


def sweep(
    tool: str, model: str, layer: str, units: int, seeds: int, steps: int, workers: int
) -> dict:
    """Time a sweep that stores its maps, a piece for each seed."""
    from helpers import maps
    from helpers.sweeps.pieces import Piece, split
    from helpers.sweeps.runner import optimize_missing

    loaded = _load(model)
    spec = maps.make_spec(
        loaded,
        layer,
        range(units),
        tv_weights=contenders.TV_WEIGHT,
        seeds=range(seeds),
        steps=steps,
        preprocessing="0..255",
    )
    with tempfile.TemporaryDirectory() as folder:
        parts = split(loaded, spec, "seed").items()
        pieces = [Piece(loaded, part, Path(folder) / f"{name}.nc") for name, part in parts]
        began = time.perf_counter()
        optimize_missing(pieces, workers=workers, progress=False)
        return {"seconds": time.perf_counter() - began, "maps": units * seeds}


ANSWERS = {
    answer.__name__: answer
    for answer in (about, optimize, panel, convolutions, layers, opening, checking, sweep, build)
}


def answer(tool: str, request: dict) -> dict:
    """Do what a request says; an exception becomes `{"error": its traceback}`."""
    try:
        do = ANSWERS[request["do"]]
        return do(tool, **{key: value for key, value in request.items() if key != "do"})
    except Exception:
        return {"error": traceback.format_exc()}


def serve(requests: Iterable[str], answers: TextIO, handle: Callable[[dict], dict]) -> None:
    """Answer request after request until there are no more."""
    for line in requests:
        print(json.dumps(handle(json.loads(line))), file=answers, flush=True)


@cache
def _load(model: str):
    import keras

    return keras.models.load_model(model, compile=False)


@cache
def _panel(model: str, layer: str, steps: int, engine: str):
    from helpers.panel import Panel

    return Panel(_load(model), layer=layer, steps=steps, engine=engine)


def _peak_mb() -> float:
    """The most memory this process has held so far, MiB."""
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    real_stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    serve(sys.stdin, real_stdout, partial(answer, sys.argv[1]))
