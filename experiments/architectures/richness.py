"""How rich the maps of a model are, and what its units do: per layer, any architecture."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from helpers import maps, models
from helpers.images import LabelledImages, as_pixels
from helpers.maps import dataset
from helpers.maps.dataset import as_grid, one_weight
from helpers.measures.appearance import APPEARANCE_CLASSES, unit_appearance
from helpers.measures.repeatability import NO_MAP, REPEATABLE, VERDICTS, judge_repeatability
from helpers.measures.similarity import image_similarity
from helpers.units import ablation, census, redundancy
from helpers.units.responses import measure_responses

INTERPRETABLE_CLASSES = ("edge-like", "textured", "object-like")
ALL_CLASSES = (*APPEARANCE_CLASSES, NO_MAP)
LAST_CONVOLUTION, OUTPUT = "last convolution", "output"


@dataclass(frozen=True)
class MapSettings:
    """How the maps of every model are optimized.

    An activation counts in units of its layer's scale, the median over the live units of their
    standard deviation over images, so that a weight of a regularizer means the same in every layer
    of every model.

    Attributes:
        convolution, dense, output: TV weights, in such units, by type of layer.
        lp: LP weight, in such units.
        units: how many units of a layer, the first ones (their order is random).
        seeds: seed inputs, at least two.
        steps: gradient steps.
    """

    convolution: float = 0.02
    dense: float = 0.1
    output: float = 0.03
    lp: float = 10.0
    units: int = 8
    seeds: Sequence[int] = (0, 1, 2)
    steps: int = 200


def mapped_layers(model: keras.Model) -> dict[str, str]:
    """The layers that are compared, by role: each convolution, the first dense layer, the output.

    The deepest convolution is there under its own name and as "last convolution".
    """
    convolutions, dense = _of_type(model, "Conv2D"), _of_type(model, "Dense")
    roles = {name: name for name in (*convolutions, *dense[:-1][:1])}
    return roles | {LAST_CONVOLUTION: convolutions[-1], OUTPUT: dense[-1]}


def optimize_maps(
    model: keras.Model, images: LabelledImages, how: MapSettings, *, progress: bool = True
) -> dict[str, xr.Dataset]:
    """Maps of every compared layer: what `happy_maps` returns, by the layer's name.

    Args:
        model: takes pixels 0..255, ends in a softmax.
        images: over which the scale of activations is taken.
        how: the settings; logits of the output, activations elsewhere.
        progress: show a bar.
    """
    layers = mapped_layers(model)
    names = dict.fromkeys(layers.values())
    return {
        layer: _optimize(model, images, layer, how, is_output=layer == layers[OUTPUT])
        for layer in tqdm(names, desc="mapped layers", disable=not progress, leave=False)
    }


def measure_layers(
    model: keras.Model, images: LabelledImages, maps_by_layer: dict[str, xr.Dataset]
) -> xr.Dataset:
    """Measure every compared layer: its units and its maps.

    Args:
        model: takes pixels 0..255, ends in a softmax.
        images: labelled images to judge against, of test people.
        maps_by_layer: from `optimize_maps`.

    Returns:
        Over (layer, appearance_class, verdict), layers as `mapped_layers` calls them: `units`;
        `dead`, `always_on` and `redundant` (0..1), shares of all units, redundant those whose
        activation correlates by 0.9 with another's; `effective_rank`; `scale`, the unit in which
        activations count. Of the units that were mapped: `raised` (0..1), the share of the maps
        that raised the activation; `appearance_share` and `verdict_share`, shares of the units;
        `interpretable` (0..1), the share whose map is edge-like, textured or object-like and whose
        verdict is stable or several facets; `texture_share`, `high_frequency_share` and `extent`,
        medians over the units with a map; `similarity`, the median similarity of a unit's own maps,
        and `null`, to other units' maps (the lower, the more the layer's maps differ).
    """
    roles = mapped_layers(model)
    rows = {
        layer: _measure_layer(model, images, layer, happy) for layer, happy in maps_by_layer.items()
    }
    return xr.concat([rows[layer] for layer in roles.values()], "layer").assign_coords(
        layer=list(roles)
    )


def prune(
    model: keras.Model,
    train_images: LabelledImages,
    test_images: LabelledImages,
    *,
    shares: Sequence[float],
    random: int = 2,
) -> xr.Dataset:
    """Accuracy of a model as ever more units of one convolution are held at their mean.

    Args:
        model: the model.
        train_images: on which the orders are made.
        test_images: on which accuracy is measured.
        shares: of the layer's units that are off, 0..1.
        random: how many random orders.

    Returns:
        `pruned_accuracy` (0..1) over (layer, order, share), order "cost" (units whose absence alone
        costs the least loss on the train images go first), "APoZ" (those that are zero most often
        go first) or "random", the mean of the random orders.
    """
    curves = {}
    for layer in _of_type(model, "Conv2D"):
        alone = ablation.ablate_each(model, train_images, layer, fill="mean", progress=False)
        responses = measure_responses(model, train_images, layer, progress=False)
        measures = xr.Dataset(
            {"cost": alone["loss_gained"], "APoZ": responses["positive"].mean("image")}
        )
        accuracy = ablation.ablation_curve(
            model,
            test_images,
            layer,
            measures,
            shares=shares,
            random=random,
            fill="mean",
            progress=False,
        )["accuracy"]
        is_random = accuracy["order"].str.startswith("random")
        mean = accuracy[is_random].mean("order").expand_dims(order=["random"])
        curves[layer] = xr.concat([accuracy[~is_random], mean], "order")
    curves[LAST_CONVOLUTION] = curves[layer]
    joined = xr.concat(curves.values(), "layer").assign_coords(layer=list(curves))
    return joined.to_dataset(name="pruned_accuracy")


def _of_type(model: keras.Model, layer_type: str) -> list[str]:
    return [info.name for info in models.layers(model) if info.kind == layer_type]


def _optimize(model, images, layer, how: MapSettings, *, is_output: bool) -> xr.Dataset:
    objective = "pre-activation" if is_output else "activation"
    responses = measure_responses(model, images, layer, objective=objective, progress=False)
    is_local = layer in _of_type(model, "Conv2D")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no gradient")
        return maps.happy_maps(
            model,
            layer,
            range(min(how.units, responses.sizes["unit"])),
            objective=objective,
            tv_weights=how.convolution if is_local else how.output if is_output else how.dense,
            lp_weights=how.lp,
            seeds=how.seeds,
            steps=how.steps,
            activation_weight=1 / _scale(responses),
            progress=False,
        )


def _scale(responses: xr.Dataset) -> float:
    deviation = responses["activation"].std("image")
    live = deviation.where(deviation > 0)
    return float(live.median()) if bool(live.notnull().any()) else 1.0


def _measure_layer(
    model: keras.Model, images: LabelledImages, layer: str, happy: xr.Dataset
) -> xr.Dataset:
    objective = happy.attrs["objective"]
    responses = {
        name: measure_responses(model, images, layer, objective=name, progress=False)
        for name in sorted({"activation", objective})
    }
    correlation = redundancy.activation_correlation(model, images, layer, progress=False)
    is_alive = np.isfinite(np.diag(correlation)).any()
    largest = redundancy.most_correlated_unit(correlation)["max_correlation"]
    units = census.unit_census(responses["activation"], selective_for=images.class_names[-1])
    happy = one_weight(as_grid(happy)).drop_vars(("tv_weight", "lp_weight"))
    appearance, classes = unit_appearance(happy, as_pixels(images.images))
    is_local = layer in _of_type(model, "Conv2D")
    judged = judge_repeatability(happy, image_similarity(happy, shifts=is_local, progress=False))
    is_clear = classes.isin(INTERPRETABLE_CLASSES) & judged["verdict"].isin(REPEATABLE)
    medians = ("texture_share", "high_frequency_share", "extent")
    numbers = {
        "units": units.sizes["unit"],
        "dead": float(units["dead"].mean()),
        "always_on": float(units["always_on"].mean()),
        "redundant": float((largest >= redundancy.REDUNDANT).mean()),
        "effective_rank": redundancy.effective_rank(correlation) if is_alive else 0.0,
        "scale": _scale(responses[objective]),
        "raised": float(dataset.raised(happy).mean()),
        **{name: float(appearance[name].median()) for name in medians},
        "similarity": float(judged["similarity"].median()),
        "null": float(judged["null"].median()),
        "interpretable": float(is_clear.mean()),
        "appearance_share": ("appearance_class", _shares(classes, ALL_CLASSES)),
        "verdict_share": ("verdict", _shares(judged["verdict"], VERDICTS)),
    }
    return xr.Dataset(numbers, {"appearance_class": list(ALL_CLASSES), "verdict": list(VERDICTS)})


def _shares(values: xr.DataArray, names: Sequence[str]) -> list[float]:
    return [float((values == name).mean()) for name in names]
