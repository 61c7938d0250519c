"""How one image of any kind is drawn: gray, RGB, other channels, volumes, signals.

Everything that draws an image asks this module, so that a new kind is added here alone.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

SMALL_SIDE, LARGE_SIDE = 128, 256
"""Pixels: the larger side of a drawn image is near the first in a full row, the second in a short
one; an image that is larger by itself is drawn 1:1."""
MOST_SLICES = 9
"""Slices of a volume that are drawn, evenly spread."""
LINE_HEIGHT = 64
"""Pixels of height of a signal's channel in `raster`."""


def raster(image: np.ndarray, channels: Sequence[int] | None = None) -> np.ndarray:
    """Bring an image to what a screen can show, (h, w) gray or (h, w, 3) RGB, uint8.

    One channel is gray and three are red, green, blue. Any other number is drawn channel by
    channel, as gray images side by side: a fourth channel is not transparency. Of a signal each
    channel is a black line, one under the other.

    Args:
        image: (H, W, C); a volume (D, H, W, C), whose slices stand side by side; or a signal
            (T, C); 0..255.
        channels: three channels to draw as red, green, blue, or one as gray; None as said above.

    Raises:
        ValueError: the image has another rank, or `channels` are not one or three of it.
    """
    if image.ndim not in (2, 3, 4):
        raise ValueError(
            f"image must be (H, W, C), (D, H, W, C) or (T, C), got shape {image.shape}"
        )
    image = np.rint(_chosen(image, channels)).astype("uint8")
    if image.ndim == 2:
        return np.concatenate([_line(values) for values in image.T])
    if image.ndim == 4:
        depth = np.linspace(0, len(image) - 1, min(len(image), MOST_SLICES)).astype(int)
        image = np.concatenate(list(image[depth]), axis=1)
    if image.shape[-1] == 3:
        return image
    return np.concatenate(list(np.moveaxis(image, -1, 0)), axis=1)


def display_size(
    image: np.ndarray, side: int = SMALL_SIDE, channels: Sequence[int] | None = None
) -> tuple[int, int]:
    """Width and height in pixels at which an image is drawn.

    The largest whole multiple of its pixels whose larger side is at most `side`, at least 1:1.
    """
    if image.ndim == 2:
        return 2 * side, side
    height, width = raster(image, channels).shape[:2]
    zoom = max(1, side // max(height, width))
    return zoom * width, zoom * height


def show(axis: Axes, image: np.ndarray, channels: Sequence[int] | None = None) -> None:
    """Draw an image into an axis without ticks: as `raster`, or a signal (T, C) as lines.

    Args:
        axis: as large as `display_size` says, where pixels are to be drawn as whole squares.
        image: (H, W, C), (D, H, W, C) or (T, C), 0..255.
        channels: as `raster` takes them.
    """
    axis.set(xticks=[], yticks=[])
    if image.ndim == 2:
        axis.plot(_chosen(image, channels), linewidth=1)
        axis.set_xlim(0, len(image) - 1)
        return
    axis.spines[:].set_visible(False)
    pixels = raster(image, channels)
    box = axis.get_window_extent()
    is_enlarged = round(box.width) >= pixels.shape[1]
    interpolation = "nearest" if is_enlarged else "antialiased"
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation=interpolation)


def _chosen(image: np.ndarray, channels: Sequence[int] | None) -> np.ndarray:
    if channels is None:
        return image
    legal = range(image.shape[-1])
    if len(channels) not in (1, 3) or not all(channel in legal for channel in channels):
        raise ValueError(
            f"channels must be one or three of 0 to {legal[-1]}, got {tuple(channels)}"
        )
    return image[..., list(channels)]


def _line(values: np.ndarray) -> np.ndarray:
    """Values (T,) in 0..255 as a black line on white, (LINE_HEIGHT, T or a multiple)."""
    wide = np.repeat(values, -(-SMALL_SIDE // len(values))).astype(float)
    rows = np.rint((255 - wide) / 255 * (LINE_HEIGHT - 1)).astype(int)
    before = np.append(rows[:1], rows[:-1])
    top, bottom = np.minimum(rows, before), np.maximum(rows, before)
    y = np.arange(LINE_HEIGHT)[:, None]
    return np.where((top <= y) & (y <= bottom), 0, 255).astype("uint8")
