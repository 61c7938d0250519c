"""What the units of a layer do on each image."""

import keras
import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from helpers import maps, models
from helpers.faces.dataset import Faces
from helpers.images import as_input
from helpers.maps import targets


def measure_responses(
    model: keras.Model,
    faces: Faces,
    layer: str | int,
    *,
    objective: str = "activation",
    preprocessing=None,
    batch: int = 64,
    progress: bool = True,
) -> xr.Dataset:
    """What every unit of a layer does on each image.

    Args:
        model: the net.
        faces: labelled images; brought to the net's size and channels by `evaluation.as_input`.
        layer: name or index of a layer with units.
        objective: what a unit's activation is, as `MapSpec` takes it.
        preprocessing: what the net expects, as `preprocessing.from_pixels` takes it.
        batch: images at a time.
        progress: show a bar.

    Returns:
        Over (image, unit): `activation`, the mean over positions; `positive` (0..1), the share of
        the positions above 0; `most` and `least`, the largest and smallest value at any position,
        and `most_row`, `most_column`, `least_row`, `least_column`, where (0 for a dense layer).
        Over `image`: `brightness`, the mean pixel (0..255), and coordinates `label` and `person`.

    Raises:
        ValueError: no such layer, one without units, or no such objective.
    """
    spec = maps.make_spec(model, layer, objective=objective, preprocessing=preprocessing)
    digest = models.weight_digest(model)
    net = targets.target_of(model, spec, digest)
    pixels = as_input(faces.images, net.input_shape[1:])
    parts = [_measured(out) for out in _outputs(net, pixels, batch, progress)]
    variables = {
        name: (("image", "unit"), np.concatenate([part[name] for part in parts]))
        for name in parts[0]
    }
    variables["brightness"] = ("image", pixels.mean((1, 2, 3), dtype="float64"))
    coordinates = {
        "image": np.arange(len(pixels)),
        "unit": np.arange(parts[0]["activation"].shape[1]),
        "label": ("image", np.array(faces.class_names)[faces.labels]),
        "person": ("image", faces.people),
    }
    attributes = {
        "layer": spec.layer,
        "objective": objective,
        "weight_digest": digest,
    }
    return xr.Dataset(variables, coordinates, attributes)


def _outputs(net: keras.Model, pixels: np.ndarray, batch: int, progress: bool):
    starts = range(0, len(pixels), batch)
    for start in tqdm(starts, desc="images", disable=not progress, leave=False):
        yield np.asarray(net(pixels[start : start + batch]), "float64")


def _measured(outputs: np.ndarray) -> dict[str, np.ndarray]:
    columns = outputs.shape[2] if outputs.ndim == 4 else 1
    flat = outputs.reshape(len(outputs), -1, outputs.shape[-1])
    found = {"activation": flat.mean(1), "positive": (flat > 0).mean(1)}
    for name, position in (("most", flat.argmax(1)), ("least", flat.argmin(1))):
        found[name] = np.take_along_axis(flat, position[:, None], 1)[:, 0]
        found[f"{name}_row"], found[f"{name}_column"] = np.divmod(position, columns)
    return found
