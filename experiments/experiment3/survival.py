"""Which units' maps survive many seeds, and whether other conditions change that."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from helpers.maps import dataset
from helpers.maps.dataset import as_grid
from helpers.measures.appearance import STATICKY, high_frequency_share, top
from helpers.measures.repeatability import (
    NO_MAP,
    REPEATABLE,
    activation_spread,
    judge_repeatability,
)
from helpers.measures.significance import change_p, proportion, verdict
from helpers.measures.similarity import image_similarity, similarity_to_images, texture_similarity

IMAGE, TEXTURE = "repeats as an image", "repeats as a texture"
NOISE, NO_REPEAT = "noise", "does not repeat"
OUTCOMES = (IMAGE, TEXTURE, NOISE, NO_REPEAT, NO_MAP)


def judge(
    maps: xr.Dataset,
    *,
    shifts: bool = True,
    starts: np.ndarray | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Judge every unit's maps over the seeds.

    A unit's `outcome` is the first that holds: "repeats as an image" or "repeats as a texture" when
    its maps are similar, in one facet or a few, beyond what they are to other units' maps
    (`judge_repeatability`, of `image_similarity` and `texture_similarity`); "no map" when from
    fewer than two seeds the activation was raised; "noise" when neither repeats and the maps are
    staticky (`appearance.STATICKY`); "does not repeat" when they are not.

    Args:
        maps: what `happy_maps` returns: one TV and LP weight, at least two units and two seeds.
        shifts: compare images at the best shift, and textures too: for convolutions. False
            compares images in place, and nothing else, for units that look at one place.
        starts: (S, H, W, C), the seed input of each seed, to say what is left of it; or None.
        progress: show a bar.

    Returns:
        Over `unit`: `outcome`; `verdict`, `similarity`, `null`, `level` and `facets` of the images;
        `texture_similarity` (shifts only); `raised` (0..1), the share of the seeds from which the
        activation was raised; `activation_spread`; `high_frequency_share` (0..1), mean over the
        seeds; and `start_similarity`, in place, of the displayed maps to their own seed input, when
        that is given. Attribute `tv_weight`.
    """
    tv_weight = maps["tv_weight"].item()
    maps = dataset.one_weight(as_grid(maps)).drop_vars(("tv_weight", "lp_weight"))
    images = judge_repeatability(maps, image_similarity(maps, shifts=shifts, progress=progress))
    columns = {
        **{name: images[name] for name in ("verdict", "similarity", "null", "level", "facets")},
        "raised": dataset.raised(maps).mean("seed"),
        "activation_spread": activation_spread(maps),
        "high_frequency_share": high_frequency_share(maps["display"]).mean("seed"),
    }
    outcome = xr.where(columns["high_frequency_share"] >= STATICKY, NOISE, NO_REPEAT)
    outcome = xr.where(images["verdict"] == NO_MAP, NO_MAP, outcome)
    if shifts:
        textures = judge_repeatability(maps, texture_similarity(maps))
        columns["texture_similarity"] = textures["similarity"]
        outcome = xr.where(textures["verdict"].isin(REPEATABLE), TEXTURE, outcome)
    columns["outcome"] = xr.where(images["verdict"].isin(REPEATABLE), IMAGE, outcome)
    if starts is not None:
        columns["start_similarity"] = similarity_to_images(maps, starts).mean("seed")
    return xr.Dataset(columns).assign_attrs(tv_weight=tv_weight)


def shares(judged: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Share (0..1) of the units of each outcome: per name, a column for each of `OUTCOMES`."""
    rows = {
        name: [float((units["outcome"] == outcome).mean()) for outcome in OUTCOMES]
        for name, units in judged.items()
    }
    return pd.DataFrame.from_dict(rows, "index", columns=list(OUTCOMES))


def change(
    before: Mapping[str, xr.Dataset], after: Mapping[str, xr.Dataset], *, paired: bool
) -> pd.DataFrame:
    """Whether more or fewer units repeat after than before.

    Args:
        before, after: name -> from `judge`; the same names.
        paired: whether the units after are those before.

    Returns:
        Per name: `before` and `after`, how many units have maps that repeat as an image or as a
        texture; `gained` and `lost`, how many units began and ceased to (paired only); `p` of
        `significance.change_p`; `verdict`: "more" or "fewer", over the number of rows, else
        "inconclusive".
    """
    rows = {}
    for name in before:
        old, new = (
            judged[name]["outcome"].isin((IMAGE, TEXTURE)).values for judged in (before, after)
        )
        counts = {"before": int(old.sum()), "after": int(new.sum())}
        if paired:
            counts |= {"gained": int((new & ~old).sum()), "lost": int((old & ~new).sum())}
        p, effect = change_p(old, new, paired=paired), counts["after"] - counts["before"]
        word = verdict(p, effect, len(before), ("more", "fewer"))
        rows[name] = counts | {"p": p, "verdict": word}
    return pd.DataFrame.from_dict(rows, "index")


def summary(judged: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """The medians over the units of the numbers of `judge`, per name; NaN where not judged."""
    rows = {
        name: units.drop_vars(("verdict", "outcome", "facets")).median("unit").to_pandas()
        for name, units in judged.items()
    }
    return pd.DataFrame.from_dict(rows, "index")


def in_words(judged: xr.Dataset, *outcomes: str) -> str:
    """How many units have one of the outcomes, by `significance.proportion`."""
    return proportion(int(judged["outcome"].isin(outcomes).sum()), judged.sizes["unit"])


def numbers(judged: xr.Dataset) -> xr.Dataset:
    """The measures of `judge` by which `significance.separability` can compare two models."""
    wanted = ("similarity", "texture_similarity", "activation_spread", "high_frequency_share")
    return judged[[name for name in wanted if name in judged]]


def ranked(judged: xr.Dataset, *outcomes: str) -> list[int]:
    """The units of the outcomes, those whose maps are most similar over the seeds first.

    Units without a similarity are left out.
    """
    chosen = judged["outcome"].isin(outcomes)
    return top(judged["similarity"].where(chosen), judged.sizes["unit"]).tolist()
