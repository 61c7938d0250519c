"""A unit's card and a layer's overview: maps beside what is known about them."""

import math

import numpy as np
import xarray as xr
from matplotlib.patches import Rectangle

from helpers.maps import dataset
from helpers.maps.dataset import one_weight
from helpers.measures.columns import label
from helpers.measures.repeatability import NO_MAP, VERDICTS
from helpers.measures.report import LayerReport
from helpers.plots.figure import MapFigure
from helpers.plots.heatmaps import overlay, where_in_words
from helpers.plots.images import show
from helpers.plots.map_grids import EXPLANATION
from helpers.units import top_images

COLUMNS = 4
CELL_INCHES = 1.3
FAR = 10
"""A map beyond the data by so many times their range makes the histogram's axis logarithmic."""
HAPPY, SAD, FIELD = "#c2410c", "#1d4ed8", "#facc15"
END_WORDS = {"max": "activate it most", "min": "activate it least"}


def unit_card(report: LayerReport, unit: int) -> MapFigure:
    """Draw what is known about one unit.

    Its HappyMaps and SadMaps of up to four seeds with the activation of the raw and of the
    displayed map; the images that activate it most and least, a frame around the receptive field of
    the neuron that does (convolutions only), and heatmaps of where in the former it sees what
    activates it; the histogram of its activation over all images with
    the maps' activations marked; verdict, appearance class, census.

    Args:
        report: from `measures.report_layer`; its SadMaps may be of some units only.
        unit: one of its units.

    Raises:
        ValueError: the report has no such unit.
    """
    units = report.units["unit"].values.tolist()
    if unit not in units:
        raise ValueError(f"unit must be one of {units}, got {unit!r}")
    figure = MapFigure(figsize=(10, 6.8), layout="constrained", facecolor="white")
    happy, row = report.happy, report.units.sel(unit=unit)
    layer = happy.attrs["layer"]
    judged = dict.fromkeys(row[name].item() for name in ("verdict", "appearance_class"))
    weights = f"TV {happy['tv_weight'].item():g}, LP {happy['lp_weight'].item():g}"
    figure.suptitle(
        f"{layer} unit {unit}: {', '.join(judged)}\n"
        f"{weights}, {happy.attrs['steps']} steps. {EXPLANATION}",
        fontsize=9,
    )
    upper, lower = figure.subfigures(2, 1, height_ratios=(2, 1))
    left, right = upper.subfigures(1, 2)
    _draw_maps(left, report, unit)
    _draw_images(right, report, unit)
    chart, text = lower.subplots(1, 2, width_ratios=(1, 1.15))
    _draw_histogram(chart, report, unit)
    lines = describe(report, unit)
    text.axis("off")
    text.text(0, 1, "\n\n".join(lines), va="top", fontsize=8, wrap=True)
    places = ", ".join(map(where_in_words, report.where.sel(unit=unit).values))
    lines.append(f"In the images that activate it most it looks at: {places}")
    figure.alt = f"Card of {layer} unit {unit}. " + " ".join(line + "." for line in lines)
    return figure


def describe(report: LayerReport, unit: int) -> list[str]:
    """Say in a few lines what the numbers of one unit are."""
    row = {name: value.item() for name, value in report.units.sel(unit=unit).items()}
    return [_verdict(report, row), _appearance(row), _against_data(row), _census(report, row)]


def _verdict(report: LayerReport, row: dict) -> str:
    seeds = report.happy.sizes["seed"]
    if row["verdict"] == NO_MAP:
        return f"Verdict: no map. Of {seeds} seeds fewer than two raised the activation"
    further = "".join(
        f"; {what}: {row[f'{name}_verdict']}, {row[f'{name}_similarity']:.2f}"
        for name, what in (("texture", "as a texture"), ("deeper", "to the model"))
        if f"{name}_verdict" in row
    )
    return (
        f"Verdict: {row['verdict']}. Facets over {seeds} seeds: {row['facets']}; similarity of the"
        f" maps {row['similarity']:.2f}, of different units' maps {row['null']:.2f} (level"
        f" {row['level']:.2f}){further}"
    )


def _appearance(row: dict) -> str:
    if row["appearance_class"] == NO_MAP:
        return "Appearance: what the regularizers alone make"
    names = ("spatial_share", "high_frequency_share", "edge_strength", "coarse_share", "extent")
    shares = ", ".join(f"{label(name)} {row[name]:.2f}" for name in names)
    return (
        f"Appearance: {row['appearance_class']}. {shares[0].upper()}{shares[1:]}, brightness of the"
        f" raw map {row['brightness']:.0f}"
    )


def _against_data(row: dict) -> str:
    if not math.isfinite(row["z_score"]):
        return "As displayed: no measure, the unit never changes over the data"
    ratio = f", {row['ratio']:.2f} of its maximum" if math.isfinite(row["ratio"]) else ""
    return (
        f"As displayed: {round(row['z_score'], 1) + 0:+.1f} sd from the data's mean{ratio},"
        f" percentile {row['percentile']:.0f}; display gap {row['display_gap']:.2g}"
    )


def _census(report: LayerReport, row: dict) -> str:
    images = f"Over {report.responses.sizes['image']} images"
    if row["dead"]:
        return f"{images}: dead, zero at every position"
    always = "always on, " if row["always_on"] else ""
    light = row["brightness_correlation"]
    parts = [
        f"{images}: {always}zero at {row['apoz']:.0%} of positions",
        *([f"correlation with brightness {light:.2f}"] if math.isfinite(light) else []),
        f"larger on '{report.units.attrs['selective_for']}' with probability"
        f" {row['selectivity']:.2f}",
    ]
    if row["most_correlated_unit"] >= 0:
        correlation = f"(r {row['max_correlation']:.2f})"
        parts.append(f"most correlated unit {row['most_correlated_unit']} {correlation}")
    return "; ".join(parts)


def layer_overview(report: LayerReport, *, n_columns: int = 12, title: str = "") -> MapFigure:
    """Draw one map of every unit, grouped by verdict, the most repeatable first.

    The map displayed is the first of the unit's largest facet, else the first that was raised, else
    that of the first seed. Under it stand its appearance class and the similarity of the unit's
    maps.

    Args:
        report: from `measures.report_layer`.
        n_columns: maps in a row, at least 1.
        title: stands above.
    """
    units = report.units.sortby(-report.units["similarity"].fillna(-2))
    groups = {v: units["unit"].values[units["verdict"].values == v].tolist() for v in VERDICTS}
    groups = {verdict: members for verdict, members in groups.items() if members}
    n_columns = min(n_columns, max(len(members) for members in groups.values()))
    heights = []
    for members in groups.values():
        heights += [0.3, *[CELL_INCHES + 0.4] * math.ceil(len(members) / n_columns)]
    size = (max(n_columns * CELL_INCHES * 0.85, 5), sum(heights) * 0.85 + 0.5)
    figure = MapFigure(figsize=size, facecolor="white", layout="constrained")
    layer = report.happy.attrs["layer"]
    counts = ", ".join(f"{len(members)} {verdict}" for verdict, members in groups.items())
    figure.suptitle(f"{title} {layer}: {counts}".strip(), fontsize=10)
    grid = figure.add_gridspec(len(heights), n_columns, height_ratios=heights)
    line = 0
    for verdict, members in groups.items():
        heading = figure.add_subplot(grid[line, :])
        heading.axis("off")
        heading.text(0, 0.2, f"{verdict} ({len(members)})", fontsize=9, weight="bold")
        for i, unit in enumerate(members):
            axis = figure.add_subplot(grid[line + 1 + i // n_columns, i % n_columns])
            row = units.sel(unit=unit)
            show(axis, _typical_map(report, unit))
            axis.set_title(f"unit {unit}", fontsize=7, pad=2)
            similarity = (
                f"similarity {row['similarity']:.2f}" if row["similarity"].notnull() else ""
            )
            text = f"{row['appearance_class'].item()}\n{similarity}"
            axis.set_xlabel(text, fontsize=6, labelpad=2)
        line += 1 + math.ceil(len(members) / n_columns)
    members = "; ".join(f"{verdict}: units {members}" for verdict, members in groups.items())
    figure.alt = f"{title} One map of every unit of {layer} by verdict. {members}.".strip()
    return figure


def _typical_map(report: LayerReport, unit: int) -> np.ndarray:
    maps = one_weight(report.happy).sel(unit=unit)
    rank = 2 * (report.facet.sel(unit=unit) == 1) + dataset.raised(maps)
    return maps["display"].isel(seed=int(rank.argmax("seed"))).values


def _draw_maps(figure, report: LayerReport, unit: int) -> None:
    axes = figure.subplots(2, COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    named = (("HappyMaps", report.happy), ("SadMaps", report.sad))
    for line, (name, maps) in zip(axes, named, strict=True):
        if not _has(maps, unit):
            continue
        maps_of_unit = one_weight(maps).sel(unit=unit)
        for i in range(min(COLUMNS, maps_of_unit.sizes["seed"])):
            cell = maps_of_unit.isel(seed=i)
            line[i].axis("on")
            show(line[i], cell["display"].values)
            raw, display = float(cell["activation_raw"]), float(cell["activation_display"])
            line[i].set_xlabel(f"{raw:.3g} → {display:.3g}", fontsize=6, labelpad=2)
            facet = report.facet.sel(unit=unit).values[i] if maps is report.happy else 0
            suffix = f", facet {facet}" if facet else ""
            line[i].set_title(f"seed {cell['seed'].item()}{suffix}", fontsize=7, pad=2)
        line[0].set_ylabel(f"{name}\n({maps.attrs['objective']})", fontsize=7)


def _has(maps: xr.Dataset | None, unit: int) -> bool:
    return maps is not None and unit in maps["unit"].values


def _draw_images(figure, report: LayerReport, unit: int) -> None:
    ranked = top_images.top_activating_images(report.before.sel(unit=[unit]), COLUMNS).isel(unit=0)
    axes = figure.subplots(3, COLUMNS, squeeze=False)
    _draw_heatmaps(axes[1], report, unit, ranked["image"].sel(end="max").values)
    for line, end in zip(axes[::2], top_images.ENDS, strict=True):
        for axis in line:
            axis.axis("off")
        for i in range(ranked.sizes["rank"]):
            cell, axis = ranked.sel(end=end).isel(rank=i), line[i]
            axis.axis("on")
            show(axis, report.pixels[int(cell["image"])])
            axis.set_xlabel(f"{float(cell['activation']):.3g}", fontsize=6, labelpad=2)
            _frame(axis, report, int(cell["row"]), int(cell["column"]))
        line[0].set_ylabel(f"{END_WORDS[end]}\n(pre-activation)", fontsize=7)


def _draw_heatmaps(axes, report: LayerReport, unit: int, images: np.ndarray) -> None:
    for axis in axes:
        axis.axis("off")
    for axis, image, heat in zip(axes, images, report.where.sel(unit=unit).values, strict=False):
        axis.axis("on")
        show(axis, 255 * overlay(report.pixels[image], heat))
    is_local = report.field.stride != (0, 0)
    means = "its activation" if is_local else report.where.attrs["method"].partition("(")[0]
    axes[0].set_ylabel(f"where in them\n({means})", fontsize=7)


def _frame(axis, report: LayerReport, row: int, column: int) -> None:
    if report.field.stride == (0, 0):
        return
    top, left, bottom, right = report.field.box(row, column)
    corner, size = (left - 0.5, top - 0.5), (right - left, bottom - top)
    axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor=FIELD, linewidth=1.2))


def _draw_histogram(axis, report: LayerReport, unit: int) -> None:
    values = report.responses["activation"].sel(unit=unit).values
    axis.hist(values, bins=40, color="#9ca3af", label="real images")
    objective = report.happy.attrs["objective"]
    marked = [("HappyMap", report.happy, HAPPY), ("SadMap", report.sad, SAD)]
    drawn = [values]
    for name, maps, colour in marked:
        if not _has(maps, unit) or maps.attrs["objective"] != objective:
            continue
        for which, words, style in (("raw", "raw", "-"), ("display", "displayed", ":")):
            marks = maps[f"activation_{which}"].sel(unit=unit).values.ravel()
            drawn.append(marks)
            for i, mark in enumerate(marks):
                text = None if i else f"{name}, {words}"
                axis.axvline(mark, color=colour, linestyle=style, label=text)
    spread = max(np.ptp(values), 1e-6)
    if np.ptp(np.concatenate(drawn)) > FAR * spread:
        axis.set_xscale("symlog", linthresh=spread)
    axis.set_xlabel(f"{objective}", fontsize=8)
    axis.set_ylabel("images", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=6)
