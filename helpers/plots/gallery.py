"""Large images in their own colours, in rows, each with a line of words."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from helpers.plots.figure import DPI, MapFigure, dithered, text_size
from helpers.plots.images import show

GAP, LINE = 10, 22
"""Pixels between images, and for a line of text."""


class Gallery(MapFigure):
    """Colours from a palette of the figure's own, dithered: a third of the size of `MapFigure`."""

    def reduced(self, drawn: Image.Image) -> Image.Image:
        """The drawn figure, RGB, with the colours that it is stored with."""
        return dithered(drawn)


Row = tuple[Sequence[np.ndarray], Sequence[str]]
"""Images (H, W, C) of pixels 0..255, and the words under each."""


def gallery(rows: Mapping[str, Row], *, title: str, side: int = 224) -> Gallery:
    """Draw rows of images.

    Args:
        rows: words over the row -> its images and the words under them.
        title: written above.
        side: height of an image in pixels.

    Raises:
        ValueError: a row has not as many words as images.
    """
    for name, (images, words) in rows.items():
        if len(images) != len(words):
            raise ValueError(
                f"rows must have words for each image, got {len(images)} images and {len(words)}"
                f" in {name!r}"
            )
    count = max(len(images) for images, _ in rows.values())
    width = GAP + count * (side + GAP)
    lines = 1 + max(under.count("\n") for _, words in rows.values() for under in words)
    points = text_size(width, 9)
    line = LINE * points / 9
    over = round(line * 1.4) if any(name.strip() for name in rows) else 4
    below = round(lines * line * 0.85) + GAP
    pitch, heading = over + side + below, GAP + round(line * 1.2 * (1 + title.count("\n")))
    size = width / DPI, (heading + len(rows) * pitch) / DPI
    figure = Gallery(figsize=size, facecolor="white")
    height = figure.get_size_inches()[1] * DPI

    def write(left, top, text, **style):
        figure.text(left / width, 1 - top / height, text, va="top", **style)

    write(GAP, GAP / 2, title, size=points * 1.2, weight="bold")
    for number, (name, (images, words)) in enumerate(rows.items()):
        top = heading + number * pitch
        write(GAP, top + line * 0.2, name, size=points, weight="bold")
        for column, (image, under) in enumerate(zip(images, words, strict=True)):
            left = GAP + column * (side + GAP)
            show(figure.place(left, top + over, side, side), image)
            write(left, top + over + side + 2, under, size=points, linespacing=1.1)
    described = [f"{name}: {', '.join(words)}" for name, (_, words) in rows.items()]
    figure.alt = ". ".join([title, *described]).replace("\n", " ")
    return figure
