"""The plot of a run."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import numbers
from benchmarks.numbers import Record


def plot(records: Sequence[Record], title: str) -> Figure:
    """Draw maps per second by layer, growth with maps and size, and the share of the rate."""
    figure = Figure(figsize=(11, 8), layout="constrained", facecolor="white")
    figure.suptitle(title)
    by_layer, in_maps, in_size, share = figure.subplots(2, 2).flat
    _rates(by_layer, records)
    _growth(in_maps, records, "growth in maps", "maps")
    _growth(in_size, records, "growth in size", "size")
    in_maps.set(title="One batch of many maps", xlabel="maps", ylabel="seconds")
    in_size.set(title="One map, by size", xlabel="side of the image, pixels", ylabel="seconds")
    _share(share, records)
    return figure


def _rates(axes: Axes, records: Sequence[Record]) -> None:
    by_cell = numbers.rates(records, "peers", "model", "layer")
    tools = list(dict.fromkeys(tool for tool, *_ in by_cell))
    cells = list(dict.fromkeys(tuple(cell) for _, *cell in by_cell))
    width = 0.8 / len(tools)
    for index, tool in enumerate(tools):
        values = [median(by_cell[tool, *cell]) for cell in cells]
        axes.bar(np.arange(len(cells)) + index * width, values, width, label=tool)
    labels = [f"{layer}\n{model}" for model, layer in cells]
    axes.set_xticks(np.arange(len(cells)) + 0.4 - width / 2, labels, fontsize=8)
    axes.set(title="Maps per second", ylabel="maps / s")
    axes.legend()


def _growth(axes: Axes, records: Sequence[Record], section: str, key: str) -> None:
    by_cell = defaultdict(list)
    for record in records:
        if record["section"] == section:
            each = 1 if key == "maps" else record["maps"]
            by_cell[record["tool"]].append((record[key], record["seconds"] / each))
    for tool, points in by_cell.items():
        axes.loglog(*zip(*points, strict=True), "o-", label=tool)
    ticks = sorted({x for points in by_cell.values() for x, _ in points})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend()


def _share(axes: Axes, records: Sequence[Record]) -> None:
    by_cell = numbers.shares(records)
    axes.bar(list(by_cell), [median(values) for values in by_cell.values()])
    axes.axhline(0.8, color="black", linestyle="--", label="target")
    axes.set(title="Ours: share of the convolutions' own rate", ylim=(0, None))
    axes.legend()
