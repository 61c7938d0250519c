"""A unit's card and a layer's overview: maps beside what is known about them."""

import math

import numpy as np
from matplotlib.patches import Rectangle

from helpers.maps import dataset
from helpers.measures.repeatability import VERDICTS
from helpers.measures.report import NO_MAP, Evidence
from helpers.plots.figure import MapFigure
from helpers.plots.images import show
from helpers.plots.map_grids import EXPLANATION
from helpers.units import top_images

COLUMNS = 4
CELL_INCHES = 1.15
FAR = 10
"""A map beyond the data by so many times their range makes the histogram's axis logarithmic."""
HAPPY, SAD, FIELD = "#c2410c", "#1d4ed8", "#facc15"


def unit_card(evidence: Evidence, unit: int) -> MapFigure:
    """Draw what is known about one unit.

    Its HappyMaps and SadMaps of up to four seeds with the activation of the raw map and of the map
    as shown; the images that fire it most and least, a frame around the receptive field of the
    neuron that does so (convolutions only); the histogram of its activation over all images with
    the maps' activations marked; verdict, kind, census.

    Args:
        evidence: from `evidence.gather`.
        unit: one of its units.

    Raises:
        ValueError: the evidence has no such unit.
    """
    units = evidence.units["unit"].values.tolist()
    if unit not in units:
        raise ValueError(f"unit must be one of {units}, got {unit!r}")
    figure = MapFigure(figsize=(10, 5.8), layout="constrained", facecolor="white")
    layer = evidence.happy.attrs["layer"]
    judged = [evidence.units[name].sel(unit=unit).item() for name in ("verdict", "kind")]
    weights = (
        f"TV {evidence.happy['tv_weight'].item():g}, LP {evidence.happy['lp_weight'].item():g}"
    )
    figure.suptitle(
        f"{layer} unit {unit}: {', '.join(dict.fromkeys(judged))}\n"
        f"{weights}, {evidence.happy.attrs['steps']} steps. {EXPLANATION}",
        fontsize=9,
    )
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.5, 1))
    left, right = upper.subfigures(1, 2)
    _draw_maps(left, evidence, unit)
    _draw_images(right, evidence, unit)
    chart, words = lower.subplots(1, 2, width_ratios=(1, 1.15))
    _draw_histogram(chart, evidence, unit)
    lines = describe(evidence, unit)
    words.axis("off")
    words.text(0, 1, "\n\n".join(lines), va="top", fontsize=8, wrap=True)
    figure.alt = f"Card of {layer} unit {unit}. " + " ".join(line + "." for line in lines)
    return figure


def describe(evidence: Evidence, unit: int) -> list[str]:
    """Say in a few lines what the numbers of one unit are."""
    row = {name: value.item() for name, value in evidence.units.sel(unit=unit).items()}
    return [_verdict(evidence, row), _looks(row), _against_data(row), _census(evidence, row)]


def _verdict(evidence: Evidence, row: dict) -> str:
    seeds = evidence.happy.sizes["seed"]
    if row["verdict"] == NO_MAP:
        return f"Verdict: no map. Of {seeds} seeds fewer than two led beyond the seed input"
    return (
        f"Verdict: {row['verdict']}. Facets over {seeds} seeds: {row['facets']}; maps alike"
        f" {row['alike']:.2f}, those of different units {row['null']:.2f} (level"
        f" {row['level']:.2f})"
        + "".join(
            f"; {what}: {row[f'{name}_verdict']}, {row[f'{name}_alike']:.2f}"
            for name, what in (("texture", "as a texture"), ("deeper", "to the net"))
            if f"{name}_verdict" in row
        )
    )


def _looks(row: dict) -> str:
    if row["kind"] == NO_MAP:
        return "Looks: what the regularizers alone make"
    return (
        f"Looks: {row['kind']}. Spatial share {row['spatial share']:.2f}, high-frequency share"
        f" {row['high-frequency share']:.2f}, edge strength {row['edge strength']:.2f}, coarse"
        f" share {row['coarse share']:.2f}, extent {row['extent']:.2f}, brightness of raw map"
        f" {row['brightness']:.0f}"
    )


def _against_data(row: dict) -> str:
    if not math.isfinite(row["z_score"]):
        return "As shown: no measure, the unit never changes over the data"
    ratio = f", {row['ratio']:.2f} of its maximum" if math.isfinite(row["ratio"]) else ""
    return (
        f"As shown: {round(row['z_score'], 1) + 0:+.1f} sd from the data's mean{ratio}, percentile"
        f" {row['percentile']:.0f}; display gap {row['display_gap']:.2g}"
    )


def _census(evidence: Evidence, row: dict) -> str:
    images = f"Over {evidence.responses.sizes['image']} images"
    if row["dead"]:
        return f"{images}: dead, zero at every position"
    always = "always on, " if row["always_on"] else ""
    light = f"; follows light r {row['light']:.2f}" if math.isfinite(row["light"]) else ""
    twin = f"; nearest unit {row['twin']} (r {row['twin_correlation']:.2f})"
    return (
        f"{images}: {always}zero at {row['apoz']:.0%} of positions{light}; fires more on"
        f" '{evidence.units.attrs['selective_for']}' with probability {row['selectivity']:.2f}"
        f"{twin if row['twin'] >= 0 else ''}"
    )


def layer_overview(evidence: Evidence, *, n_columns: int = 12, title: str = "") -> MapFigure:
    """Draw one map of every unit, grouped by verdict, the most repeatable first.

    The map shown is the first of the unit's largest facet, else the first that found something,
    else that of the first seed. Under it stand its kind and how alike the unit's maps are.

    Args:
        evidence: from `evidence.gather`.
        n_columns: maps in a row, at least 1.
        title: said above.
    """
    units = evidence.units.sortby(-evidence.units["alike"].fillna(-2))
    groups = {v: units["unit"].values[units["verdict"].values == v].tolist() for v in VERDICTS}
    groups = {verdict: members for verdict, members in groups.items() if members}
    n_columns = min(n_columns, max(len(members) for members in groups.values()))
    heights = []
    for members in groups.values():
        heights += [0.3, *[CELL_INCHES + 0.4] * math.ceil(len(members) / n_columns)]
    size = (max(n_columns * CELL_INCHES * 0.85, 5), sum(heights) * 0.85 + 0.5)
    figure = MapFigure(figsize=size, facecolor="white", layout="constrained")
    layer = evidence.happy.attrs["layer"]
    counts = ", ".join(f"{len(members)} {verdict}" for verdict, members in groups.items())
    figure.suptitle(f"{title} {layer}: {counts}".strip(), fontsize=10)
    grid = figure.add_gridspec(len(heights), n_columns, height_ratios=heights)
    row = 0
    for verdict, members in groups.items():
        heading = figure.add_subplot(grid[row, :])
        heading.axis("off")
        heading.text(0, 0.2, f"{verdict} ({len(members)})", fontsize=9, weight="bold")
        for i, unit in enumerate(members):
            axis = figure.add_subplot(grid[row + 1 + i // n_columns, i % n_columns])
            one = units.sel(unit=unit)
            show(axis, _typical(evidence, unit))
            axis.set_title(f"unit {unit}", fontsize=7, pad=2)
            alike = f"alike {one['alike']:.2f}" if one["alike"].notnull() else ""
            axis.set_xlabel(f"{one['kind'].item()}\n{alike}", fontsize=6, labelpad=2)
        row += 1 + math.ceil(len(members) / n_columns)
    each = "; ".join(f"{verdict}: units {members}" for verdict, members in groups.items())
    figure.alt = f"{title} One map of every unit of {layer} by verdict. {each}.".strip()
    return figure


def _typical(evidence: Evidence, unit: int) -> np.ndarray:
    maps = evidence.happy.squeeze(["tv_weight", "lp_weight"]).sel(unit=unit)
    rank = 2 * (evidence.facet.sel(unit=unit) == 1) + dataset.found(maps)
    return maps["display"].isel(seed=int(rank.argmax("seed"))).values


def _draw_maps(figure, evidence: Evidence, unit: int) -> None:
    both = [("HappyMaps", evidence.happy), ("SadMaps", evidence.sad)]
    both = [(name, maps) for name, maps in both if maps is not None]
    axes = figure.subplots(2, COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for line, (name, maps) in zip(axes, both, strict=False):
        one = maps.squeeze(["tv_weight", "lp_weight"]).sel(unit=unit)
        for i in range(min(COLUMNS, one.sizes["seed"])):
            cell = one.isel(seed=i)
            line[i].axis("on")
            show(line[i], cell["display"].values)
            raw, shown = float(cell["activation_raw"]), float(cell["activation_display"])
            line[i].set_xlabel(f"{raw:.3g} → {shown:.3g}", fontsize=6, labelpad=2)
            facet = evidence.facet.sel(unit=unit).values[i] if maps is evidence.happy else 0
            belongs = f", facet {facet}" if facet else ""
            line[i].set_title(f"seed {cell['seed'].item()}{belongs}", fontsize=7, pad=2)
        line[0].set_ylabel(f"{name}\n({maps.attrs['objective']})", fontsize=7)


def _draw_images(figure, evidence: Evidence, unit: int) -> None:
    shown = top_images.extremes(evidence.before.sel(unit=[unit]), COLUMNS).isel(unit=0)
    axes = figure.subplots(2, COLUMNS, squeeze=False)
    for line, end in zip(axes, top_images.ENDS, strict=True):
        for axis in line:
            axis.axis("off")
        for i in range(shown.sizes["rank"]):
            one = shown.sel(end=end).isel(rank=i)
            axis = line[i]
            axis.axis("on")
            show(axis, evidence.pixels[int(one["image"])])
            axis.set_xlabel(f"{float(one['activation']):.3g}", fontsize=6, labelpad=2)
            _frame(axis, evidence, int(one["row"]), int(one["column"]))
        line[0].set_ylabel(f"fire it {end}\n(pre-activation)", fontsize=7)


def _frame(axis, evidence: Evidence, row: int, column: int) -> None:
    if evidence.field.stride == (0, 0):
        return
    top, left, bottom, right = evidence.field.box(row, column)
    corner, size = (left - 0.5, top - 0.5), (right - left, bottom - top)
    axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor=FIELD, linewidth=1.2))


def _draw_histogram(axis, evidence: Evidence, unit: int) -> None:
    values = evidence.responses["activation"].sel(unit=unit).values
    axis.hist(values, bins=40, color="#9ca3af", label="real images")
    objective = evidence.happy.attrs["objective"]
    marked = [("HappyMap", evidence.happy, HAPPY), ("SadMap", evidence.sad, SAD)]
    reached = [values]
    for name, maps, colour in marked:
        if maps is None or maps.attrs["objective"] != objective:
            continue
        one = maps.sel(unit=unit)
        for what, style in (("raw", "-"), ("display", ":")):
            marks = one[f"activation_{what}"].values.ravel()
            reached.append(marks)
            label = f"{name}, {'raw' if what == 'raw' else 'as shown'}"
            for i, mark in enumerate(marks):
                axis.axvline(mark, color=colour, linestyle=style, label=None if i else label)
    spread = max(np.ptp(values), 1e-6)
    if np.ptp(np.concatenate(reached)) > FAR * spread:
        axis.set_xscale("symlog", linthresh=spread)
    axis.set_xlabel(f"{objective}", fontsize=8)
    axis.set_ylabel("images", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=6)
