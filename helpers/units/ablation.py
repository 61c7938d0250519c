"""What a net loses without some of its units, and whether a measure of them foresaw it."""

from collections.abc import Sequence

import keras
import numpy as np
import xarray as xr
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from helpers import models
from helpers.faces import evaluation
from helpers.faces.dataset import Faces
from helpers.images import as_input
from helpers.units.responses import measure_responses

FILLS = ("zero", "mean")
BATCH = 128


def without(
    model: keras.Model,
    faces: Faces,
    layer: str | int,
    groups: Sequence[Sequence[int]],
    *,
    fill: str = "zero",
    poses: bool = False,
    progress: bool = True,
) -> xr.Dataset:
    """Measure a net without each group of units of one layer (Morcos et al. 2018, 1803.06959).

    Args:
        model: takes pixels 0..255, puts out probabilities (N, classes).
        faces: labelled images, as `evaluation.evaluate` takes them.
        layer: name or index of a layer with units.
        groups: units that are switched off together; none of them in an empty group.
        fill: what a unit that is off puts out everywhere: "zero", or "mean", its mean over
            positions and these images.
        poses: the net tells the four poses apart.
        progress: show a bar.

    Returns:
        Over `group`: `accuracy` (0..1) and `loss`, the mean cross-entropy in nats.

    Raises:
        ValueError: no such layer, unit or fill.
    """
    if fill not in FILLS:
        raise ValueError(f"fill must be one of {FILLS}, got {fill!r}")
    groups = [models.check_units(model, layer, list(group)) for group in groups]
    labels = evaluation.truth(faces, poses=poses)[0]
    pixels = as_input(faces.images, model.input_shape[1:])
    switch = Switch(models.unit_count(model, layer))
    net = _with_switch(model, models.keras_layer(model, layer), switch)
    if fill == "mean":
        responses = measure_responses(model, faces, layer, progress=False)
        switch.fill.assign(responses["activation"].mean("image").values)
    measured = []
    for group in tqdm(groups, desc="ablations", disable=not progress):
        on = np.ones(switch.on.shape, "float32")
        on[list(group)] = 0
        switch.on.assign(on)
        parts = [net.predict_on_batch(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)]
        probabilities = np.concatenate(parts)
        right = probabilities[np.arange(len(labels)), labels]
        loss = -np.log(np.clip(right, keras.config.epsilon(), 1)).mean(dtype="float64")
        measured.append(((probabilities.argmax(1) == labels).mean(), loss))
    accuracy, loss = np.array(measured).T
    return xr.Dataset({"accuracy": ("group", accuracy), "loss": ("group", loss)})


def one_by_one(model: keras.Model, faces: Faces, layer: str | int, **options) -> xr.Dataset:
    """What each unit's absence alone costs; arguments and errors as `without`.

    Returns:
        Over `unit`: `accuracy_lost` (of 1) and `loss_gained` (nats), both below 0 where the net
        does better without.
    """
    units = models.check_units(model, layer)
    measured = without(model, faces, layer, [(), *((unit,) for unit in units)], **options)
    whole, each = measured.isel(group=0), measured.isel(group=slice(1, None))
    return xr.Dataset(
        {
            "accuracy_lost": ("unit", (whole["accuracy"] - each["accuracy"]).values),
            "loss_gained": ("unit", (each["loss"] - whole["loss"]).values),
        },
        {"unit": list(units)},
    )


def in_order(
    model: keras.Model,
    faces: Faces,
    layer: str | int,
    measures: xr.Dataset,
    *,
    shares: Sequence[float] = (0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1),
    random: int = 5,
    seed: int = 0,
    **options,
) -> xr.Dataset:
    """Switch units off, those of the smallest values first, in the order of each measure.

    A good measure of what matters leaves the accuracy high for long; APoZ (Hu et al. 2016,
    1607.03250) is such a measure with its sign turned.

    Args:
        model, faces, layer: as `without` takes them; `options` too.
        measures: numbers over `unit`, one for every unit of the layer; NaN goes first.
        shares: of the units that are off, 0..1.
        random: how many random orders are added.
        seed: makes them.

    Returns:
        Over (order, share), the orders named after the measures and "random 1", "random 2" ...:
        `accuracy` and `loss`.

    Raises:
        ValueError: as `without`; or the measures do not cover every unit.
    """
    units = models.check_units(model, layer)
    if sorted(measures["unit"].values.tolist()) != list(units):
        raise ValueError(f"measures must cover units 0 to {len(units) - 1} of the layer")
    ordered = measures.sortby("unit")
    orders = {
        name: np.argsort(np.nan_to_num(values.values.astype("float64"), nan=-np.inf), kind="stable")
        for name, values in ordered.data_vars.items()
    }
    draw = np.random.default_rng(seed)
    orders |= {f"random {i}": draw.permutation(len(units)) for i in range(1, random + 1)}
    counts = [round(share * len(units)) for share in shares]
    groups = [order[:count] for order in orders.values() for count in counts]
    measured = without(model, faces, layer, groups, **options)
    shape = len(orders), len(counts)
    return xr.Dataset(
        {name: (("order", "share"), v.values.reshape(shape)) for name, v in measured.items()},
        {"order": list(orders), "share": list(shares)},
    )


def foreseen(measures: xr.Dataset, lost: xr.DataArray) -> xr.Dataset:
    """How far each measure ranks the units as their ablation does: Spearman's rank correlation.

    Args:
        measures: numbers over `unit`.
        lost: what each unit's absence costs, from `one_by_one`.

    Returns:
        Over `measure`: `rho` (-1..1), its two-sided `p` and `units`, how many have a value. NaN
        where all values of a measure are equal.
    """
    rows = []
    for values in measures.data_vars.values():
        a, b = xr.align(values.astype("float64").dropna("unit"), lost)
        constant = a.size < 3 or a.std() == 0 or b.std() == 0
        rho, p = (np.nan, np.nan) if constant else spearmanr(a, b)
        rows.append((rho, p, a.size))
    rho, p, units = np.array(rows).T
    return xr.Dataset(
        {"rho": ("measure", rho), "p": ("measure", p), "units": ("measure", units.astype(int))},
        {"measure": list(measures)},
    )


class Switch(keras.layers.Layer):
    """Hands on units (..., units): times `on`, plus `fill` where they are off."""

    def __init__(self, units: int):
        """All units are on, and `fill` is 0."""
        super().__init__(name="switch", trainable=False)
        self.on = self.add_weight(shape=(units,), initializer="ones", name="on")
        self.fill = self.add_weight(shape=(units,), initializer="zeros", name="fill")

    def call(self, inputs):
        """Switch."""
        return inputs * self.on + self.fill * (1 - self.on)


def _with_switch(model: keras.Model, target: keras.Layer, switch: Switch) -> keras.Model:
    def call(layer, *arguments, **options):
        outputs = layer(*arguments, **options)
        return switch(outputs) if layer is target else outputs

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
