"""Maps and numbers as figures that say what made them."""

from helpers.plots.charts import as_columns, line_panels, line_plot, matrix, stacked_bars
from helpers.plots.heatmaps import heatmap_grid, overlay
from helpers.plots.map_grids import MapFigure, contact_sheet, map_grid, map_wall
from helpers.plots.unit_cards import describe, layer_overview, unit_card

__all__ = [
    "MapFigure",
    "as_columns",
    "contact_sheet",
    "describe",
    "heatmap_grid",
    "layer_overview",
    "line_panels",
    "line_plot",
    "map_grid",
    "map_wall",
    "matrix",
    "overlay",
    "stacked_bars",
    "unit_card",
]
