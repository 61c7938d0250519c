"""What the post saw and could not explain, each as numbers.

A gradient is that of a unit's objective (its activation, a mean over positions) at the seed input
that keras-vis makes in its `input_range`; nothing is rescaled on the way into the model.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
import xarray as xr

from experiments.experiment1 import observations
from helpers import models
from helpers.faces import training
from helpers.faces.training import Setup
from helpers.maps.dataset import IMAGE
from helpers.measures import appearance

Range = tuple[float, float]
PIXELS: Range = (0, 255)


def awake(maps: xr.Dataset) -> list:
    """Units that have a gradient at one seed input at least, in order; all where none has."""
    has_gradient = (maps["gradient_seed"] > 0).any("seed")
    return maps["unit"].values[has_gradient.values | ~has_gradient.any().values].tolist()


def over_weights(*maps: xr.Dataset) -> xr.Dataset:
    """Maps of the same units and seeds at several TV weights as one Dataset, in their order."""
    return xr.concat(maps, "tv_weight", data_vars="minimal").sortby("tv_weight")


def alone(maps: xr.Dataset, *, input_range: Range = PIXELS) -> xr.Dataset:
    """What the regularizers make alone at the weights and seeds of maps.

    Args:
        maps: as `happy_maps` returns them.
        input_range: as `observations.maps_of` takes it.
    """
    weights = (tuple(maps[dim].values.tolist()) for dim in ("tv_weight", "lp_weight", "seed"))
    grid = observations.Grid("nothing", 1, *weights)
    shape = tuple(maps.sizes[dim] for dim in IMAGE)
    return observations.regularizers_alone(shape, grid, input_range, steps=int(maps.attrs["steps"]))


def look(maps: xr.Dataset, *, input_range: Range = PIXELS) -> xr.Dataset:
    """`observations.look` at maps beside what the regularizers make alone."""
    return observations.look(maps, alone(maps, input_range=input_range))


def beside_alone(maps: xr.Dataset, alone: xr.Dataset) -> xr.Dataset:
    """Maps of filters, and under them the regularizers' own, as one Dataset for a figure."""
    named = [
        maps.assign_coords(unit=[f"filter {unit}" for unit in maps["unit"].values]),
        alone.assign_coords(unit=["no filter"]),
    ]
    return xr.concat(named, "unit", combine_attrs="drop_conflicts")


def periods(maps: xr.Dataset) -> np.ndarray:
    """Mean period of each map without frame and checkerboard, in pixels."""
    smooth = observations.without_checkerboard(maps["display"])
    return observations.mean_period(appearance.without_frame(smooth)).values


def difference_from_alone(maps: xr.Dataset, alone: xr.Dataset) -> xr.DataArray:
    """Image 7: how far each raw map is from the regularizers' own, at most over the pixels.

    Args:
        maps: (unit, tv_weight, lp_weight, seed, height, width, channel), as `happy_maps` returns.
        alone: from `observations.regularizers_alone`, at the same weights and seeds.

    Returns:
        Over (unit, tv_weight, lp_weight, seed), in pixel values; 0: one and the same map.
    """
    return abs(maps["raw"] - alone["raw"].isel(unit=0, drop=True)).max(IMAGE)


def first_gradients(
    model: keras.Model, layer: str, *, seed: int = 0, input_range: Range = PIXELS
) -> np.ndarray:
    """Gradient (units, H, W, C) of every unit of a layer at the seed's input."""
    cut = models.at_layer(model, layer)
    start = tf.constant(observations.seed_input(model.input_shape[1:], seed, input_range)[None])
    axes = list(range(1, len(cut.output_shape) - 1))

    @tf.function
    def gradient(unit):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(start)
            score = tf.reduce_mean(cut(start), axis=axes)[0, unit]
        return tape.gradient(score, start)[0]

    return np.stack([gradient(tf.constant(unit)).numpy() for unit in range(cut.output_shape[-1])])


def evenness(
    model: keras.Model, layer: str, *, seed: int = 0, input_range: Range = PIXELS
) -> pd.DataFrame:
    """Images 4 and 5: filters whose maps cannot have a pattern.

    The gradient of a ReLU filter that is active at every position is the sum of its kernel at every
    pixel away from the border: nothing in it makes a pattern. keras-vis moves pixels by the sign of
    the gradient rather than its size. So where the sums differ in sign from channel to channel, the
    channels part and the map is one even colour (Image 5). Where all have one sign, the channels
    move as one; the display takes the mean away and stretches what is left, the noise of the seed
    input (Image 4).

    Returns:
        By unit `active`, the share of positions (0..1) where the filter is above 0 at the seed's
        input; `variation`, the standard deviation over positions inside of the frame over the
        root mean square of the gradient there, 0 for an even gradient, NaN for a silent unit; and
        `one sign`, whether the gradient's means over positions have one sign in all channels.
    """
    start = observations.seed_input(model.input_shape[1:], seed, input_range)
    active = (np.asarray(models.at_layer(model, layer)(start[None]))[0] > 0).mean((0, 1))
    each = first_gradients(model, layer, seed=seed, input_range=input_range)
    inside = appearance.without_frame(xr.DataArray(each, dims=("unit", *IMAGE))).astype("float64")
    means = inside.mean(("height", "width"))
    deviation = np.sqrt(((inside - means) ** 2).mean(IMAGE))
    size = np.sqrt((inside**2).mean(IMAGE))
    columns = {
        "active": active,
        "variation": (deviation / size.where(size > 0)).values,
        "one sign": (abs(np.sign(means).sum("channel")) == means.sizes["channel"]).values,
    }
    return pd.DataFrame(columns, pd.RangeIndex(len(active), name="unit"))


def noise_kept(maps: xr.Dataset, *, input_range: Range = PIXELS) -> xr.DataArray:
    """Image 4: correlation of each displayed map with the noise that it started from.

    Inside of the frame, each channel less its mean; 1: the map is its seed input, stretched.

    Args:
        maps: as `observations.maps_of` returns them.
        input_range: what they were made with.
    """
    shape = tuple(maps.sizes[dim] for dim in IMAGE)
    starts = [observations.seed_input(shape, seed, input_range) for seed in maps["seed"].values]
    noise = xr.DataArray(np.stack(starts), {"seed": maps["seed"]}, ("seed", *IMAGE))
    parts = [
        appearance.without_frame(images).astype("float64") for images in (maps["display"], noise)
    ]
    first, second = (part - part.mean(("height", "width")) for part in parts)
    return xr.corr(first, second, IMAGE)


def high_frequency(maps: xr.Dataset) -> pd.DataFrame:
    """Image 4: high-frequency share (0..1, noise 0.80) by unit and TV weight, seed by seed."""
    share = appearance.high_frequency_share(maps["display"])
    return share.isel(lp_weight=0, drop=True).mean("seed").to_pandas()


def noise_tv_gradient(shape: tuple[int, int, int], input_range: Range = PIXELS) -> float:
    """Root mean square over pixels of the gradient of TV / n at a seed input, TV weight 1.

    Away from the border d TV / d x = 2 (4 x - its four neighbours), so for white noise of standard
    deviation s it is `2 s sqrt(16 + 4) / n`, n = H W C; s is 0.05 of the width of `input_range`.
    """
    low, high = input_range
    return float(2 * 0.05 * (high - low) * np.sqrt(20) / np.prod(shape))


def balance(
    model: keras.Model, layers: Sequence[str], *, seed: int = 0, input_range: Range = PIXELS
) -> pd.DataFrame:
    """Why dense neurons need a larger TV weight than filters.

    Returns:
        By layer, over its units that are not silent at the seed's input: `positions` that the
        objective is a mean of; `gradient`, the median root mean square over pixels of the
        gradient; `weight`, the TV weight at which TV's gradient is as large there; and
        `of the sum`, that weight if the objective were the sum over positions.
    """
    per_weight = noise_tv_gradient(model.input_shape[1:], input_range)
    rows = {}
    for layer in layers:
        gradients = first_gradients(model, layer, seed=seed, input_range=input_range)
        sizes = np.sqrt((gradients**2).mean((1, 2, 3)))
        gradient = float(np.median(sizes[sizes > 0])) if (sizes > 0).any() else np.nan
        positions = int(np.prod(models.at_layer(model, layer).output_shape[1:-1]))
        weight = gradient / per_weight
        rows[layer] = {
            "positions": positions,
            "gradient": gradient,
            "weight": weight,
            "of the sum": weight * positions,
        }
    return pd.DataFrame(rows).T.rename_axis("layer")


def reach(looks: Mapping[str, xr.Dataset]) -> pd.Series:
    """Largest TV weight at which half of the units that are not silent show in their maps.

    Args:
        looks: by layer, from `observations.look`.
    """
    largest = {}
    for layer, look in looks.items():
        shows = look["shows"].where(~look["silent"]).isel(lp_weight=0)
        share = shows.mean(("unit", "seed"))
        reached = share["tv_weight"].values[(share >= 0.5).values]
        largest[layer] = reached.max() if len(reached) else np.nan
    return pd.Series(largest, name="reach").rename_axis("layer")


def opposition(
    model: keras.Model, layer: str, *, seed: int = 0, input_range: Range = PIXELS
) -> dict[str, float]:
    """Why the two outputs' maps are complements: the outputs of a softmax add to 1.

    Returns:
        `sum`: root mean square of the two outputs' gradients added, over that of output 0's: 0 for
        opposite gradients, NaN where the outputs are saturated. `cosine` of the two, -1 for
        opposite.

    Raises:
        ValueError: the layer has not two units.
    """
    gradients = first_gradients(model, layer, seed=seed, input_range=input_range)
    if len(gradients) != 2:
        raise ValueError(f"layer must have two units, got {len(gradients)} in {layer!r}")
    first, second = gradients.reshape(2, -1).astype("float64")
    length = np.linalg.norm(first)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "sum": float(np.linalg.norm(first + second) / length),
            "cosine": float(first @ second / (length * np.linalg.norm(second))),
        }


def colour_since_start(model: keras.Model, setup: Setup, seed: int) -> dict[str, float]:
    """Where the colours of maps come from: gray photographs never teach a channel from another.

    With three equal channels the gradients of a first kernel's channels are equal, so training
    (Adam too) moves them together and their differences stay those of the initial weights.

    Args:
        model: trained on gray photographs as RGB.
        setup: what it was trained by.
        seed: of its training.

    Returns:
        `moved`: root mean square of how far training moved the first kernels; `colour`: that of
        the kernels less their mean over channels; `colour moved`: how far training moved that.
    """
    start = training.build_model(model.input_shape[1:], model.output_shape[-1], setup, seed=seed)
    before, after = (
        each.get_layer("conv2d_1").get_weights()[0].astype("float64") for each in (start, model)
    )

    def colour(kernel):
        return kernel - kernel.mean(2, keepdims=True)

    return {
        "moved": _rms(after - before),
        "colour": _rms(colour(after)),
        "colour moved": _rms(colour(after) - colour(before)),
    }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))
