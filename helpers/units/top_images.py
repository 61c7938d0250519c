"""The images that activate a unit most and least, and where in them."""

import keras
import numpy as np
import xarray as xr

from helpers import attribution, models
from helpers.attribution.grad_cam import image_like
from helpers.maps.objectives import Unit

ENDS = ("max", "min")


def top_activating_images(responses: xr.Dataset, count: int = 4) -> xr.Dataset:
    """The images that activate every unit most and least, at most one of each group.

    Args:
        responses: from `measure_responses`.
        count: how many, at least 1; fewer where there are fewer groups.

    Returns:
        Over (end, unit, rank), end "max" (the top-activating images) or "min": `image`, the index;
        `activation`, by which they are ranked; `row` and `column`, the neuron with the largest (or
        smallest) value on it.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    groups = responses["group"].values
    count = min(count, len(np.unique(groups)))
    activation = responses["activation"].transpose("image", "unit").values
    parts = []
    for end in ENDS:
        order = np.argsort(-activation if end == "max" else activation, axis=0, kind="stable")
        images = np.array([_first_of_each(groups, column)[:count] for column in order.T])
        at = (images, np.arange(len(images))[:, None])
        values = {"image": images, "activation": activation[at]}
        for name in ("row", "column"):
            values[name] = responses[f"{end}_{name}"].transpose("image", "unit").values[at]
        parts.append(xr.Dataset({name: (("unit", "rank"), v) for name, v in values.items()}))
    return xr.concat(parts, "end").assign_coords(end=list(ENDS), unit=responses["unit"])


def where_in_top_images(
    model: keras.Model,
    pixels: np.ndarray,
    responses: xr.Dataset,
    *,
    count: int = 4,
    preprocessing=None,
) -> xr.DataArray:
    """Where in its top-activating images a unit sees what activates it.

    Of a convolution that is where the unit itself is active: its activation, resized to the image.
    Of a dense unit it is Grad-CAM of the pre-activation, by the last layer before it that is
    image-like and no pooling; saliency where there is no such layer.

    Args:
        model: the model of the responses.
        pixels: (N, H, W, C), 0..255, the images of the responses at the model's size.
        responses: from `measure_responses`, of the units that are asked for.
        count, preprocessing: as `top_activating_images` and `attribution.attribute` take them.

    Returns:
        (unit, rank, height, width), in units of the activation over the number of positions, or
        as the method; an image of rank r is that of `top_activating_images` at "max".

    Raises:
        ValueError: as those two.
    """
    layer = responses.attrs["layer"]
    is_image_like = len(models.find_layer(model, layer).output_shape) == 3
    method = attribution.GradCam(layer if is_image_like else None)
    if not is_image_like and not image_like(model, until={layer}):
        method = attribution.Saliency()
    images = top_activating_images(responses, count)["image"].sel(end="max")
    heatmaps = []
    for unit in responses["unit"].values:
        target = Unit(layer, int(unit), pre_activation=not is_image_like)
        chosen = pixels[images.sel(unit=unit)]
        made = attribution.attribute(method, model, chosen, target, preprocessing=preprocessing)
        heatmaps.append(made["heatmap"].isel(target=0).values)
    dims = ("unit", "rank", "height", "width")
    attributes = {"method": str(method), "layer": layer}
    return xr.DataArray(np.stack(heatmaps), {"unit": responses["unit"]}, dims, attrs=attributes)


def _first_of_each(groups: np.ndarray, order: np.ndarray) -> np.ndarray:
    _, first = np.unique(groups[order], return_index=True)
    return order[np.sort(first)]
