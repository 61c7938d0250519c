"""The images that activate a unit most and least."""

import numpy as np
import xarray as xr

ENDS = ("max", "min")


def top_activating_images(responses: xr.Dataset, count: int = 4) -> xr.Dataset:
    """The images that activate every unit most and least, at most one of each group.

    Args:
        responses: from `measure_responses`.
        count: how many, at least 1; fewer where there are fewer groups.

    Returns:
        Over (end, unit, rank), end "max" (the top-activating images) or "min": `image`, the index;
        `activation`, by which they are ranked; `row` and `column`, the neuron with the largest (or
        smallest) value on it.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    groups = responses["group"].values
    count = min(count, len(np.unique(groups)))
    activation = responses["activation"].transpose("image", "unit").values
    parts = []
    for end in ENDS:
        order = np.argsort(-activation if end == "max" else activation, axis=0, kind="stable")
        images = np.array([_first_of_each(groups, column)[:count] for column in order.T])
        at = (images, np.arange(len(images))[:, None])
        values = {"image": images, "activation": activation[at]}
        for name in ("row", "column"):
            values[name] = responses[f"{end}_{name}"].transpose("image", "unit").values[at]
        parts.append(xr.Dataset({name: (("unit", "rank"), v) for name, v in values.items()}))
    return xr.concat(parts, "end").assign_coords(end=list(ENDS), unit=responses["unit"])


def _first_of_each(groups: np.ndarray, order: np.ndarray) -> np.ndarray:
    _, first = np.unique(groups[order], return_index=True)
    return order[np.sort(first)]
