"""How rich the maps of a net are, and what its units do: one row a layer, any architecture."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from helpers import maps, models
from helpers.faces.dataset import Faces
from helpers.maps import dataset
from helpers.measures import kinds, repeatability, similarity
from helpers.units import ablation, census, redundancy
from helpers.units.responses import measure_responses

INTERPRETABLE_KINDS = ("edge-like", "textured", "object-like")
INTERPRETABLE_VERDICTS = ("stable", "several facets")
ALL_KINDS = (*kinds.KINDS, "no map")
LAST_CONVOLUTION, OUTPUT = "last convolution", "output"


@dataclass(frozen=True)
class MapSettings:
    """How the maps of every net are searched.

    An activation counts in units of its layer's scale, the median over the live units of their
    standard deviation over images, so that a weight of a regularizer means the same in every layer
    of every net.

    Attributes:
        convolution, dense, output: TV weights, in such units, by sort of layer.
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
    convolutions, dense = _of_kind(model, "Conv2D"), _of_kind(model, "Dense")
    roles = {name: name for name in (*convolutions, *dense[:-1][:1])}
    return roles | {LAST_CONVOLUTION: convolutions[-1], OUTPUT: dense[-1]}


def search(
    model: keras.Model, faces: Faces, how: MapSettings, *, progress: bool = True
) -> dict[str, xr.Dataset]:
    """Search maps of every compared layer: what `happy_maps` returns, by the layer's name.

    Args:
        model: takes pixels 0..255, ends in a softmax.
        faces: images over which the scale of activations is taken.
        how: the search; logits of the output, activations elsewhere.
        progress: show a bar.
    """
    layers = mapped_layers(model)
    names = dict.fromkeys(layers.values())
    return {
        layer: _search(model, faces, layer, how, is_output=layer == layers[OUTPUT])
        for layer in tqdm(names, desc="mapped layers", disable=not progress, leave=False)
    }


def of_net(model: keras.Model, faces: Faces, searched: dict[str, xr.Dataset]) -> xr.Dataset:
    """Measure every compared layer: its units and its maps.

    Args:
        model: takes pixels 0..255, ends in a softmax.
        faces: labelled images to judge against, of people that the net does not know.
        searched: from `search`.

    Returns:
        A Dataset over (layer, kind, verdict), layers as `mapped_layers` calls them: `units`;
        `dead`, `always_on` and `twins` (0..1), shares of all units, twins those whose activation
        correlates by 0.9 with another's; `effective_rank`; `scale`, the unit in which activations
        count. Of the units that were mapped: `found` (0..1), the share of the searches that raised
        the activation; `kind_share` and `verdict_share`, shares of the units; `interpretable`
        (0..1), the share whose map is edge-like, textured or object-like and whose verdict is
        stable or several facets; `texture`, `high_frequency` and `extent`, medians over the units
        with a map; `alike`, the median likeness of a unit's own maps, and `others`, to other units'
        maps (the lower, the more the layer's maps differ).
    """
    roles = mapped_layers(model)
    rows = {layer: _of_layer(model, faces, layer, maps) for layer, maps in searched.items()}
    return xr.concat([rows[layer] for layer in roles.values()], "layer").assign_coords(
        layer=list(roles)
    )


def pruned(
    model: keras.Model, known: Faces, unseen: Faces, *, shares: Sequence[float], random: int = 2
) -> xr.Dataset:
    """Accuracy of a net as ever more units of one convolution are held at their mean.

    Args:
        model: the net.
        known: images on which the orders are made.
        unseen: images on which accuracy is measured.
        shares: of the layer's units that are off, 0..1.
        random: how many random orders.

    Returns:
        `pruned_accuracy` (0..1) over (layer, order, share), order "cost" (units whose absence alone
        costs the least loss on `known` go first), "APoZ" (those that are zero most often go first)
        or "random", the mean of the random orders.
    """
    found = {}
    for layer in _of_kind(model, "Conv2D"):
        alone = ablation.one_by_one(model, known, layer, fill="mean", progress=False)
        responses = measure_responses(model, known, layer, progress=False)
        measures = xr.Dataset(
            {"cost": alone["loss_gained"], "APoZ": responses["positive"].mean("image")}
        )
        accuracy = ablation.in_order(
            model,
            unseen,
            layer,
            measures,
            shares=shares,
            random=random,
            fill="mean",
            progress=False,
        )["accuracy"]
        is_random = accuracy["order"].str.startswith("random")
        mean = accuracy[is_random].mean("order").expand_dims(order=["random"])
        found[layer] = xr.concat([accuracy[~is_random], mean], "order")
    found[LAST_CONVOLUTION] = found[layer]
    joined = xr.concat(found.values(), "layer").assign_coords(layer=list(found))
    return joined.to_dataset(name="pruned_accuracy")


def _of_kind(model: keras.Model, kind: str) -> list[str]:
    return [info.name for info in models.layers(model) if info.kind == kind]


def _search(model, faces, layer, how: MapSettings, *, is_output: bool) -> xr.Dataset:
    objective = "pre-activation" if is_output else "activation"
    responses = measure_responses(model, faces, layer, objective=objective, progress=False)
    is_local = layer in _of_kind(model, "Conv2D")
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


def _of_layer(model, faces, layer, happy: xr.Dataset) -> xr.Dataset:
    objective = happy.attrs["objective"]
    over = {
        name: measure_responses(model, faces, layer, objective=name, progress=False)
        for name in {"activation", objective}
    }
    correlation = redundancy.activation_correlation(model, faces, layer, progress=False)
    alive = np.isfinite(np.diag(correlation)).any()
    twin = redundancy.twins(correlation)["twin_correlation"]
    units = census.census(over["activation"], selective_for=faces.class_names[-1])
    looks, kind = _looks(happy.squeeze(["tv_weight", "lp_weight"], drop=True), faces)
    alike = similarity.as_pictures(happy, shifts=layer in _of_kind(model, "Conv2D"), progress=False)
    judged = repeatability.repeatability(happy, alike)
    verdict = judged["verdict"].values
    good = np.isin(kind, INTERPRETABLE_KINDS) & np.isin(verdict, INTERPRETABLE_VERDICTS)
    numbers = {
        "units": units.sizes["unit"],
        "dead": float(units["dead"].mean()),
        "always_on": float(units["always_on"].mean()),
        "twins": float((twin >= redundancy.TWINS).mean()),
        "effective_rank": redundancy.effective_rank(correlation) if alive else 0.0,
        "scale": _scale(over[objective]),
        "alike": float(judged["alike"].median()),
        "others": float(judged["null"].median()),
        "interpretable": float(good.mean()),
        "kind_share": ("kind", _shares(kind, ALL_KINDS)),
        "verdict_share": ("verdict", _shares(verdict, repeatability.VERDICTS)),
    }
    coordinates = {"kind": list(ALL_KINDS), "verdict": list(repeatability.VERDICTS)}
    return xr.Dataset(numbers | looks, coordinates)


def _looks(one: xr.Dataset, faces: Faces) -> tuple[dict[str, float], np.ndarray]:
    found = dataset.found(one)
    numbers = kinds.of_maps(one).where(found).mean("seed")
    kind = kinds.kind(numbers, kinds.levels(kinds.of_images(faces.images, one)))
    names = {
        "texture": "texture share", "high_frequency": "high-frequency share", "extent": "extent",
    }  # fmt: skip
    medians = {key: float(numbers[name].median()) for key, name in names.items()}
    shares = {"found": float(found.mean())}
    return shares | medians, kind.where(found.any("seed"), "no map").values


def _shares(values: np.ndarray, names: Sequence[str]) -> list[float]:
    return [float((values == name).mean()) for name in names]
