import math

import numpy as np
import pytest

from helpers.maps.spec import MapSpec


def test_scalars_and_numpy_numbers_become_one_form():
    a = MapSpec("conv", 3)
    b = MapSpec("conv", np.array([3]))
    assert a == b
    assert MapSpec("conv", 3, tv_weights=np.float64(1)).tv_weights == (1.0,)


def test_toml_round_trip():
    spec = MapSpec("conv", (0, 2), tv_weights=(1e-5, 1e3), preprocessing=(0.0, 1.0), seeds=(4, 5))
    assert MapSpec.from_toml(spec.to_toml()) == spec


def test_digest_follows_every_field_the_weights_and_the_numerics():
    base = MapSpec("conv", (0,))
    others = [
        MapSpec("conv2", (0,)),
        MapSpec("conv", (1,)),
        MapSpec("conv", (0,), "happy", "pre-activation"),
        MapSpec("conv", (0,), tv_weights=1),
        MapSpec("conv", (0,), lp_weights=1),
        MapSpec("conv", (0,), seeds=1),
        MapSpec("conv", (0,), activation_weight=2),
        MapSpec("conv", (0,), steps=1),
        MapSpec("conv", (0,), engine="keras-vis"),
        MapSpec("conv", (0,), pixels="bounded"),
        MapSpec("conv", (0,), preprocessing="0..1"),
        MapSpec("conv", (0,), seed_input="abc"),
    ]
    digests = {spec.digest("w", "1") for spec in [base, *others]}
    digests |= {base.digest("v", "1"), base.digest("w", "2")}
    assert len(digests) == len(others) + 3
    assert base.digest("w", "1") == MapSpec("conv", [0]).digest("w", "1")


def test_chunks_keep_every_unit_once():
    spec = MapSpec("conv", range(10))
    assert [c.units for c in spec.chunks(4)] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"tv_weights": -1}, "tv_weights"),
        ({"tv_weights": None}, "tv_weights"),
        ({"lp_weights": math.nan}, "lp_weights"),
        ({"lp_weights": "10"}, "lp_weights"),
        ({"lp_weights": ()}, "at least one"),
        ({"tv_weights": (1, 1)}, "distinct"),
        ({"steps": 0}, "steps"),
        ({"steps": 1.5}, "steps"),
        ({"seeds": -1}, "seeds"),
        ({"activation_weight": 0}, "activation_weight"),
        ({"sign": "glad"}, "sign"),
        ({"objective": "logit"}, "objective"),
        ({"sign": "sad"}, "pre-activation"),
        ({"pixels": "clipped"}, "pixels"),
        ({"pixels": "bounded", "engine": "keras-vis"}, "engine"),
        ({"colour": 1}, "colour"),
    ],
)
def test_bad_values_are_named(values, says):
    with pytest.raises(ValueError, match=says):
        MapSpec.from_mapping({"layer": "conv", "units": 0, **values})
