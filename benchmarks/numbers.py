"""Records of a run -> rates, ratios and targets."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contenders import KERAS_VIS, OURS
from benchmarks.measure import SEEDS, TV_WEIGHTS, Plan

Record = dict


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


def over_keras_vis(records: Sequence[Record], section: str) -> dict[str, tuple[float, ...]]:
    """Our rate over that of keras-vis in the same round, by layer."""
    by_cell = rates(records, section, "layer")
    return {
        layer: ratios(values, by_cell[KERAS_VIS, layer])
        for (tool, layer), values in by_cell.items()
        if tool == OURS
    }


def over_best_other(
    records: Sequence[Record], section: str = "peers"
) -> dict[tuple[str, str], list[float]]:
    """Our rate over the best of the others' in the same round, by model and layer."""
    by_cell = rates(records, section, "model", "layer")
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
    result = []
    for layer, values in over_keras_vis(records, "mixed units").items():
        result.append(Target("mixed units, times keras-vis", 4, values, where=layer))
    for layer, values in over_keras_vis(records, "one unit").items():
        bound = 10 if layer == plan.layers[0] else 5
        claim = f"one unit, {len(TV_WEIGHTS)} TV weights, {len(SEEDS)} seeds, times keras-vis"
        result.append(Target(claim, bound, values, where=layer))
    for layer, values in shares(records).items():
        result.append(Target("share of the convolutions' rate", 0.8, tuple(values), where=layer))
    for section, words, bound in (
        ("peers", "keras-vis's recipe, times the best other tool", 1.5),
        ("robust", "the robust recipe, times the best other tool", 2),
    ):
        for cell, values in over_best_other(records, section).items():
            result.append(Target(words, bound, tuple(values), where=" ".join(cell)))
    for moment, words, bound in (("finished", "finished map", 0.4), ("first", "first image", 0.1)):
        seconds = (
            panel_seconds(records, OURS, "warm", moment),
            panel_seconds(records, KERAS_VIS, "warm", "finished"),
        )
        claim = f"warm panel: {words}, of the time of keras-vis's map"
        result.append(Target(claim, bound, ratios(*seconds), at_least=False))
    first = (values_of(records, "first", tool, "seconds") for tool in (OURS, KERAS_VIS))
    claim = "first map of a process, of keras-vis's time"
    result.append(Target(claim, 1, ratios(*first), at_least=False))
    peak = [mb / 1024 for mb in values_of(records, "large", OURS, "peak_mb")]
    name, _, maps = plan.large
    claim = f"peak memory, {maps} maps, GiB"
    result.append(Target(claim, 3, tuple(peak), at_least=False, where=name))
    return result


def values_of(records: Iterable[Record], section: str, tool: str, key: str) -> list[float]:
    """One value of each record of a section and tool."""
    mine = (r for r in records if (r["section"], r["tool"]) == (section, tool))
    return [record[key] for record in mine]


def ratios(above: Iterable[float], below: Iterable[float]) -> tuple[float, ...]:
    """Divide round by round."""
    return tuple(a / b for a, b in zip(above, below, strict=True))


def spread(values: Sequence[float]) -> str:
    """Median and range, to three digits."""
    low, high = min(values), max(values)
    return f"{median(values):.3g} ({low:.3g} to {high:.3g})"
