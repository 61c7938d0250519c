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


def raster(image: np.ndarray, channels: Sequence[int] | None = None) -> np.ndarray:
    """Bring an image to what a screen can show, (h, w) gray or (h, w, 3) RGB, uint8.

    One channel is gray and three are red, green, blue. Any other number is drawn channel by
    channel, as gray images side by side: a fourth channel is not transparency.

    Args:
        image: (H, W, C), or a volume (D, H, W, C), whose slices stand side by side; 0..255.
        channels: three channels to draw as red, green, blue; None as said above.

    Raises:
        ValueError: the image has another rank, or there are not three `channels` of it.
    """
    if image.ndim not in (3, 4):
        raise ValueError(f"image must be (H, W, C) or (D, H, W, C), got shape {image.shape}")
    if channels is not None:
        if len(channels) != 3 or not set(channels) <= set(range(image.shape[-1])):
            legal = f"three of 0 to {image.shape[-1] - 1}"
            raise ValueError(f"channels must be {legal}, got {tuple(channels)}")
        image = image[..., list(channels)]
    image = np.rint(image).astype("uint8")
    if image.ndim == 4:
        depth = np.linspace(0, len(image) - 1, min(len(image), MOST_SLICES)).astype(int)
        image = np.concatenate(list(image[depth]), axis=1)
    if image.shape[-1] == 3:
        return image
    return np.concatenate(list(np.moveaxis(image, -1, 0)), axis=1)


def display_size(image: np.ndarray, side: int = SMALL_SIDE) -> tuple[int, int]:
    """Width and height in pixels at which an image is drawn.

    The largest whole multiple of its pixels whose larger side is at most `side`, at least 1:1.
    """
    if image.ndim == 2:
        return 2 * side, side
    height, width = raster(image).shape[:2]
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
        axis.plot(image, linewidth=1)
        axis.set_xlim(0, len(image) - 1)
        return
    axis.spines[:].set_visible(False)
    pixels = raster(image, channels)
    box = axis.get_window_extent()
    is_enlarged = round(box.width) >= pixels.shape[1]
    interpolation = "nearest" if is_enlarged else "antialiased"
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation=interpolation)
