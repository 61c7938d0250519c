"""A matplotlib Figure that carries its description and its recipe, laid out in pixels."""

import base64
import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from helpers.files import atomic_write
from helpers.plots.recipe import Box, Recipe, png_text

DPI = 100
PAGE = 1100
"""Pixels: a page displays a wider figure smaller, so text in it is larger in proportion."""
SMALLEST_TEXT = 8
"""Points: no text is smaller on a page."""
PALETTE = 256


class MapFigure(Figure):
    """A Figure with a text alternative; a notebook displays it as PNG with that text.

    Attributes:
        alt: what the figure shows, in words.
        recipe: what it follows from; None where it is not of maps that know it.
    """

    alt: str = ""
    recipe: Recipe | None = None

    def png(self, *, is_small: bool = False) -> bytes:
        """The figure as PNG, opaque, without a date.

        Images keep their colours exactly; a figure without RGB images has at most 256 colours. Text
        chunks hold the text alternative and the recipe.

        Args:
            is_small: for a notebook, which is to stay small: at most 256 colours, dithered where
                that makes it smaller.
        """
        raw = io.BytesIO()
        self.savefig(raw, format="png", dpi=DPI, facecolor="white")
        drawn = Image.open(raw).convert("RGB")
        exact = self._encoded(self.reduced(drawn))
        if not is_small:
            return exact
        small = self._encoded(dithered(drawn))
        if len(small) <= len(exact):
            return small
        return min(exact, self._encoded(drawn.quantize(PALETTE, kmeans=1)), key=len)

    def reduced(self, drawn: Image.Image) -> Image.Image:
        """The drawn figure, RGB, with the colours that it is stored with."""
        has_colour = any(_is_rgb(shown) for axis in self.axes for shown in axis.images)
        if not has_colour or drawn.getcolors(PALETTE):
            return drawn.quantize(PALETTE, dither=Image.Dither.NONE)
        return drawn

    def save(self, path: str | Path) -> "MapFigure":
        """Write the PNG atomically, and return the figure for display."""
        with atomic_write(path) as part:
            part.write_bytes(self.png())
        return self

    def place(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add an axis at a place given in pixels from the upper left corner."""
        whole_width, whole_height = self.get_size_inches() * DPI
        bottom = whole_height - top - height
        extent = (left / whole_width, bottom / whole_height)
        return self.add_axes((*extent, width / whole_width, height / whole_height))

    def _encoded(self, drawn: Image.Image) -> bytes:
        encoded = io.BytesIO()
        text = png_text(self.recipe, self.alt, self._boxes())
        drawn.save(encoded, format="png", optimize=True, pnginfo=text)
        return encoded.getvalue()

    def _boxes(self) -> list[Box]:
        """Where the images are drawn, in the order of the axes."""
        extents = [axis.get_window_extent() for axis in self.axes if axis.images]
        height = self.bbox.height
        return [
            tuple(map(round, (box.x0, height - box.y1, box.x1, height - box.y0))) for box in extents
        ]

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {
            "image/png": base64.b64encode(self.png(is_small=True)).decode(),
            "text/plain": f"<Figure: {self.alt}>",
        }
        return data, {"image/png": {"alt": self.alt}}


def dithered(drawn: Image.Image) -> Image.Image:
    """An RGB image in 256 colours of its own, dithered: a third of its bytes as PNG."""
    palette = drawn.quantize(PALETTE, kmeans=1)
    return drawn.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def sheet(width: float, height: float) -> MapFigure:
    """Make an empty figure of a size in pixels."""
    return MapFigure(figsize=(width / DPI, height / DPI), facecolor="white")


def text_size(width: float, points: float = SMALLEST_TEXT) -> float:
    """Points that a text has in a figure of so many pixels, to have `points` on a page."""
    return points * max(1, width / PAGE)


def _is_rgb(image) -> bool:
    """Whether a drawn image has colours of its own (a colour map's survive a palette)."""
    return np.ndim(image.get_array()) == 3
