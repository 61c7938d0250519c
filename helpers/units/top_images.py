"""The images that activate a unit most and least."""

import numpy as np
import xarray as xr

ENDS = ("most", "least")


def extremes(responses: xr.Dataset, count: int = 4) -> xr.Dataset:
    """The images that fire every unit most and least, at most one of each person.

    Args:
        responses: from `census.responses`.
        count: how many, at least 1; fewer where there are fewer people.

    Returns:
        Over (end, unit, rank), end "most" or "least": `image`, the index; `activation`, by which
        they are ranked; `row` and `column`, the neuron that fires most (or least) on it.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    people = responses["person"].values
    count = min(count, len(np.unique(people)))
    found = []
    for end in ENDS:
        by = responses["activation"].transpose("image", "unit").values
        order = np.argsort(-by if end == "most" else by, axis=0, kind="stable")
        images = np.array([_first_of_each(people, column)[:count] for column in order.T])
        at = (images, np.arange(len(images))[:, None])
        values = {"image": images, "activation": by[at]}
        for name in ("row", "column"):
            values[name] = responses[f"{end}_{name}"].transpose("image", "unit").values[at]
        found.append(xr.Dataset({name: (("unit", "rank"), v) for name, v in values.items()}))
    return xr.concat(found, "end").assign_coords(end=list(ENDS), unit=responses["unit"])


def _first_of_each(people: np.ndarray, order: np.ndarray) -> np.ndarray:
    _, first = np.unique(people[order], return_index=True)
    return order[np.sort(first)]
