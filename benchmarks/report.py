"""The Markdown report of a run."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks import numbers
from benchmarks.contenders import KERAS_VIS, NOTES, OURS
from benchmarks.measure import SEEDS, TV_WEIGHTS, Plan
from benchmarks.numbers import Record, spread


def markdown(plan: Plan, records: Sequence[Record], machine: dict[str, str], date: str) -> str:
    """Write the report."""
    about = {record["tool"]: record for record in records if record["section"] == "about"}
    parts = [
        f"# Benchmark, {date}",
        _machine(machine, about),
        _work(plan),
        "## Targets",
        table(
            ("target", "to reach", "measured: median (range)", "worst at", ""),
            [
                (
                    one.claim,
                    f"{'at least' if one.at_least else 'at most'} {one.bound:g}",
                    spread(one.values),
                    one.where,
                    "met" if one.is_met else "**missed**",
                )
                for one in numbers.targets(plan, records)
            ],
        ),
        "## Maps per second, and how many times the other tools' rate ours is",
        _rate_table(plan, records),
        "## The whole grid",
        _grid_table(plan, records),
        "## Share of the convolution rate",
        "The convolutions alone (forward and input gradient, no bias, activation or pooling, the"
        f" same shapes, batches of {plan.batch}) against an optimization of {plan.batch} maps.",
        _share_table(records),
        "## How time grows",
        f"On {plan.deep_layer}. Ours compiles for each shape it meets: its first call shows that.",
        _growth_table(records, "growth in maps", "maps", "Seconds for so many maps"),
        _growth_table(
            records, "growth in size", "size", "Seconds per map, by the image's side in pixels",
        ),
        "## One map in the panel",
        _panel_table(records),
        "## Memory",
        _memory_table(plan, records),
        "## What is not equal",
        "\n".join(f"- **{tool}**: {NOTES[tool]}" for tool in plan.tools),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _machine(machine: dict[str, str], about: dict[str, Record]) -> str:
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    for tool, record in about.items():
        versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        gpus = ", ".join(record["gpus"]) or "none found by TensorFlow"
        lines.append(f"- {tool} ran with {versions}; GPU: {gpus}")
    return "\n".join(lines)


def _work(plan: Plan) -> str:
    return (
        f"Every optimization: {plan.steps} steps, the same model, layer, units and weights of the"
        " regularizers (LP 10, TV 0.01 unless stated otherwise), the model loaded before."
        f" {plan.rounds} rounds; in each the tools take turns. Ratios are of the same round:"
        " median (range)."
    )


def _rate_table(plan: Plan, records: Sequence[Record]) -> str:
    by_cell = numbers.rates(records, "peers", "model", "layer")
    first = {
        (record["model"], record["layer"]): f"{record['maps'] / record['seconds']:.3g}"
        for record in records
        if record["section"] == "peers, first call"
    }
    rows = []
    for model, layer in sorted({cell[1:] for cell in by_cell}):
        ours = by_cell[OURS, model, layer]
        row = [model, layer, f"{median(ours):.3g}", first[model, layer]]
        for tool in plan.tools[1:]:
            theirs = by_cell[tool, model, layer]
            row.append(f"{median(theirs):.3g}: {spread(numbers.ratios(ours, theirs))} times")
        rows.append(row)
    text = (
        f"\n\n{plan.maps} maps, units 0 to {plan.maps - 1}, as one batch where the tool can;"
        f" of keras-vis, which optimizes one at a time, the first {plan.maps_one_by_one}."
    )
    head = ("model", "layer", OURS, f"{OURS}, first call", *plan.tools[1:])
    return table(head, rows) + text


def _grid_table(plan: Plan, records: Sequence[Record]) -> str:
    rows = []
    for model in plan.models:
        theirs, ours = (numbers.grid_seconds(records, tool, model) for tool in (KERAS_VIS, OURS))
        ratios = numbers.ratios(theirs, ours)
        count = str(numbers.grid_maps(records, model))
        rows.append((model, count, *map(spread, (theirs, ours, ratios))))
    text = (
        "\n\nEvery unit of every convolution and dense layer,"
        f" {len(TV_WEIGHTS)} TV weights, {len(SEEDS)} seeds. Both are extrapolated, layer by layer,"
        f" from a sample per round: ours from all weights and seeds of two units, keras-vis from"
        f" {plan.maps_one_by_one} maps. Ours includes compiling, once per layer."
    )
    return table(("model", "maps", "keras-vis, s", "ours, s", "times as fast"), rows) + text


def _share_table(records: Sequence[Record]) -> str:
    rows = []
    for layer, values in numbers.shares(records).items():
        mine = [r for r in records if r["section"] == "share" and r["layer"] == layer]
        alone = median(record["gflops"] for record in mine)
        rows.append((layer, f"{alone:.0f}", spread(values)))
    return table(("layer", "convolutions alone, GFLOP/s", "share reached"), rows)


def _growth_table(records: Sequence[Record], section: str, key: str, title: str) -> str:
    by_cell = defaultdict(dict)
    for record in records:
        if record["section"] == section:
            each = 1 if key == "maps" else record["maps"]
            by_cell[record["tool"]][record[key]] = record["seconds"] / each
    columns = sorted({column for cells in by_cell.values() for column in cells})
    rows = [
        (tool, *(f"{cells[c]:.3g}" if c in cells else "not run" for c in columns))
        for tool, cells in by_cell.items()
    ]
    return table((title, *map(str, columns)), rows)


def _panel_table(records: Sequence[Record]) -> str:
    rows = []
    for state in ("cold", "warm"):
        for tool in (OURS, KERAS_VIS):
            values = (numbers.panel_seconds(records, tool, state, m) for m in ("first", "finished"))
            rows.append((state, tool, *(spread(value) for value in values)))
    text = (
        "\n\nFrom the move of a control to the image in the panel itself. Cold: the first map of"
        " a process that has imported everything and loaded the model; warm: the next units."
    )
    return table(("panel", "engine", "first image, s", "finished map, s"), rows) + text


def _memory_table(plan: Plan, records: Sequence[Record]) -> str:
    names = {
        "about": "TensorFlow imported",
        "first": "after the first map",
        "peers": "after the comparison",
        "growth in maps": "after the largest number of maps",
    }
    by_cell = defaultdict(dict)
    for record in records:
        if record["section"] in names:
            by_cell[record["tool"]][record["section"]] = record["peak_mb"]
    rows = [(tool, *(f"{by_cell[tool][name]:.0f}" for name in names)) for tool in plan.tools]
    return table(("peak memory of the process, MiB", *names.values()), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    line: Callable[[Sequence[str]], str] = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])
