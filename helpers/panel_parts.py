"""The panel's parts: labelled controls, and a map with its caption as HTML."""

import base64
import io
import math
from collections.abc import Sequence
from html import escape

import ipywidgets
import numpy as np
import xarray as xr
from PIL import Image

from helpers.spec import GRID, MapSpec

LOG_WEIGHTS = (-5, 3)
"""Exponents at the ends of a weight's slider; the text box beside it takes 0 as well."""
MOST = 1e6
WIDE = {"description_width": "9em"}


def dropdown(name: str, options: Sequence = (), value=None) -> ipywidgets.Dropdown:
    """Make a dropdown; `value` None chooses the first option."""
    chosen = {} if value is None else {"value": value}
    return ipywidgets.Dropdown(options=options, description=name, style=WIDE, **chosen)


def integer(name: str, value: int, low: int, high: int) -> ipywidgets.BoundedIntText:
    """Make a text box for an integer from `low` to `high`."""
    return ipywidgets.BoundedIntText(value, min=low, max=high, description=name, style=WIDE)


def integer_with_slider(name: str) -> tuple[ipywidgets.BoundedIntText, ipywidgets.IntSlider]:
    """Make a text box from 0 to its `max` and a slider, linked.

    The box carries the name: ipywidgets gives a slider none that a screen reader can tell.
    """
    box = integer(name, 0, 0, 0)
    slider = ipywidgets.IntSlider(min=0, max=0, readout=False, continuous_update=False)
    ipywidgets.link((box, "max"), (slider, "max"))
    ipywidgets.link((box, "value"), (slider, "value"))
    return box, slider


def weight_with_slider(
    name: str, value: float
) -> tuple[ipywidgets.BoundedFloatText, ipywidgets.FloatLogSlider]:
    """Make a text box from 0 to `MOST` and a logarithmic slider that follow each other.

    The slider stands at its nearest end for a weight beyond its ends, which the box keeps.
    """
    box = ipywidgets.BoundedFloatText(value, min=0, max=MOST, description=name, style=WIDE)
    low, high = LOG_WEIGHTS
    slider = ipywidgets.FloatLogSlider(
        value, min=low, max=high, step=0.1, readout=False, continuous_update=False
    )

    def nearest() -> float:
        return min(max(box.value, 10.0**low), 10.0**high)

    def to_slider(_) -> None:
        slider.value = nearest()

    def to_box(_) -> None:
        if not math.isclose(slider.value, nearest()):
            box.value = slider.value

    box.observe(to_slider, names="value")
    slider.observe(to_box, names="value")
    return box, slider


def display(raw: np.ndarray) -> np.ndarray:
    """Bring a raw picture (H, W, C) to what a person is shown, uint8.

    Its z-score times 0.1 plus 0.5, clipped, times 255 (keras-vis 0.4.1, `utils.deprocess_input`).
    """
    z_score = (raw - raw.mean()) / (raw.std() + 1e-7)
    return (np.clip(z_score * 0.1 + 0.5, 0, 1) * 255).astype("uint8")


def picture(dataset: xr.Dataset) -> np.ndarray:
    """Take the display map (H, W, C) uint8 of a Dataset of one map."""
    return _only(dataset)["display"].values


def describe(spec: MapSpec) -> str:
    """Say which map a spec of one map asks for, in three lines."""
    tv, lp, seed = spec.tv_weights[0], spec.lp_weights[0], spec.seeds[0]
    return (
        f"{spec.sign.capitalize()}Map of {spec.layer}\n"
        f"unit {spec.units[0]}, {spec.objective}\n"
        f"TV {tv:g}, LP {lp:g}, seed {seed}"
    )


def caption(dataset: xr.Dataset) -> str:
    """Say which map it is and its activation, raw → as shown."""
    one = _only(dataset)
    raw, shown = float(one["activation_raw"]), float(one["activation_display"])
    return f"{describe(MapSpec.from_toml(dataset.attrs['spec']))}\n{raw:.3g} → {shown:.3g}"


def numbers(dataset: xr.Dataset) -> str:
    """Say what the search had to follow and what it reached."""
    one = _only(dataset)
    gradient = float(one["gradient_seed"])
    follows = f"yes ({gradient:.2g} RMS)" if gradient else "no, it starts on the regularizers alone"
    return (
        "(activation of the raw map → of the map as shown;"
        f" {float(one['activation_seed']):.3g} at the seed input)\n"
        f"lowest loss: {float(one['loss'].min()):.4g}\n"
        f"gradient at the seed input: {follows}"
    )


def html(pixels: np.ndarray, text: str, *, width: int) -> str:
    """A figure of pixels (H, W, C) uint8 with the text as alt and caption.

    Each pixel is shown as a square of whole pixels, so that about `width` px are filled.
    """
    png = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(png, format="png")
    data = base64.b64encode(png.getvalue()).decode()
    lines = text.splitlines()
    shown = max(1, round(width / pixels.shape[1])) * pixels.shape[1]
    return (
        f'<figure style="margin:.5em;max-width:{max(shown, 160)}px">'
        f'<img alt="{escape("; ".join(lines))}" width="{shown}"'
        f' style="image-rendering:pixelated" src="data:image/png;base64,{data}">'
        f'<figcaption style="line-height:1.4">{"<br>".join(map(escape, lines))}</figcaption>'
        "</figure>"
    )


def _only(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.isel({dim: 0 for dim in GRID})
