"""Files of today and of before are read under today's names."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from experiments.architectures.measured import read_measured
from helpers.measures import NO_MAP, VERDICTS
from helpers.sweeps import store

ROOT = Path(__file__).parent.parent.parent / "experiments"


@pytest.mark.parametrize("number", [4, 5])
def test_committed_measurements_are_read(number):
    measured = read_measured(ROOT / f"experiment{number}" / "measured.nc")
    assert {"model", "run", "layer", "appearance_class", "verdict", "image_set", "map"} <= set(
        measured.dims
    )
    assert {"raised", "redundant", "similarity", "null", "high_frequency_share"} <= set(measured)
    assert measured["image_set"].values.tolist()[:2] == ["train people", "test people"]
    assert measured["verdict"].values.tolist() == list(VERDICTS)
    assert measured["appearance_class"].values.tolist()[-1] == NO_MAP
    assert "models" in measured.attrs and "nets" not in measured.attrs


def test_old_names_become_todays_and_todays_stay(tmp_path):
    old = xr.Dataset(
        {
            "accuracy": (("net", "faces"), [[0.5, 0.7]]),
            "found": ("net", [0.25]),
            "alike_same": ("net", [1.0]),
        },
        {"net": ["full"], "faces": ["known people", "photographs"]},
        {"nets": "{}", "title": "Old"},
    )
    measured = read_measured(store.save(old, tmp_path / "old.nc"))
    assert measured["accuracy"].sel(model="full", image_set="photographs") == 0.7
    assert measured["raised"].values.tolist() == [0.25]
    np.testing.assert_array_equal(measured["similarity_same"], [1.0])
    assert measured.attrs == {"models": "{}", "title": "Old"}
    again = read_measured(store.save(measured, tmp_path / "new.nc"))
    xr.testing.assert_identical(again, measured)
