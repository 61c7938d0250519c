"""What is measured: each round asks every tool for the same work, one after the other.

Every function yields records: flat dicts with `section`, what was asked, and what was answered.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.contenders import KERAS_VIS, OURS, TOOLS
from benchmarks.process import Worker

EXPERIMENT = Path(__file__).parent.parent / "experiments" / "experiment1"
TV_WEIGHTS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3)
SEEDS = (0, 1, 2)
TV_WEIGHT = 1e-2


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        models: name and path; the first is used where one model is enough.
        tools: names in `contenders.TOOLS`.
        peer_layers: layers on which all tools are compared, for each model.
        deep_layer: the layer for growth and panel.
        share_layers: layers whose share of the convolution rate is taken.
        steps: gradient steps of every optimization.
        rounds: how often everything is asked.
        maps: maps of one comparison, units 0, 1, ...
        maps_one_by_one: maps asked of keras-vis, which optimizes one at a time.
        batch: maps, and images of the convolutions, of the share.
        growth_maps: numbers of maps.
        growth_sizes: sides of the image, pixels.
        longest: seconds; no growth is followed beyond an optimization predicted to take longer.
        panel_maps: units that each panel process is moved to, the first of them cold.
    """

    models: dict[str, str]
    tools: tuple[str, ...]
    peer_layers: dict[str, tuple[str, ...]]
    deep_layer: str
    share_layers: tuple[str, ...]
    steps: int = 200
    rounds: int = 3
    maps: int = 16
    maps_one_by_one: int = 2
    batch: int = 32
    growth_maps: tuple[int, ...] = (1, 4, 16, 64, 256)
    growth_sizes: tuple[int, ...] = (32, 64, 128)
    longest: float = 15.0
    panel_maps: int = 4

    @property
    def model(self) -> str:
        """Path of the first model."""
        return next(iter(self.models.values()))


FULL = Plan(
    models={name: str(EXPERIMENT / f"{name}.keras") for name in ("rendered", "photos")},
    tools=tuple(TOOLS),
    peer_layers={
        "rendered": ("conv2d_1", "conv2d_2", "conv2d_3", "dense_1"),
        "photos": ("conv2d_3",),
    },
    deep_layer="conv2d_3",
    share_layers=("conv2d_1", "conv2d_2", "conv2d_3", "dense_1"),
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
        yield from _first_calls(plan, workers)
        for section in (_peers, _share, growth_in_maps, _growth_in_size, _grid):
            yield from section(plan, workers)
    yield from _panel(plan, start)


def _first_calls(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """The first optimization of a process, with what it imports and compiles: in no rate."""
    for worker in workers:
        answer = _optimize(worker, plan, plan.model, plan.deep_layer, range(1))
        yield {"section": "first", "tool": worker.tool} | answer


def _peers(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """The same maps of every tool; before the rounds ours once alone, with what it compiles."""
    for model, layer_names in plan.peer_layers.items():
        for layer in layer_names:
            ours, path = _only(workers, OURS), plan.models[model]
            answer = _optimize(ours, plan, path, layer, range(plan.maps))
            yield {"section": "peers, first call", "model": model, "layer": layer} | answer
            for index, worker in _rounds(plan, workers):
                count = plan.maps_one_by_one if worker.tool == KERAS_VIS else plan.maps
                answer = _optimize(worker, plan, path, layer, range(count))
                yield _record("peers", worker, answer, model=model, layer=layer, round=index)


def _share(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """Ours, once compiled, beside the convolutions alone, both in one process."""
    ours = _only(workers, OURS)
    for layer in plan.share_layers:
        _optimize(ours, plan, plan.model, layer, range(plan.batch))
        for index in range(plan.rounds):
            answer = _optimize(ours, plan, plan.model, layer, range(plan.batch))
            alone = ours.ask(
                "convolutions",
                model=plan.model,
                layer=layer,
                batch=plan.batch,
                repeats=max(1, plan.steps // 4),
            )
            answer["convolutions"] = alone["seconds"] * plan.steps
            answer["gflops"] = alone["flops"] / alone["seconds"] / 1e9
            yield _record("share", ours, answer, layer=layer, round=index)


def growth_in_maps(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """Time more and more maps of one layer, until a tool would take too long."""
    all_units = _only(workers, OURS).ask("layers", model=plan.model)["units"][plan.deep_layer]
    for worker in workers:
        per_map = 0.0
        for count in plan.growth_maps:
            if per_map * count > plan.longest:
                break
            units = range(min(count, all_units))
            seeds = range(count // len(units))
            answers = _first_and_next(worker, plan, plan.model, units, seeds)
            for tool, answer in answers.items():
                yield {"section": "growth in maps", "tool": tool} | answer
            per_map = answers[worker.tool]["seconds"] / count


def _growth_in_size(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    maker = _only(workers, OURS)
    with tempfile.TemporaryDirectory() as folder:
        for size in plan.growth_sizes:
            model = f"{folder}/{size}.keras"
            maker.ask("resize", model=plan.model, size=size, path=model)
            for worker in workers:
                count = plan.maps_one_by_one if worker.tool == KERAS_VIS else plan.maps // 2
                for tool, answer in _first_and_next(worker, plan, model, range(count)).items():
                    yield {"section": "growth in size", "tool": tool, "size": size} | answer


def _grid(plan: Plan, workers: Sequence[Worker]) -> Iterator[dict]:
    """A sample of every layer's part of the grid: all weights and seeds of two units for ours.

    keras-vis, whose time does not depend on weights, makes `maps_one_by_one` others per round.
    Round 0 is ours alone: what it takes more than the others is compilation.
    """
    ours, reference = _only(workers, OURS), _only(workers, KERAS_VIS)
    for model, path in plan.models.items():
        for layer, units in ours.ask("layers", model=path)["units"].items():
            about = {"model": model, "layer": layer, "units": units}
            two = sorted({0, units - 1})
            for index in range(plan.rounds + 1):
                answer = _optimize(ours, plan, path, layer, two, TV_WEIGHTS, SEEDS)
                yield _record("grid", ours, answer, round=index, **about)
                if index == 0:
                    continue
                weights = TV_WEIGHTS[index :: len(TV_WEIGHTS) // plan.maps_one_by_one]
                unit = index * units // (plan.rounds + 1)
                chosen = weights[: plan.maps_one_by_one]
                answer = _optimize(reference, plan, path, layer, [unit], chosen, SEEDS[:1])
                yield _record("grid", reference, answer, round=index, **about)


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


def _first_and_next(worker, plan, model, units, seeds=SEEDS[:1]) -> dict[str, dict]:
    """Answers by the tool's name; ours is asked twice, as it compiles for each shape it meets."""
    ask = partial(_optimize, worker, plan, model, plan.deep_layer, units, seeds=seeds)
    first = {f"{OURS}, first call": ask()} if worker.tool == OURS else {}
    return {worker.tool: ask()} | first


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
