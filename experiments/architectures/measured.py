"""Reads what an experiment on architectures measured, whatever names it was written with."""

from pathlib import Path

import xarray as xr

from helpers.sweeps import store

NAMES = {
    "net": "model",
    "training": "run",
    "kind": "appearance_class",
    "faces": "image_set",
    "picture": "map",
    "kind_share": "appearance_share",
    "twins": "redundant",
    "found": "raised",
    "texture": "texture_share",
    "high_frequency": "high_frequency_share",
    "alike": "similarity",
    "others": "null",
    "alike_same": "similarity_same",
    "alike_other": "similarity_other",
    "shown": "last_convolution_maps",
}
"""Old name of a dim or variable -> its name now."""
IMAGE_SETS = {"known people": "train people", "unseen people": "test people"}


def read_measured(path: str | Path) -> xr.Dataset:
    """Read `measured.nc`: what `run.collect` returns, old names replaced by those of today.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged.
    """
    measured = store.load(path)
    old = {name: new for name, new in NAMES.items() if name in measured.dims or name in measured}
    measured = measured.rename(old)
    sets = [IMAGE_SETS.get(name, name) for name in measured["image_set"].values]
    attributes = dict(measured.attrs)
    if "nets" in attributes:
        attributes["models"] = attributes.pop("nets")
    return measured.assign_coords(image_set=sets).drop_attrs(deep=False).assign_attrs(attributes)
