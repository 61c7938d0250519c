"""What is measured: each round asks every tool for the same work, one after the other.

Every function yields records: flat dicts with `section`, what was asked, and what was answered.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import contenders, robust
from benchmarks.contenders import KERAS_VIS, OURS, TV_WEIGHT
from benchmarks.process import Worker

EXPERIMENT = Path(__file__).parent.parent / "experiments" / "experiment1"
TV_WEIGHTS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3)
SEEDS = (0, 1, 2)
KERAS = "keras"
"""Name of the worker that has Keras and TensorFlow alone."""
MODEL = "photos"
"""Name of the plan's own model in the tables."""


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        model: path of the model that most is measured on.
        tools: names in `contenders.TOOLS`.
        robust_tools: names in `robust.TOOLS`.
        layers: of the model; ours against keras-vis.
        deep_layer: of the model; ours against all tools, growth and panel.
        peers: MODEL or names in `zoo.BUILDERS`, and the layer and number of maps by which all tools
            are compared there; keras-vis, which optimizes one at a time, is asked for one.
        robust: names and layers of the comparison by the recipe of today.
        sampled_steps: of the two calls from which an optimization of these comparisons is
            predicted.
        steps: gradient steps of every optimization by keras-vis's recipe.
        robust_steps: of every optimization by the recipe of today.
        rounds: how often everything is asked.
        maps: maps of one comparison with keras-vis, units 0, 1, ...
        robust_maps: maps of one comparison by the recipe of today.
        maps_one_by_one: maps asked of keras-vis, which optimizes one at a time.
        growth_maps: numbers of maps.
        swept_pieces: numbers of pieces, of `maps` maps each, of the sweeps that are timed.
        processes: of the sweep by several.
        panel_maps: units that each panel process is moved to, the first of them cold.
        large: name in `zoo.BUILDERS`, layer and maps of the measurement of memory.
        heavy: name in `zoo.BUILDERS` of a model of many weights, which is opened.
    """

    model: str
    tools: tuple[str, ...]
    robust_tools: tuple[str, ...]
    layers: tuple[str, ...]
    deep_layer: str
    peers: dict[str, tuple[str, int]]
    robust: dict[str, str]
    large: tuple[str, str, int]
    heavy: str
    sampled_steps: tuple[int, int] = (3, 9)
    steps: int = 200
    robust_steps: int = 128
    rounds: int = 3
    maps: int = 16
    robust_maps: int = 8
    maps_one_by_one: int = 2
    growth_maps: tuple[int, ...] = (1, 16, 64)
    swept_pieces: tuple[int, int] = (2, 6)
    processes: int = 2
    panel_maps: int = 4


FULL = Plan(
    model=str(EXPERIMENT / "photos.keras"),
    tools=tuple(contenders.TOOLS),
    robust_tools=tuple(robust.TOOLS),
    layers=("conv2d_1", "conv2d_2", "conv2d_3", "dense_1"),
    deep_layer="conv2d_3",
    peers={
        MODEL: ("conv2d_3", 16),
        "efficientnet_lite0": ("top_activation", 4),
        "vgg16": ("block5_conv1", 4),
    },
    robust={MODEL: "conv2d_3", "efficientnet_lite0": "top_activation"},
    large=("vgg16_512", "block5_conv1", 16),
    heavy="vgg16",
)


def measure(plan: Plan, start: Callable[[str], Worker] = Worker) -> Iterator[dict]:
    """Measure everything; a record each.

    Args:
        plan: how much.
        start: starts a tool's worker.

    Raises:
        RuntimeError: a tool failed.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(start(tool)) for tool in plan.tools]
        for worker in workers:
            yield {"section": "about", "tool": worker.tool} | worker.ask("about")
        for section in (_mixed, _one_unit, _share, growth_in_maps, _workers, _peers):
            yield from section(plan, workers)
    with ExitStack() as stack:
        workers = [stack.enter_context(start(tool)) for tool in plan.robust_tools]
        yield from _robust(plan, workers)
    yield from _first(plan, start)
    yield from _panel(plan, start)
    yield from _large(plan, start)
    yield from _heavy(plan, start)


def _against_keras_vis(section, plan, workers, work: dict, one_by_one: dict) -> Iterator[dict]:
    """Ours once alone, with what it compiles, and then ours and keras-vis in turn, each layer."""
    both = [worker for worker in workers if worker.tool in (OURS, KERAS_VIS)]
    for layer in plan.layers:
        ours = _only(workers, OURS)
        answer = _optimize(ours, plan, plan.model, layer, **work)
        yield _record(f"{section}, first call", ours, answer, layer=layer)
        for index, worker in _rounds(plan, both):
            asked = work if worker.tool == OURS else one_by_one
            answer = _optimize(worker, plan, plan.model, layer, **asked)
            yield _record(section, worker, answer, layer=layer, round=index)


def _mixed(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """Maps of many units."""
    work, one_by_one = {"units": range(plan.maps)}, {"units": range(plan.maps_one_by_one)}
    yield from _against_keras_vis("mixed units", plan, workers, work, one_by_one)


def _one_unit(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """All weights and seeds of one unit; the time of keras-vis does not depend on them."""
    work = {"units": [1], "tv_weights": TV_WEIGHTS, "seeds": SEEDS}
    one_by_one = {"units": [1], "tv_weights": TV_WEIGHTS[:: len(TV_WEIGHTS) - 1]}
    yield from _against_keras_vis("one unit", plan, workers, work, one_by_one)


def _peers(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """The same maps of every tool, on models of all sizes."""
    maker = _only(workers, OURS)
    with tempfile.TemporaryDirectory() as folder:
        for name, (layer, maps) in plan.peers.items():
            path = _path(plan, maker, name, folder)
            for index, worker in _rounds(plan, workers):
                units = range(1 if worker.tool == KERAS_VIS else maps)
                answer = _predicted(worker, plan, plan.steps, path, layer, units, index)
                yield _record("peers", worker, answer, model=name, layer=layer, round=index)


def _robust(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """The same maps of every tool by the recipe of today."""
    maker = _only(workers, OURS)
    with tempfile.TemporaryDirectory() as folder:
        for name, layer in plan.robust.items():
            path = _path(plan, maker, name, folder)
            work = path, layer, range(plan.robust_maps)
            for index, worker in _rounds(plan, workers):
                answer = _predicted(worker, plan, plan.robust_steps, *work, index, "robust")
                yield _record("robust", worker, answer, model=name, layer=layer, round=index)


def _path(plan: Plan, maker: Worker, name: str, folder: str) -> str:
    return plan.model if name == MODEL else _built(maker, name, folder)


def _built(maker: Worker, name: str, folder: str) -> str:
    path = f"{folder}/{name}.keras"
    maker.ask("build", name=name, path=path)
    return path


def _predicted(
    worker: Worker,
    plan: Plan,
    steps: int,
    path: str,
    layer: str,
    units,
    index: int,
    recipe=KERAS_VIS,
) -> dict:
    """Seconds of an optimization from those of two shorter ones: what is not a step, and a step.

    In the first round both come after a call that is not counted, in which a tool compiles what it
    keeps.
    """
    few, more = plan.sampled_steps
    work = {"model": path, "layer": layer, "units": list(units), "recipe": recipe}
    ask = partial(worker.ask, "optimize", **work)
    if index == 0:
        ask(steps=1)
    short, long = ask(steps=few), ask(steps=more)
    per_step = max(0.0, (long["seconds"] - short["seconds"]) / (more - few))
    return long | {"seconds": long["seconds"] + (steps - more) * per_step, "per_step": per_step}


def _first(plan: Plan, start: Callable[[str], Worker]) -> Iterator[dict]:
    """The first map of a process that has imported everything and loaded the model."""
    for index in range(plan.rounds):
        for tool in (OURS, KERAS_VIS)[:: -1 if index % 2 else 1]:
            with start(tool) as worker:
                opened = worker.ask("opening", model=plan.model)
                answer = _optimize(worker, plan, plan.model, plan.deep_layer, range(1))
                yield _record("first", worker, answer | opened, round=index)


def _large(plan: Plan, start: Callable[[str], Worker]) -> Iterator[dict]:
    """Memory of a process that makes maps of large images."""
    name, layer, maps = plan.large
    with tempfile.TemporaryDirectory() as folder:
        with start(OURS) as maker:
            path = _built(maker, name, folder)
        with start(OURS) as worker:
            answer = _optimize(worker, replace(plan, steps=1), path, layer, range(maps))
            yield _record("large", worker, answer, model=name)


def _heavy(plan: Plan, start: Callable[[str], Worker]) -> Iterator[dict]:
    """How long importing and opening a model of many weights takes, by us and by Keras alone."""
    with tempfile.TemporaryDirectory() as folder:
        with start(OURS) as maker:
            path = _built(maker, plan.heavy, folder)
        for index in range(plan.rounds):
            for tool in (OURS, KERAS)[:: -1 if index % 2 else 1]:
                with start(tool) as worker:
                    answer = worker.ask("checking", model=path)
                    yield _record("heavy", worker, answer, model=plan.heavy, round=index)


def _share(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """Ours, once compiled, beside the convolutions alone, both in one process."""
    ours = _only(workers, OURS)
    for layer in plan.layers:
        _optimize(ours, plan, plan.model, layer, range(plan.maps))
        for index in range(plan.rounds):
            answer = _optimize(ours, plan, plan.model, layer, range(plan.maps))
            alone = ours.ask(
                "convolutions",
                model=plan.model,
                layer=layer,
                batch=plan.maps,
                repeats=max(1, plan.steps // 4),
            )
            answer["convolutions"] = alone["seconds"] * plan.steps
            answer["gflops"] = alone["flops"] / alone["seconds"] / 1e9
            yield _record("share", ours, answer, layer=layer, round=index)


def growth_in_maps(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """Ours: time and memory of more and more maps of one layer."""
    ours = _only(workers, OURS)
    all_units = ours.ask("layers", model=plan.model)["units"][plan.deep_layer]
    for count in plan.growth_maps:
        units = range(min(count, all_units))
        seeds = range(count // len(units))
        answer = _optimize(ours, plan, plan.model, plan.deep_layer, units, seeds=seeds)
        yield _record("growth in maps", ours, answer)


def _workers(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """A sweep in one process and by one process for each core: two lengths, so that the start-up
    of the processes can be told from the work."""
    ours = _only(workers, OURS)
    for index, count in enumerate(plan.swept_pieces):
        for processes in (1, plan.processes)[:: -1 if index % 2 else 1]:
            answer = ours.ask(
                "sweep",
                model=plan.model,
                layer=plan.deep_layer,
                units=plan.maps,
                seeds=count,
                steps=plan.steps,
                workers=processes,
            )
            yield _record("workers", ours, answer, pieces=count, processes=processes)


def _panel(plan: Plan, start: Callable[[str], Worker]) -> Iterator[dict]:
    """Move the panel of a fresh process from unit to unit; the first map is cold."""
    for index in range(plan.rounds):
        for tool in (OURS, KERAS_VIS)[:: -1 if index % 2 else 1]:
            with start(tool) as worker:
                for unit in range(1, plan.panel_maps + 1):  # a new panel stands at unit 0
                    answer = worker.ask(
                        "panel",
                        model=plan.model,
                        layer=plan.deep_layer,
                        unit=unit,
                        steps=plan.steps,
                    )
                    state = "warm" if unit > 1 else "cold"
                    yield _record("panel", worker, answer, state=state, round=index)


def _rounds(plan: Plan, workers: Sequence[Worker]) -> Iterator[tuple[int, Worker]]:
    """Every worker in every round; the order turns round, so that drift hits all alike."""
    for index in range(plan.rounds):
        yield from ((index, worker) for worker in workers[:: -1 if index % 2 else 1])


def _optimize(worker, plan, model, layer, units, tv_weights=(TV_WEIGHT,), seeds=SEEDS[:1]) -> dict:
    return worker.ask(
        "optimize",
        model=model,
        layer=layer,
        units=list(units),
        tv_weights=list(tv_weights),
        seeds=list(seeds),
        steps=plan.steps,
    )


def _record(section: str, worker: Worker, answer: dict, **asked) -> dict:
    return {"section": section, "tool": worker.tool} | asked | answer


def _only(workers: Sequence[Worker], tool: str) -> Worker:
    return next(worker for worker in workers if worker.tool == tool)
