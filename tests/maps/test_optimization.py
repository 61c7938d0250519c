from dataclasses import dataclass

import numpy as np
import pytest

from helpers import maps
from helpers.maps import optimization
from helpers.maps.parts import Part, from_values, to_values

PARTS = [
    maps.Unit("conv", 3, True, True),
    maps.Neuron("conv", 3, (1, 2)),
    maps.Neuron("conv", 3),
    maps.Units("conv", (1, 2), (0.5, -1.0)),
    maps.Direction("conv", np.array([0.1, -2.5e-7])),
    maps.LayerNorm2("conv"),
    maps.Diversity("conv"),
    maps.Target(maps.Unit("conv", 1), 3.5),
    maps.Unit("a", 1) - 0.3 * (maps.Unit("b", 2) + maps.Diversity("c")),
]


def full(**changes):
    values = {
        "objective": PARTS,
        "parametrization": [maps.Pixels(), maps.BoundedPixels(), maps.FourierImage(decay=1.5)],
        "transforms": [(), maps.ROBUST, (maps.GaussianNoise(3), maps.Blur(2), maps.RandomCrop(4))],
        "regularizers": [(), (maps.TotalVariation(0.1, 1.5), maps.LpNorm(1, 4), maps.L1(2))],
        "optimizer": [maps.Adam(0.1), maps.KerasVisRMSprop()],
        "seeds": (0, 4),
        "size": (32, 48),
        "preprocessing": (-1.0, 1.0),
    }
    return maps.Optimization(**(values | changes))


def test_toml_round_trip_of_all_parts():
    spec = full()
    again = maps.Optimization.from_toml(spec.to_toml())
    assert again == spec and hash(again) == hash(spec)
    assert again.digest("w", "1") == spec.digest("w", "1")


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_a_part_is_hashable_and_comes_back_from_plain_values(part):
    assert from_values(to_values(part)) == part
    assert len({part, from_values(to_values(part))}) == 1


def test_one_value_is_written_without_a_list_too():
    text = (
        'objective = {kind = "Unit", layer = "conv", unit = 3}\n'
        'regularizers = [{kind = "L2", weight = 1}]'
    )
    spec = maps.Optimization.from_toml(text)
    assert spec == maps.Optimization(maps.Unit("conv", 3), regularizers=(maps.L2(1),))


def test_the_digest_follows_every_field():
    base = maps.Optimization(maps.Unit("conv", 3))
    changes = [
        {"objective": maps.Unit("conv", 4)},
        {"parametrization": maps.FourierImage(decay=1.1)},
        {"transforms": ()},
        {"regularizers": (maps.L2(1),)},
        {"optimizer": maps.Adam(0.06)},
        {"steps": 3},
        {"seeds": 2},
        {"size": 64},
        {"preprocessing": "0..1"},
        {"seed_input": "abc"},
    ]
    made = [maps.Optimization(**({"objective": maps.Unit("conv", 3)} | c)) for c in changes]
    digests = {spec.digest("w", "1") for spec in [base, *made]}
    digests |= {base.digest("v", "1"), base.digest("w", "2")}
    assert len(digests) == len(changes) + 3


def test_a_field_that_holds_its_default_is_no_part_of_the_digest():
    @dataclass(frozen=True)
    class Old(Part):
        weight: float

    @dataclass(frozen=True)
    class New(Part):
        weight: float
        added: int = 3

    old, new = (to_values(kind(1.0), all_fields=False) for kind in (Old, New))
    assert old | {"kind": ""} == new | {"kind": ""}
    assert to_values(New(1.0, 4), all_fields=False)["added"] == 4


def test_a_list_of_one_kind_is_one_value_or_several_as_its_members_say():
    jitter, blur = maps.Jitter(2), maps.Blur(1)
    one = maps.Optimization(maps.Unit("a", 0), transforms=[jitter, blur])
    two = maps.Optimization(maps.Unit("a", 0), transforms=[(jitter,), (blur,)])
    assert one.transforms == ((jitter, blur),)
    assert two.transforms == ((jitter,), (blur,))
    assert two.labels("transforms") == ["Jitter(pixels=2)", "Blur"]
    assert maps.Optimization(maps.Unit("a", 0)).labels("transforms") == ["robust"]
    assert not optimization.several("transforms", [jitter, blur])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"objective": "conv 3"}, "objective must be made of"),
        ({"objective": []}, "objective must be one or more"),
        ({"optimizer": [maps.Adam(), maps.Adam()]}, "distinct"),
        ({"transforms": [maps.Adam()]}, "transforms must be made of"),
        ({"steps": 0}, "steps"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"seeds": -1}, "seeds"),
        ({"size": (1, 2, 3, 4)}, "size"),
    ],
)
def test_bad_values_are_named(changes, says):
    with pytest.raises(ValueError, match=says):
        full(**changes)


def test_bad_toml_is_named():
    with pytest.raises(ValueError, match="kind must be one of"):
        maps.Optimization.from_toml('objective = {kind = "Nothing"}')
    with pytest.raises(ValueError, match="unknown fields"):
        maps.Optimization.from_toml('objective = {kind = "Unit", layer = "a", unit = 1, b = 2}')
    with pytest.raises(ValueError, match="needs"):
        maps.Optimization.from_toml('objective = {kind = "Unit", layer = "a"}')
    with pytest.raises(ValueError, match="unknown keys"):
        maps.Optimization.from_toml("colour = 1")
