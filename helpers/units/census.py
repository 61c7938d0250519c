"""What the units of a layer do over real images: dead, always on, selective, following light."""

import numpy as np
import xarray as xr
from scipy.stats import rankdata

ALWAYS_ON = 0.05
"""APoZ up to which a unit counts as always on: zero at one position in twenty at most."""


def unit_census(responses: xr.Dataset, *, selective_for: str) -> xr.Dataset:
    """Numbers per unit, from its activation (after ReLU) on real images.

    - `apoz`: average percentage of zeros, 0..1: the share of all positions of all images at which
      the unit is 0 or below (Hu et al. 2016, 1607.03250, equation 1).
    - `dead`: never above 0, at any position of any image. `always_on`: `apoz` of at most 0.05.
    - `brightness_correlation`, -1..1: Pearson correlation over the images of the activation with
      the image's mean brightness. NaN for a unit that never changes.
    - `selectivity`: probability (0..1) that the unit's activation is larger on an image of the
      class than on one of the others, ties half: U / (n1 n2) of Mann & Whitney (1947). 0.5: not
      selective.
    - `class_selectivity`: (m - o) / (m + o) with the mean activation m on the class and o on the
      others (Morcos et al. 2018, 1803.06959, section 2.2, there m is the best class), -1..1 for a
      ReLU; NaN where both are 0.

    Args:
        responses: from `measure_responses`, objective "activation".
        selective_for: a class, as in the coordinate `label`.

    Raises:
        ValueError: no image or every image is of that class.
    """
    activation = responses["activation"].astype("float64")
    is_class = responses["label"] == selective_for
    if not 0 < int(is_class.sum()) < is_class.size:
        classes = np.unique(responses["label"].values).tolist()
        raise ValueError(
            f"selective_for must be one of several classes {classes}, got {selective_for!r}"
        )
    apoz = 1 - responses["positive"].astype("float64").mean("image")
    ranks = activation.copy(data=rankdata(activation, axis=activation.get_axis_num("image")))
    n, m = int(is_class.sum()), int((~is_class).sum())
    rank_sum = ranks.where(is_class).sum("image")
    mean, others = (activation.where(which).mean("image") for which in (is_class, ~is_class))
    total = mean + others
    return xr.Dataset(
        {
            "apoz": apoz,
            "dead": (responses["positive"] == 0).all("image"),
            "always_on": apoz <= ALWAYS_ON,
            "brightness_correlation": xr.corr(activation, responses["brightness"], "image"),
            "selectivity": (rank_sum - n * (n + 1) / 2) / (n * m),
            "class_selectivity": (mean - others) / total.where(total != 0),
        },
        attrs={"selective_for": selective_for},
    )
