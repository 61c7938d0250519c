"""Maps and numbers as figures that say what made them."""

from helpers.plots.charts import as_columns, line_panels, line_plot, matrix, stacked_bars
from helpers.plots.figure import MapFigure
from helpers.plots.gallery import Gallery, gallery
from helpers.plots.heatmaps import heatmap_grid, overlay
from helpers.plots.images import raster, show
from helpers.plots.map_grids import contact_sheet, label, map_grid, map_wall
from helpers.plots.map_image import MapImage, map_image
from helpers.plots.recipe import Recipe, read_recipe
from helpers.plots.unit_cards import describe, layer_overview, unit_card

__all__ = [
    "Gallery",
    "MapFigure",
    "MapImage",
    "Recipe",
    "as_columns",
    "contact_sheet",
    "describe",
    "gallery",
    "heatmap_grid",
    "label",
    "layer_overview",
    "line_panels",
    "line_plot",
    "map_grid",
    "map_image",
    "map_wall",
    "matrix",
    "overlay",
    "raster",
    "read_recipe",
    "show",
    "stacked_bars",
    "unit_card",
]
