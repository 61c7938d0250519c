import keras
import numpy as np
import pytest
from tiny import tiny_net

from helpers import maps
from helpers.panel import overview_view, parts
from helpers.panel.background import Newest
from helpers.panel.controls import Controls
from helpers.panel.elements import Status
from helpers.panel.overview_view import OverviewView


@pytest.fixture
def build(monkeypatch):
    monkeypatch.setattr(overview_view, "BATCH", 2)

    def make(model, **chosen):
        picked = []
        controls = Controls(model, None, Status(), lambda: None, **chosen)
        return OverviewView(controls, Newest(), picked.append), controls, picked

    return make


def cells(view) -> list:
    return [cell for tiles in view.tiles.children for cell in tiles.cells]


def test_all_units_of_the_layer_come_batch_by_batch(build):
    view, _, picked = build(tiny_net(), weights="absolute", steps=2, unit=1)
    counts = []
    view.tiles.observe(lambda _: counts.append(len(cells(view))), names="children")
    view.render()
    assert counts == [2, 3]
    expected = maps.happy_maps(tiny_net(), "conv", steps=2, progress=False)
    np.testing.assert_allclose(view.dataset["raw"], expected["raw"], rtol=1e-4)
    assert [cell["unit"] for cell in cells(view)] == [0, 1, 2]
    shown = parts.png(view.dataset["display"].values[2, 0, 0, 0])
    assert cells(view)[2]["src"] == parts.data_url(shown)
    assert [tiles.chosen for tiles in view.tiles.children] == [1, 1]
    assert view.status.text.startswith("Done: 3 units of conv, maps of 8 x 10.")
    view.tiles.children[1]._handle_custom_msg({"unit": 2}, [])
    assert picked == [2]


def test_stop_keeps_what_is_done_and_start_goes_on(build):
    view, *_ = build(tiny_net(), preset="keras_vis", steps=2)

    def stop(_):
        if view.tiles.children:
            view.tiles.unobserve_all("children")
            view.stop_button.click()

    view.tiles.observe(stop, names="children")
    view.render()
    assert len(cells(view)) == 2 and view.status.text.startswith("Stopped after")
    first = view.tiles.children[0]
    view.render()
    assert len(cells(view)) == 3 and view.tiles.children[0] is first


def test_maps_of_another_layer_are_marked_and_the_chosen_unit_follows(build):
    view, controls, _ = build(tiny_net(), preset="keras_vis", steps=2)
    view.render()
    controls.unit.value = 2
    view.follow()
    assert [(tiles.chosen, tiles.is_stale) for tiles in view.tiles.children] == [(2, False)] * 2
    controls.layer.value = "out"
    view.follow()
    assert all(tiles.is_stale for tiles in view.tiles.children)
    view.render()
    assert len(cells(view)) == 2 and not view.tiles.children[0].is_stale


def test_large_maps_are_optimized_small_where_the_layer_allows(build):
    x = keras.Input((200, 100, 3))
    conv = keras.layers.Conv2D(2, 3, strides=8, name="conv")(keras.layers.Rescaling(1 / 255)(x))
    flat = keras.layers.Dense(2, name="flat")(keras.layers.Flatten()(conv))
    view, controls, _ = build(keras.Model(x, flat), preset="robust", steps=2, layer="conv")
    assert view.wanted.spec.size == (96, 48)
    controls.layer.value = "flat"
    assert view.wanted.spec.size is None
