"""The plot of a run."""

from collections.abc import Sequence
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import numbers
from benchmarks.numbers import Record


def plot(records: Sequence[Record], title: str) -> Figure:
    """Draw maps per second of every tool by both recipes, and how many times that of keras-vis."""
    figure = Figure(figsize=(11, 8), layout="constrained", facecolor="white")
    figure.suptitle(title)
    keras_vis, robust, times, share = figure.subplots(2, 2).flat
    _rates(keras_vis, records, "peers", "By keras-vis's recipe")
    _rates(robust, records, "robust", "By the robust recipe")
    _times(times, records)
    _share(share, records)
    return figure


def _rates(axes: Axes, records: Sequence[Record], section: str, title: str) -> None:
    by_cell = numbers.rates(records, section, "model", "layer")
    tools = list(dict.fromkeys(tool for tool, *_ in by_cell))
    cells = list(dict.fromkeys(tuple(cell) for _, *cell in by_cell))
    width = 0.8 / len(tools)
    for index, tool in enumerate(tools):
        values = [median(by_cell[tool, *cell]) for cell in cells]
        axes.bar(np.arange(len(cells)) + index * width, values, width, label=tool)
    labels = [f"{layer}\n{model}" for model, layer in cells]
    axes.set_xticks(np.arange(len(cells)) + 0.4 - width / 2, labels, fontsize=8)
    axes.set(title=title, ylabel="maps per second", yscale="log")
    axes.legend()


def _times(axes: Axes, records: Sequence[Record]) -> None:
    for shift, section in enumerate(("mixed units", "one unit")):
        by_layer = numbers.over_keras_vis(records, section)
        places = np.arange(len(by_layer)) + 0.4 * shift
        axes.bar(places, [median(values) for values in by_layer.values()], 0.4, label=section)
    axes.set_xticks(np.arange(len(by_layer)) + 0.2, list(by_layer))
    axes.axhline(1, color="black", linestyle="--", label="keras-vis")
    axes.set(title="Ours, times keras-vis")
    axes.legend()


def _share(axes: Axes, records: Sequence[Record]) -> None:
    by_cell = numbers.shares(records)
    axes.bar(list(by_cell), [median(values) for values in by_cell.values()])
    axes.axhline(0.8, color="black", linestyle="--", label="target")
    axes.set(title="Ours: share of the convolutions' own rate", ylim=(0, None))
    axes.legend()
