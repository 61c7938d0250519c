"""What the units of a layer do on each image."""

import keras
import numpy as np
import xarray as xr

from helpers import maps, models
from helpers.images import LabelledImages, as_input
from helpers.maps import targets
from helpers.models.forward import Forward


def measure_responses(
    model: keras.Model,
    images: LabelledImages,
    layer: str | int,
    *,
    objective: str = "activation",
    preprocessing=None,
    batch: int = 64,
    progress: bool = True,
) -> xr.Dataset:
    """What every unit of a layer does on each image.

    Args:
        model: Functional or Sequential.
        images: labelled images, brought to the model's size and channels by `images.as_input`.
        layer: name or index of a layer with units.
        objective: what a unit's activation is: "activation", "pre-activation" or "pre-activation
            minus others".
        preprocessing: what the model expects, as `models.from_pixels` takes it.
        batch: images at a time.
        progress: show a bar.

    Returns:
        Over (image, unit): `activation`, the mean over positions; `positive` (0..1), the share of
        the positions above 0; `max` and `min` over the positions, and where they are, `max_row`,
        `max_column`, `min_row` and `min_column` (0 for a dense layer). Over `image`: `brightness`,
        the mean pixel (0..255), and coordinates `label` and `group`.

    Raises:
        ValueError: no such layer, one without units, or no such objective.
    """
    spec = maps.make_spec(model, layer, objective=objective, preprocessing=preprocessing)
    digest = models.weight_digest(model)
    target = targets.target_of(model, spec, digest)
    pixels = as_input(images.images, target.input_shape[1:])
    outputs = Forward(target).batches(pixels, batch=batch, progress=progress)
    parts = [_over_positions(part.astype("float64")) for part in outputs]
    variables = {
        name: (("image", "unit"), np.concatenate([part[name] for part in parts]))
        for name in parts[0]
    }
    variables["brightness"] = ("image", pixels.mean((1, 2, 3), dtype="float64"))
    coordinates = {
        "image": np.arange(len(pixels)),
        "unit": np.arange(parts[0]["activation"].shape[1]),
        "label": ("image", np.array(images.class_names)[images.labels]),
        "group": ("image", images.group_names),
    }
    attributes = {"layer": spec.layer, "objective": objective, "weight_digest": digest}
    return xr.Dataset(variables, coordinates, attributes)


def _over_positions(outputs: np.ndarray) -> dict[str, np.ndarray]:
    columns = outputs.shape[2] if outputs.ndim == 4 else 1
    flat = outputs.reshape(len(outputs), -1, outputs.shape[-1])
    numbers = {"activation": flat.mean(1), "positive": (flat > 0).mean(1)}
    for name, position in (("max", flat.argmax(1)), ("min", flat.argmin(1))):
        numbers[name] = np.take_along_axis(flat, position[:, None], 1)[:, 0]
        numbers[f"{name}_row"], numbers[f"{name}_column"] = np.divmod(position, columns)
    return numbers
