"""What a model loses without some of its units."""

from collections.abc import Sequence

import keras
import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from helpers import models
from helpers.images import LabelledImages, as_input
from helpers.models.forward import Forward
from helpers.units.responses import measure_responses

FILLS = ("zero", "mean")
SHARES = (0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1)


def ablate(
    model: keras.Model,
    images: LabelledImages,
    layer: str | int,
    groups: Sequence[Sequence[int]],
    *,
    fill: str = "zero",
    preprocessing=None,
    batch: int = 128,
    progress: bool = True,
) -> xr.Dataset:
    """Measure a model without each group of units of one layer (Morcos et al. 2018, 1803.06959).

    Args:
        model: puts out probabilities (N, classes).
        images: labelled as the model's outputs are.
        layer: path or index of a layer with units.
        groups: units that are switched off together; an empty group switches none off.
        fill: what a unit that is off puts out everywhere: "zero", or "mean", its mean over
            positions and these images.
        preprocessing: what the model expects, as `models.from_pixels` takes it.
        batch: images at a time.
        progress: show a bar.

    Returns:
        Over `group`: `accuracy` (0..1) and `loss`, the mean cross-entropy in nats.

    Raises:
        ValueError: no such layer, unit or fill.
    """
    if fill not in FILLS:
        raise ValueError(f"fill must be one of {FILLS}, got {fill!r}")
    groups = [models.check_units(model, layer, list(group)) for group in groups]
    labels, pixels = images.labels, as_input(images.images, models.image_shape(model))
    switch = Switch(models.unit_count(model, layer))
    forward = Forward(models.with_change(model, layer, switch, preprocessing=preprocessing))
    if fill == "mean":
        responses = measure_responses(
            model, images, layer, preprocessing=preprocessing, batch=batch, progress=False
        )
        switch.fill.assign(responses["activation"].mean("image").values)
    rows = []
    for group in tqdm(groups, desc="ablations", disable=not progress):
        on = np.ones(switch.on.shape, "float32")
        on[list(group)] = 0
        switch.on.assign(on)
        probabilities = forward(pixels, batch=batch)
        of_label = probabilities[np.arange(len(labels)), labels]
        loss = -np.log(np.clip(of_label, keras.config.epsilon(), 1)).mean(dtype="float64")
        rows.append(((probabilities.argmax(1) == labels).mean(), loss))
    accuracy, loss = np.array(rows).T
    return xr.Dataset({"accuracy": ("group", accuracy), "loss": ("group", loss)})


def ablate_each(
    model: keras.Model,
    images: LabelledImages,
    layer: str | int,
    *,
    fill: str = "zero",
    preprocessing=None,
    batch: int = 128,
    progress: bool = True,
) -> xr.Dataset:
    """What each unit's absence alone costs; arguments and errors as `ablate`.

    Returns:
        Over `unit`: `accuracy_lost` (of 1) and `loss_gained` (nats), below 0 where the model does
        better without the unit.
    """
    units = models.check_units(model, layer)
    groups = [(), *((unit,) for unit in units)]
    measured = ablate(
        model,
        images,
        layer,
        groups,
        fill=fill,
        preprocessing=preprocessing,
        batch=batch,
        progress=progress,
    )
    intact, ablated = measured.isel(group=0), measured.isel(group=slice(1, None))
    return xr.Dataset(
        {
            "accuracy_lost": ("unit", (intact["accuracy"] - ablated["accuracy"]).values),
            "loss_gained": ("unit", (ablated["loss"] - intact["loss"]).values),
        },
        {"unit": list(units)},
    )


def ablation_curve(
    model: keras.Model,
    images: LabelledImages,
    layer: str | int,
    measures: xr.Dataset,
    *,
    shares: Sequence[float] = SHARES,
    random: int = 5,
    seed: int = 0,
    fill: str = "zero",
    preprocessing=None,
    batch: int = 128,
    progress: bool = True,
) -> xr.Dataset:
    """Switch ever more units off, those of the smallest values of each measure first.

    A good measure of what matters keeps the accuracy high for long; APoZ (Hu et al. 2016,
    1607.03250) is such a measure with its sign turned.

    Args:
        model, images, layer, fill, preprocessing, batch, progress: as `ablate` takes them.
        measures: numbers over `unit`, one for every unit of the layer; NaN goes first.
        shares: of the units that are off, 0..1.
        random: how many random orders are added.
        seed: makes them.

    Returns:
        Over (order, share), the orders named after the measures and "random 1", "random 2" ...:
        `accuracy` and `loss`.

    Raises:
        ValueError: as `ablate`; or the measures do not cover every unit.
    """
    units = models.check_units(model, layer)
    if sorted(measures["unit"].values.tolist()) != list(units):
        raise ValueError(f"measures must cover units 0 to {len(units) - 1} of the layer")
    by_unit = measures.sortby("unit").astype("float64")
    orders = {
        name: np.argsort(np.nan_to_num(values.values, nan=-np.inf), kind="stable")
        for name, values in by_unit.data_vars.items()
    }
    rng = np.random.default_rng(seed)
    orders |= {f"random {i}": rng.permutation(len(units)) for i in range(1, random + 1)}
    counts = [round(share * len(units)) for share in shares]
    measured = ablate(
        model,
        images,
        layer,
        [order[:count] for order in orders.values() for count in counts],
        fill=fill,
        preprocessing=preprocessing,
        batch=batch,
        progress=progress,
    )
    shape = len(orders), len(counts)
    return xr.Dataset(
        {name: (("order", "share"), v.values.reshape(shape)) for name, v in measured.items()},
        {"order": list(orders), "share": list(shares)},
    )


class Switch(keras.layers.Layer):
    """Passes units (..., units) on: times `on`, plus `fill` where they are off."""

    def __init__(self, units: int):
        """All units are on, and `fill` is 0."""
        super().__init__(name="switch", trainable=False)
        self.on = self.add_weight(shape=(units,), initializer="ones", name="on")
        self.fill = self.add_weight(shape=(units,), initializer="zeros", name="fill")

    def call(self, inputs):
        """Switch."""
        return inputs * self.on + self.fill * (1 - self.on)
