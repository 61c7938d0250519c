"""The Markdown report of a run."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks import contenders, numbers, robust
from benchmarks.contenders import KERAS_VIS, OURS
from benchmarks.measure import MODEL, Plan
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
        _rate_table(records, "peers", plan.tools),
        "As one batch where the tool can ("
        + ", ".join(f"{maps} maps of {name}" for name, (_, maps) in plan.peers.items())
        + "); keras-vis, which optimizes one at a time, one. Seconds of a whole optimization are"
        f" predicted from a call of {plan.sampled_steps[0]} and one of {plan.sampled_steps[1]}"
        " steps, after one that is not counted, in which a tool compiles what it keeps.",
        "## By the robust recipe",
        _rate_table(records, "robust", plan.robust_tools),
        f"{plan.robust_maps} maps of {plan.robust_steps} steps in one batch: Fourier image, padding"
        " with gray, random scale, jitter, Adam. Predicted likewise.",
        "## Times keras-vis",
        _times_table(records),
        "## Share of the convolution rate",
        "The convolutions alone (forward and input gradient, the same shapes; the fastest of"
        " TensorFlow's, without bias, activation and pooling, and of our own, with bias and ReLU,"
        f" with pooling or without; batches of {plan.maps}) against an optimization of {plan.maps}"
        " maps.",
        _share_table(records),
        "## Many maps",
        _growth_table(records),
        "## A sweep by several processes",
        _workers_table(plan, records),
        "## One map in the panel",
        _panel_table(records),
        "## A new process",
        _opening_table(plan, records),
        "## Memory",
        _memory_table(plan, records),
        "## What is not equal",
        "\n".join(f"- **{tool}**: {contenders.NOTES[tool]}" for tool in plan.tools),
        "By the robust recipe:",
        "\n".join(f"- **{tool}**: {robust.NOTES[tool]}" for tool in plan.robust_tools),
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


def _rate_table(records: Sequence[Record], section: str, tools: Sequence[str]) -> str:
    by_cell = numbers.rates(records, section, "model", "layer")
    rows = []
    for model, layer in sorted({cell[1:] for cell in by_cell}):
        ours = by_cell[OURS, model, layer]
        row = [model, layer, f"{median(ours):.3g}"]
        for tool in tools[1:]:
            theirs = by_cell[tool, model, layer]
            row.append(f"{median(theirs):.3g}: {spread(numbers.ratios(ours, theirs))} times")
        rows.append(row)
    return table(("model", "layer", OURS, *tools[1:]), rows)


def _times_table(records: Sequence[Record]) -> str:
    rows = []
    for section in ("mixed units", "one unit"):
        for layer, values in numbers.over_keras_vis(records, section).items():
            by_cell = numbers.rates(records, section, "layer")
            first = numbers.rates(records, f"{section}, first call", "layer")
            rates = (by_cell[OURS, layer], first[OURS, layer], by_cell[KERAS_VIS, layer])
            rows.append((section, layer, *(f"{median(r):.3g}" for r in rates), spread(values)))
    head = ("maps", "layer", f"{OURS}, maps per second", "first call", "keras-vis", "times")
    return table(head, rows)


def _opening_table(plan: Plan, records: Sequence[Record]) -> str:
    by_cell = defaultdict(list)
    for record in records:
        if record["section"] in ("first", "heavy"):
            by_cell[record["tool"], record.get("model", MODEL)].append(record)
    rows = [
        (tool, model, *(_median_of(own, key) for key in ("import", "load", "seconds")))
        for (tool, model), own in by_cell.items()
    ]
    head = ("tool", "model", "import, s", "open, s", "first map, s")
    text = (
        f"\n\nOurs opens {plan.heavy} with all its checks, and names its weights by their digest."
    )
    return table(head, rows) + text


def _median_of(records: Sequence[Record], key: str) -> str:
    values = [record[key] for record in records if key in record]
    return f"{median(values):.3g}" if values else ""


def _share_table(records: Sequence[Record]) -> str:
    rows = []
    for layer, values in numbers.shares(records).items():
        mine = [r for r in records if r["section"] == "share" and r["layer"] == layer]
        alone = median(record["gflops"] for record in mine)
        rows.append((layer, f"{alone:.0f}", spread(values)))
    return table(("layer", "convolutions alone, GFLOP/s", "share reached"), rows)


def _growth_table(records: Sequence[Record]) -> str:
    rows = [
        (str(r["maps"]), f"{r['seconds']:.3g}", f"{r['seconds'] / r['maps']:.3g}")
        for r in records
        if r["section"] == "growth in maps"
    ]
    return table(("maps in one call", "seconds", "seconds per map"), rows)


def _workers_table(plan: Plan, records: Sequence[Record]) -> str:
    seconds = {
        (record["processes"], record["pieces"]): record["seconds"]
        for record in records
        if record["section"] == "workers"
    }
    few, more = plan.swept_pieces
    rows = []
    for processes in sorted({key[0] for key in seconds}):
        piece = (seconds[processes, more] - seconds[processes, few]) / (more - few)
        start = seconds[processes, few] - few * piece
        rows.append((str(processes), f"{plan.maps / piece:.3g}", f"{start:.3g}"))
    text = (
        f"\n\nPieces of {plan.maps} maps of {plan.deep_layer}, stored; from sweeps of {few} and of"
        f" {more} pieces. One process has all cores; of several each has one."
    )
    return table(("processes", "maps per second", "start-up, s"), rows) + text


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
    names = {"about": "TensorFlow imported", "peers": "after the comparisons"}
    by_cell = defaultdict(dict)
    for record in records:
        if record["section"] in names:
            by_cell[record["tool"]][record["section"]] = record["peak_mb"]
    rows = [(tool, *(f"{by_cell[tool][name]:.0f}" for name in names)) for tool in plan.tools]
    growth = numbers.values_of(records, "growth in maps", OURS, "peak_mb")
    peak = numbers.values_of(records, "large", OURS, "peak_mb")[0]
    text = (
        f"\n\nOurs after {', '.join(map(str, plan.growth_maps))} maps of {plan.deep_layer} in one"
        f" call: {', '.join(f'{mb:.0f}' for mb in growth)} MiB. {plan.large[2]} maps of"
        f" {plan.large[0]} in a process of their own: {peak:.0f} MiB."
    )
    return table(("peak memory of the process, MiB", *names.values()), rows) + text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    line: Callable[[Sequence[str]], str] = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])
