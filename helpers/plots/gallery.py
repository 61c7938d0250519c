"""Large images in their own colours, in rows, each with a line of words."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers.plots.figure import DPI, PALETTE, MapFigure, text_size
from helpers.plots.images import show

GAP, LINE = 10, 22
"""Pixels between images, and for a line of text."""


class Gallery(MapFigure):
    """Colours from a palette of the figure's own, dithered: a third of the size of `MapFigure`."""

    def png(self) -> bytes:
        """The figure as PNG, with its text alternative."""
        exact, small = Image.open(io.BytesIO(super().png())), io.BytesIO()
        colours = exact.convert("RGB").quantize(PALETTE, kmeans=1)
        drawn = exact.convert("RGB").quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
        text = PngInfo()
        for name, words in exact.text.items():
            text.add_itxt(name, words)
        drawn.save(small, format="png", optimize=True, pnginfo=text)
        return small.getvalue()


def gallery(
    rows: Mapping[str, Sequence[tuple[np.ndarray, str]]], *, title: str, side: int = 224
) -> Gallery:
    """Draw rows of images.

    Args:
        rows: words over the row -> its images: pixels 0..255 (H, W, C), and the words under each.
        title: written above.
        side: height of an image in pixels.
    """
    count = max(len(images) for images in rows.values())
    width = GAP + count * (side + GAP)
    lines = 1 + max(words.count("\n") for images in rows.values() for _, words in images)
    points = text_size(width, 9)
    line = LINE * points / 9
    over, under = round(line * 1.4), round(lines * line * 0.85) + GAP
    pitch, heading = over + side + under, GAP + round(line * 1.2 * (1 + title.count("\n")))
    size = width / DPI, (heading + len(rows) * pitch) / DPI
    figure = Gallery(figsize=size, facecolor="white")
    height = figure.get_size_inches()[1] * DPI

    def write(left, top, words, **style):
        figure.text(left / width, 1 - top / height, words, va="top", **style)

    write(GAP, GAP / 2, title, size=points * 1.2, weight="bold")
    for number, (name, images) in enumerate(rows.items()):
        top = heading + number * pitch
        write(GAP, top + line * 0.2, name, size=points, weight="bold")
        for column, (image, words) in enumerate(images):
            left = GAP + column * (side + GAP)
            show(figure.place(left, top + over, side, side), image)
            write(left, top + over + side + 2, words, size=points, linespacing=1.1)
    told = [f"{name}: {', '.join(words for _, words in images)}" for name, images in rows.items()]
    figure.alt = ". ".join([title, *told]).replace("\n", " ")
    return figure
