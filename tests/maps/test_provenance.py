import re
import subprocess

import pytest
from tiny import tiny_net

from helpers import maps, models
from helpers.maps import provenance


@pytest.mark.parametrize(("preprocessing", "ends"), [("0..255", [0, 255]), ((-2, 3), [-2, 3])])
def test_the_range_is_that_of_the_nets_own_input(preprocessing, ends):
    net = tiny_net()
    spec = maps.make_spec(net, "conv", preprocessing=preprocessing)
    made = provenance.provenance(net, spec, models.weight_digest(net), net.input_shape[1:])
    assert made["input_range"] == pytest.approx(ends)
    assert made["spec"] == spec.to_toml()
    assert made["model_layers"].split(", ") == [layer.name for layer in net.layers]


def test_commit_and_versions_are_those_of_the_code_at_hand(monkeypatch):
    assert re.fullmatch(r"keras 3\S+, tensorflow 2\S+, keras-vis 0\.4\.1", provenance._versions())
    find = provenance._git_commit.__wrapped__
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", find())

    def no_git(*arguments, **options):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", no_git)
    assert find() == "unknown"
