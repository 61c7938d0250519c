"""Records of a run -> rates, ratios and targets."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contenders import KERAS_VIS, OURS
from benchmarks.measure import SEEDS, TV_WEIGHTS, Plan

Record = dict
DEEP = ("conv2d_3", "dense_1")


@dataclass(frozen=True)
class Target:
    """A number that was promised, and what was measured.

    Attributes:
        claim: what, in words.
        bound: the number to reach.
        values: one each round, or each cell.
        at_least: False where the bound is not to be passed.
        where: which cell it was, where the worst of several counts.
    """

    claim: str
    bound: float
    values: tuple[float, ...]
    at_least: bool = True
    where: str = ""

    @property
    def value(self) -> float:
        """Median over the rounds."""
        return median(self.values)

    @property
    def is_met(self) -> bool:
        """Whether the median reaches the bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def rates(records: Iterable[Record], section: str, *keys: str) -> dict[tuple, list[float]]:
    """Maps per second of each round, by tool and then by `keys`."""
    by_cell = defaultdict(list)
    for record in records:
        if record["section"] == section:
            cell = (record["tool"], *(record[key] for key in keys))
            by_cell[cell].append(record["maps"] / record["seconds"])
    return dict(by_cell)


def grid_seconds(records: Sequence[Record], tool: str, model: str) -> list[float]:
    """Seconds for the whole grid, one number per round, from the sample of every layer.

    A layer's maps at the rate of its sample in that round; for ours also what round 0 took more
    than the others: compiling, once per layer.
    """
    mine = [
        record
        for record in records
        if record["section"] == "grid" and (record["tool"], record["model"]) == (tool, model)
    ]
    totals = defaultdict(float)
    for layer in {record["layer"] for record in mine}:
        rounds = {record["round"]: record for record in mine if record["layer"] == layer}
        first = rounds.pop(0, None)
        usual = median(record["seconds"] for record in rounds.values())
        compiling = max(0.0, first["seconds"] - usual) if first else 0.0
        for index, record in rounds.items():
            maps = record["units"] * len(TV_WEIGHTS) * len(SEEDS)
            totals[index] += maps * record["seconds"] / record["maps"] + compiling
    return [totals[index] for index in sorted(totals)]


def grid_maps(records: Sequence[Record], model: str) -> int:
    """How many maps the whole grid has."""
    units = {
        record["layer"]: record["units"]
        for record in records
        if record["section"] == "grid" and record["model"] == model
    }
    return sum(units.values()) * len(TV_WEIGHTS) * len(SEEDS)


def over_best_other(records: Sequence[Record]) -> dict[tuple[str, str], list[float]]:
    """Our rate over the best of the others' in the same round, by model and layer."""
    by_cell = rates(records, "peers", "model", "layer")
    cells = {cell[1:] for cell in by_cell}
    others = {cell[0] for cell in by_cell} - {OURS}
    return {
        cell: [
            ours / max(by_cell[tool, *cell][index] for tool in others)
            for index, ours in enumerate(by_cell[OURS, *cell])
        ]
        for cell in sorted(cells)
    }


def shares(records: Iterable[Record]) -> dict[str, list[float]]:
    """Time of the convolutions alone over ours, by layer."""
    by_cell = defaultdict(list)
    for record in records:
        if record["section"] == "share":
            by_cell[record["layer"]].append(record["convolutions"] / record["seconds"])
    return dict(by_cell)


def panel_seconds(records: Iterable[Record], tool: str, state: str, moment: str) -> list[float]:
    """Seconds until `moment` ("first" or "finished"), median of each round's process."""
    by_cell = defaultdict(list)
    for record in records:
        if record["section"] == "panel" and (record["tool"], record["state"]) == (tool, state):
            by_cell[record["round"]].append(record[moment])
    return [median(by_cell[index]) for index in sorted(by_cell)]


def targets(plan: Plan, records: Sequence[Record]) -> list[Target]:
    """Judge what was promised."""
    result = [
        Target(
            f"the whole grid on the {model} model, times as fast as keras-vis",
            10,
            ratios(*(grid_seconds(records, tool, model) for tool in (KERAS_VIS, OURS))),
        )
        for model in plan.models
    ]
    cell, values = min(over_best_other(records).items(), key=lambda item: median(item[1]))
    result.append(
        Target(
            "times the best other tool's maps per second", 2, tuple(values), where=" ".join(cell)
        )
    )
    deep = {layer: values for layer, values in shares(records).items() if layer in DEEP}
    layer, values = min((deep or shares(records)).items(), key=lambda item: median(item[1]))
    result.append(
        Target("share of the convolution rate on the deep layers", 0.5, tuple(values), where=layer)
    )
    for state in ("warm", "cold"):
        for moment, words in (("finished", "the finished map"), ("first", "the first image")):
            seconds = (panel_seconds(records, tool, state, moment) for tool in (OURS, KERAS_VIS))
            claim = f"{state} panel: time to {words}, of keras-vis's time"
            result.append(Target(claim, 0.3, ratios(*seconds), at_least=False))
    return result


def ratios(above: Iterable[float], below: Iterable[float]) -> tuple[float, ...]:
    """Divide round by round."""
    return tuple(a / b for a, b in zip(above, below, strict=True))


def spread(values: Sequence[float]) -> str:
    """Median and range, to three digits."""
    low, high = min(values), max(values)
    return f"{median(values):.3g} ({low:.3g} to {high:.3g})"
