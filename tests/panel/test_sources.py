from types import SimpleNamespace

import IPython
import keras
import pytest
from tiny import tiny_net

from helpers.panel import sources


def test_one_model_gets_its_name_and_several_keep_theirs(tmp_path):
    saved = tmp_path / "own.keras"
    tiny_net(units=4).save(saved)
    assert list(sources.load(tiny_net())) == ["tiny"]
    assert list(sources.load(saved)) == ["own"]
    named = sources.load({"a": tiny_net(), "b": str(saved)})
    assert {name: model.layers[1].filters for name, model in named.items()} == {"a": 3, "b": 4}


def test_a_model_without_units_is_refused():
    flat = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="layer with units"):
        sources.load(flat)


def test_a_variable_goes_before_a_file(tmp_path, monkeypatch):
    saved = tmp_path / "own.keras"
    tiny_net(units=4).save(saved)
    with pytest.raises(ValueError, match=r"a file \('.keras'"):
        sources.find("mine")
    mine = tiny_net()
    variables = {"mine": mine, "number": 3}
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(user_ns=variables))
    assert sources.find("mine") is mine
    assert sources.find(str(saved)).layers[1].filters == 4
    with pytest.raises(ValueError, match="variable number must hold a Keras model, got int"):
        sources.find("number")
    with pytest.raises(ValueError, match="must be a file that exists"):
        sources.find(str(tmp_path / "none.keras"))
