import base64
import io
import re
from pathlib import Path

import ipywidgets
import keras
import nbformat
import numpy as np
import pytest
from PIL import Image

from helpers import maps, notebooks, panel_parts, widgets
from helpers.spec import MapSpec

WORKBENCH = Path(__file__).parent.parent / "notebooks"
LONGEST_WAIT = 120


def tiny_net(units=3, rescale=True, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 10, 1)),
            *([keras.layers.Rescaling(1 / 255)] if rescale else []),
            keras.layers.Conv2D(units, 3, activation="tanh", name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax", name="out"),
        ],
        name="tiny",
    )


@pytest.fixture
def panel():
    made = widgets.Panel(tiny_net())
    made.steps.value = 5
    return made


def said(panel) -> str:
    return re.fullmatch(r'<div role="status">(.*)</div>', panel.status.value, re.S)[1]


def click(panel, button) -> None:
    button.click()
    panel.wait()


def pictures(html) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html.value)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def alts(html) -> list[str]:
    return re.findall(r'<figure[^>]*><img alt="([^"]+)"', html.value)


def all_widgets(widget) -> list:
    inner = [one for child in getattr(widget, "children", ()) for one in all_widgets(child)]
    return [widget, *inner]


def slider_beside(panel, box):
    rows = (w for w in all_widgets(panel) if isinstance(w, ipywidgets.HBox))
    row = next(row for row in rows if box in row.children)
    return row.children[1]


def test_a_click_shows_the_map_that_happy_maps_finds_and_its_numbers(panel):
    panel.unit.value, panel.tv_weight.value, panel.seed.value = 2, 0.5, 3
    click(panel, panel.render_button)
    expected = maps.happy_maps(
        tiny_net(), "conv", 2, tv_weights=0.5, seeds=3, steps=5, progress=False
    ).isel(unit=0, tv_weight=0, lp_weight=0, seed=0)
    (shown,) = pictures(panel.picture)
    np.testing.assert_array_equal(shown, expected["display"].values[..., 0])
    (alt,) = alts(panel.picture)
    raw, display = float(expected["activation_raw"]), float(expected["activation_display"])
    for part in (
        "HappyMap of conv; unit 2, activation; TV 0.5, LP 10, seed 3",
        f"{raw:.3g} → {display:.3g}",
        f"{float(expected['activation_seed']):.3g} at the seed input",
        f"lowest loss: {float(expected['loss'].min()):.4g}",
        f"gradient at the seed input: yes ({float(expected['gradient_seed']):.2g} RMS)",
    ):
        assert part in alt
    assert said(panel).startswith("Done in")
    assert panel.progress.value == panel.progress.max == 5


def test_the_picture_follows_the_tv_weight_box_and_slider(panel):
    panel.steps.value = 30
    seen = []
    for change in ("box", "slider"):
        if change == "box":
            panel.tv_weight.value = 0
        else:
            slider_beside(panel, panel.tv_weight).value = 1000
        click(panel, panel.render_button)
        seen.append(pictures(panel.picture)[0].astype(float))
        assert f"TV {panel.tv_weight.value:g}," in alts(panel.picture)[0]
    roughness = [np.abs(np.diff(picture)).mean() for picture in seen]
    assert roughness[1] < roughness[0]


@pytest.mark.parametrize("name", ["tv_weight", "lp_weight", "activation_weight"])
def test_a_weights_box_and_slider_follow_each_other(panel, name):
    box = getattr(panel, name)
    slider = slider_beside(panel, box)
    slider.value = 1e-3
    assert box.value == 1e-3
    box.value = 20
    assert slider.value == 20
    for beyond, end in ((0, 1e-5), (5e4, 1e3)):
        box.value = beyond
        assert (box.value, slider.value) == (beyond, end)
    slider.value = 1e-5
    assert box.value == 1e-5


def test_the_unit_stays_among_the_layers_units():
    panel = widgets.Panel({"few": tiny_net(units=3), "many": tiny_net(units=6)})
    slider = slider_beside(panel, panel.unit)
    assert [label for label, _ in panel.layer.options] == [
        "conv (Conv2D, 3 units)",
        "out (Dense, 2 units)",
    ]
    panel.model.value = "many"
    panel.unit.value = 5
    assert slider.value == slider.max == 5
    slider.value = 4
    assert panel.unit.value == 4
    panel.layer.value = "out"
    assert (panel.unit.value, panel.unit.max) == (1, 1)
    panel.model.value = "few"
    assert (panel.layer.value, panel.unit.max) == ("conv", 2)


def test_the_picture_grows_while_the_search_runs(panel):
    panel.steps.value = 50
    steps = []
    panel.picture.observe(lambda _: steps.append(panel.progress.value), names="value")
    click(panel, panel.render_button)
    assert steps == [1, 21, 41, 50]


def test_a_growing_picture_is_shown_as_keras_vis_shows_the_last(panel):
    panel.render()
    np.testing.assert_allclose(
        panel_parts.display(panel._last["raw"].values[0, 0, 0, 0]).astype(int),
        panel._last["display"].values[0, 0, 0, 0],
        atol=1,
    )


@pytest.mark.parametrize(("length", "shown"), [(28, 252), (64, 256), (227, 227), (400, 400)])
def test_a_pixel_is_shown_as_a_square_of_whole_pixels(length, shown):
    black = np.zeros((length, length, 3), "uint8")
    assert f'width="{shown}"' in panel_parts.html(black, "black", width=256)


def test_stop_keeps_the_picture_so_far_and_says_so(panel):
    click(panel, panel.render_button)
    panel.steps.value = 50
    grown = []

    def stop_at_the_second_picture(_):
        grown.append(alts(panel.picture)[0])
        if len(grown) == 2:
            panel.stop_button.click()

    panel.picture.observe(stop_at_the_second_picture, names="value")
    click(panel, panel.render_button)
    assert said(panel) == "Stopped after step 21 of 50; the picture is of that step."
    assert "step 21 of 50" in alts(panel.picture)[0]
    np.testing.assert_array_equal(pictures(panel.picture)[0].shape, (8, 10))
    assert "step 21 of 50" in panel.figure().alt
    click(panel, panel.keep_button)
    assert said(panel).startswith("Error: there is no finished map")
    assert panel.results == []


def test_a_new_render_ends_the_old_search_first(panel):
    first = []

    def hold_until_stopped(_):
        if not first:
            first.append(True)
            assert panel._stop.wait(LONGEST_WAIT)

    panel.picture.observe(hold_until_stopped, names="value")
    panel.render_button.click()
    worker = panel._worker
    panel.tv_weight.value = 7
    panel.render_button.click()
    assert not worker.is_alive()
    panel.wait()
    assert said(panel).startswith("Done")
    assert "TV 7," in alts(panel.picture)[0]


def test_an_interrupt_is_said_and_leaves_no_map_to_keep(panel, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(panel_parts, "display", interrupted)
    with pytest.raises(ValueError, match="interrupted"), pytest.warns(UserWarning):
        panel.render()
    assert "interrupted" in said(panel)
    click(panel, panel.keep_button)
    assert panel.results == []


def test_sad_minimises_the_pre_activation(panel):
    panel.steps.value = 30
    click(panel, panel.render_button)
    happy = panel._last
    panel.sign.value = "sad"
    assert panel.objective.value == "pre-activation" and panel.objective.disabled
    click(panel, panel.render_button)
    assert "SadMap of conv" in alts(panel.picture)[0]
    assert panel._last["activation_raw"].item() < happy["activation_raw"].item()
    panel.sign.value = "happy"
    assert not panel.objective.disabled


def test_keep_fills_the_strip_and_clear_empties_it(panel):
    with pytest.raises(ValueError, match="render a map first"):
        panel.figure()
    click(panel, panel.render_button)
    assert "The map shown last" in panel.figure().alt
    panel.keep_button.click()
    panel.keep_button.click()
    assert said(panel) == "Error: this map is kept already"
    panel.layer.value = "out"
    click(panel, panel.render_button)
    panel.keep_button.click()
    assert said(panel) == "Kept: 2 in the strip."
    assert [kept.attrs["layer"] for kept in panel.results] == ["conv", "out"]
    assert ["of conv" in alts(panel.strip)[0], "of out" in alts(panel.strip)[1]] == [True, True]
    kept = panel.figure()
    assert "Kept maps" in kept.alt and "of conv" in kept.alt and "of out" in kept.alt
    assert len(kept.axes) == 2
    panel.clear_button.click()
    assert panel.results == [] and alts(panel.strip) == []


def test_spec_says_what_the_controls_say(panel):
    panel.layer.value, panel.unit.value = "out", 1
    panel.lp_weight.value, panel.activation_weight.value = 0, 2
    assert panel.spec == MapSpec(
        "out", (1,), lp_weights=(0,), activation_weight=2, steps=5, preprocessing="0..255"
    )
    assert MapSpec.from_toml(panel.spec.to_toml()) == panel.spec


def test_bad_input_is_said_and_the_panel_goes_on(panel):
    panel.activation_weight.value = 0
    click(panel, panel.render_button)
    assert said(panel).startswith("Error: activation_weight must be above 0")
    with pytest.raises(ValueError, match="activation_weight"):
        panel.render()
    panel.activation_weight.value = 1
    click(panel, panel.render_button)
    assert said(panel).startswith("Done")


def test_an_unexpected_error_in_the_search_is_said(panel, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of <memory>")

    monkeypatch.setattr(maps, "compute", broken)
    click(panel, panel.render_button)
    assert said(panel) == "Error: RuntimeError: out of &lt;memory&gt;"


def test_a_path_adds_a_model_and_a_wrong_one_is_said(panel, tmp_path):
    panel.path.value = str(tmp_path / "none.keras")
    assert "must be a file that exists" in said(panel)
    assert panel.model.value == "tiny"
    saved = tmp_path / "own.keras"
    tiny_net(units=4).save(saved)
    panel.path.value = str(saved)
    assert panel.model.value == str(saved)
    assert panel.unit.max == 3
    assert said(panel).endswith("takes 8 x 10 x 1; 2 layers have units.")


def test_preprocessing_is_asked_for_and_can_be_given():
    net = tiny_net(rescale=False)
    panel = widgets.Panel(net)
    panel.steps.value = 3
    click(panel, panel.render_button)
    assert said(panel).startswith("Error: preprocessing must be given")
    panel.preprocessing.value = "0..1"
    click(panel, panel.render_button)
    assert said(panel).startswith("Done")
    assert widgets.Panel(net, preprocessing=(-2, 2)).spec.preprocessing == (-2, 2)
    with pytest.raises(ValueError, match="preprocessing"):
        widgets.Panel(net, preprocessing="0..7")


def test_a_unit_without_gradient_is_said():
    net = tiny_net()
    kernel, bias = net.get_layer("conv").get_weights()
    net.get_layer("conv").set_weights([kernel * 0, bias])
    panel = widgets.Panel(net)
    panel.steps.value = 3
    with pytest.warns(UserWarning, match="no gradient"):
        panel.render()
    assert "gradient at the seed input: no" in alts(panel.picture)[0]


def test_every_control_has_a_name_and_waits_for_the_end_of_a_move(panel):
    every = all_widgets(panel)
    sliders = [w for w in every if isinstance(w, ipywidgets.IntSlider | ipywidgets.FloatLogSlider)]
    controls = [
        w
        for w in every
        if hasattr(w, "disabled") and w not in sliders and not isinstance(w, ipywidgets.HTML)
    ]
    assert len(sliders) == 4
    assert len(controls) >= 17
    names = [control.description for control in controls]
    assert all(names) and len(set(names)) == len(names)
    assert not any(getattr(w, "continuous_update", False) for w in every)


@pytest.mark.parametrize(
    ("notebook", "chosen"),
    [
        ("explore", {"unit": 1, "tv_weight": 0.5}),
        ("your_own_model", {"units": [0, 2], "tv_weights": [0.5, 1]}),
    ],
)
def test_the_notebook_runs_on_a_users_net_and_leaves_pictures(notebook, chosen, tmp_path):
    net = tmp_path / "own.keras"
    tiny_net(rescale=False).save(net)
    output = tmp_path / f"{notebook}.ipynb"
    notebooks.render(
        WORKBENCH / output.name,
        output,
        **{"net": str(net), "preprocessing": "0..1", "layer": "conv", "steps": 3, **chosen},
    )
    cells = [c for c in nbformat.read(output, as_version=4).cells if c.cell_type == "code"]
    shown = [out for cell in cells for out in cell.outputs if "image/png" in out.get("data", {})]
    assert "HappyMap of conv" in shown[-1].metadata["image/png"]["alt"]
