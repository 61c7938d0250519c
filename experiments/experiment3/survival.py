"""Which units' maps survive many seeds, and whether other conditions change that."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import binomtest, fisher_exact

from helpers.maps import dataset
from helpers.measures import appearance, kinds, similarity
from helpers.measures.repeatability import activation_spread, repeatability
from helpers.measures.significance import SIGNIFICANT

PICTURE, TEXTURE = "repeats as a picture", "repeats as a texture"
NOISE, NO_REPEAT, NO_MAP = "noise", "does not repeat", "no map"
OUTCOMES = (PICTURE, TEXTURE, NOISE, NO_REPEAT, NO_MAP)
REPEATS = ("stable", "several facets")
CANNOT_TELL = "cannot tell"


def judge(
    maps: xr.Dataset, *, shifts: bool = True, starts: np.ndarray | None = None, progress=True
) -> xr.Dataset:
    """Judge every unit's maps over the seeds.

    A unit's `outcome` is the first that holds: "repeats as a picture" or "repeats as a texture"
    when its maps are alike, in one facet or a few, beyond what they are to other units' maps
    (`repeatability`, of `likeness.as_pictures` and `as_textures`); "no map" when fewer than two
    seeds led beyond the seed input; "noise" when neither repeats and the maps are staticky
    (`kinds.STATICKY`); "does not repeat" when they are not.

    Args:
        maps: what `happy_maps` returns: one TV and LP weight, at least two units and two seeds.
        shifts: compare pictures at the best shift, and textures too: for convolutions. False
            compares pictures in place, and nothing else, for units that look at one place.
        starts: (S, H, W, C), what each seed started from; the noise of its seed when None.
        progress: show a bar.

    Returns:
        Over `unit`: `outcome`; `verdict`, `alike`, `null`, `level` and `facets` of the pictures;
        `texture_alike` (shifts only); `found` (0..1), the share of the seeds that led beyond the
        seed input; `activation_spread`; "high-frequency share" (0..1), without the frame, mean over
        the seeds; and `start_left`, the correlation of the maps as shown with their own start, when
        that is given. Attribute `tv_weight`.
    """
    one = dataset.one_weight(maps)
    pictures = repeatability(maps, similarity.as_pictures(maps, shifts=shifts, progress=progress))
    repeats = pictures["verdict"].isin(REPEATS)
    shown = appearance.inner(one["display"])
    columns = {
        **{name: pictures[name] for name in ("verdict", "alike", "null", "level", "facets")},
        "found": dataset.raised(one).mean("seed"),
        "activation_spread": activation_spread(one),
        "high-frequency share": appearance.high_frequency_share(shown).mean("seed"),
    }
    outcome = xr.where(columns["high-frequency share"] >= kinds.STATICKY, NOISE, NO_REPEAT)
    outcome = xr.where(pictures["verdict"] == "no map", NO_MAP, outcome)
    if shifts:
        textures = repeatability(maps, similarity.as_textures(maps))
        columns["texture_alike"] = textures["alike"]
        outcome = xr.where(textures["verdict"].isin(REPEATS), TEXTURE, outcome)
    columns["outcome"] = xr.where(repeats, PICTURE, outcome)
    if starts is not None:
        begun = xr.DataArray(starts, dims=("seed", "height", "width", "channel"))
        columns["start_left"] = appearance.correlation(one["display"], begun).mean("seed")
    judged = xr.Dataset(columns).drop_vars(["tv_weight", "lp_weight"], errors="ignore")
    return judged.assign_attrs(tv_weight=maps["tv_weight"].item())


def shares(judged: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Share (0..1) of the units of each outcome: a row a name, a column for each of `OUTCOMES`."""
    rows = {
        name: [float((found["outcome"] == outcome).mean()) for outcome in OUTCOMES]
        for name, found in judged.items()
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
        A row a name: `before` and `after`, how many units have maps that repeat as a picture or as
        a texture; `gained` and `lost`, how many units began and ceased to (paired only); `p`,
        two-sided: the exact test of McNemar (1947) of those, or Fisher's (1922) exact test of the
        counts where the units are not the same; `says`: "more" or "fewer" where `p` is below 0.05
        over the number of rows (Bonferroni), else "cannot tell".
    """
    rows = {}
    for name in before:
        old, new = (found[name]["outcome"].isin((PICTURE, TEXTURE)) for found in (before, after))
        counts = {"before": int(old.sum()), "after": int(new.sum())}
        if paired:
            counts |= {"gained": int((new & ~old).sum()), "lost": int((old & ~new).sum())}
            moved = counts["gained"] + counts["lost"]
            p = binomtest(counts["gained"], moved).pvalue if moved else 1.0
        else:
            p = fisher_exact([[int(x.sum()), int((~x).sum())] for x in (old, new)]).pvalue
        told = "more" if counts["after"] > counts["before"] else "fewer"
        told = told if p < SIGNIFICANT / len(before) else CANNOT_TELL
        rows[name] = counts | {"p": p, "says": told}
    return pd.DataFrame.from_dict(rows, "index")


def summary(judged: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """The medians over the units of the numbers of `judge`: a row a name; NaN where not judged."""
    rows = {
        name: {key: float(value) for key, value in _plain(found).median("unit").items()}
        for name, found in judged.items()
    }
    return pd.DataFrame.from_dict(rows, "index")


def in_words(judged: xr.Dataset, *outcomes: str) -> str:
    """How many units have one of the outcomes: count, share and its exact 95 % interval.

    The interval is that of Clopper & Pearson (1934), for units drawn at random from many.
    """
    count, total = int(judged["outcome"].isin(outcomes).sum()), judged.sizes["unit"]
    low, high = binomtest(count, total).proportion_ci(0.95)
    share, low, high = (round(100 * value) for value in (count / total, low, high))
    return f"{count} of {total} ({share} %, 95 % interval {low} to {high} %)"


def numbers(judged: xr.Dataset) -> xr.Dataset:
    """The measures of `judge` by which `controls.tell_apart` can compare two nets' units."""
    wanted = ("alike", "texture_alike", "activation_spread", "high-frequency share")
    return judged[[name for name in wanted if name in judged]]


def ranked(judged: xr.Dataset, *outcomes: str) -> list[int]:
    """The units of the outcomes, those whose maps are most alike first.

    Units without a number for it are left out.
    """
    chosen = judged["outcome"].isin(outcomes)
    return appearance.top(judged["alike"].where(chosen), judged.sizes["unit"]).tolist()


def _plain(judged: xr.Dataset) -> xr.Dataset:
    return judged.drop_vars(["verdict", "outcome", "facets"], errors="ignore")
