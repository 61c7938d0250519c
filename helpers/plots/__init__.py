"""Maps and numbers as figures that say what made them."""

from helpers.plots.charts import as_columns, line_panels, line_plot, matrix, stacked_bars
from helpers.plots.map_grids import MapFigure, contact_sheet, map_grid, map_wall
from helpers.plots.unit_cards import describe, layer_overview, unit_card

__all__ = [
    "MapFigure",
    "as_columns",
    "contact_sheet",
    "describe",
    "layer_overview",
    "line_panels",
    "line_plot",
    "map_grid",
    "map_wall",
    "matrix",
    "stacked_bars",
    "unit_card",
]
