"""What the units of a layer do over real images: dead, always on, following light, redundant."""

import numpy as np
import xarray as xr
from scipy.stats import rankdata

ALWAYS_ON = 0.05
"""APoZ up to which a unit counts as always on: zero at one position in twenty at most."""


def census(responses: xr.Dataset, *, selective_for: str) -> xr.Dataset:
    """One row a unit, from its activation (after ReLU) on real images.

    - `apoz`: average percentage of zeros, 0..1: the share of all positions of all images at which
      the unit is 0 or below (Hu et al. 2016, 1607.03250, equation 1).
    - `dead`: at 0 at every position of every image. `always_on`: `apoz` of at most 0.05.
    - `light`: ambient-light index, -1..1: Pearson correlation over the images of the activation
      with the image's mean brightness. NaN for a unit that never changes.
    - `selectivity`: probability (0..1) that the unit fires more on an image of the class than on
      one of the others, ties half: U / (n1 n2) of Mann & Whitney (1947). 0.5 tells nothing.
    - `class_selectivity`: (m - o) / (m + o) with the mean activation m on the class and o on the
      others (Morcos et al. 2018, 1803.06959, section 2.2, there m is the best class), -1..1 for a
      ReLU; NaN where both are 0.

    Args:
        responses: from `responses`, objective "activation".
        selective_for: a class, as in the coordinate `label`.

    Raises:
        ValueError: no image or every image is of that class.
    """
    activation = responses["activation"].astype("float64")
    inside = responses["label"] == selective_for
    if not 0 < int(inside.sum()) < inside.size:
        classes = np.unique(responses["label"].values).tolist()
        raise ValueError(
            f"selective_for must be one of several classes {classes}, got {selective_for!r}"
        )
    apoz = 1 - responses["positive"].astype("float64").mean("image")
    ranks = activation.copy(data=rankdata(activation, axis=activation.get_axis_num("image")))
    n, m = int(inside.sum()), int((~inside).sum())
    mean, others = activation.where(inside).mean("image"), activation.where(~inside).mean("image")
    both = mean + others
    return xr.Dataset(
        {
            "apoz": apoz,
            "dead": apoz == 1,
            "always_on": apoz <= ALWAYS_ON,
            "light": xr.corr(activation, responses["brightness"], "image"),
            "selectivity": (ranks.where(inside).sum("image") - n * (n + 1) / 2) / (n * m),
            "class_selectivity": (mean - others) / both.where(both != 0),
        },
        attrs={"selective_for": selective_for},
    )
