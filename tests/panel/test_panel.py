import threading
from pathlib import Path

import ipywidgets
import nbformat
import pytest
from tiny import tiny_net

from helpers import maps
from helpers.faces.dataset import load_faces
from helpers.maps.spec import MapSpec
from helpers.panel import parts
from helpers.panel.elements import Number, SpecBox, Status
from helpers.panel.panel import Panel
from helpers.publish import notebooks

WORKBENCH = Path(__file__).parent.parent.parent / "notebooks"
LONGEST_WAIT = 120


@pytest.fixture
def panel():
    return Panel(tiny_net(), weights="absolute", steps=5)


def click(panel, button) -> None:
    button.click()
    panel.wait()


def paste(panel, toml: str) -> None:
    """Do what a press of Apply over this text does."""
    panel.status.attempt(lambda: panel.apply(toml))
    panel.wait()


def all_widgets(widget) -> list:
    inner = [one for child in getattr(widget, "children", ()) for one in all_widgets(child)]
    return [widget, *inner]


def hold(monkeypatch):
    """Make each optimization wait at its first step; return what tells of it and lets it go."""
    began, let_go, compute = threading.Event(), threading.Event(), maps.compute

    def held(model, spec, *, on_step, **options):
        def slow(step, image):
            began.set()
            assert let_go.wait(LONGEST_WAIT)
            on_step(step, image)

        return compute(model, spec, on_step=slow, **options)

    monkeypatch.setattr(maps, "compute", held)
    return began, let_go


def test_a_move_shows_the_map_that_happy_maps_returns_and_its_numbers(panel):
    panel.controls.tv_weight.value = 0.5
    panel.wait()
    expected = maps.happy_maps(tiny_net(), "conv", 0, tv_weights=0.5, steps=5, progress=False)
    assert panel.image.png == parts.png(parts.pixels(expected))
    assert panel.image.caption == parts.line(expected)
    assert panel.image.details == parts.details(expected)
    assert panel.status.text.startswith("Done in")
    assert panel.status.text.endswith(f"activation {parts.reached(expected)}.")
    assert panel.status.value == panel.status.max == 5
    assert panel.links.value.count("download=") == 2


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tv_weight", 0.25, "TV 0.25,"),
        ("lp_weight", 3, "LP 3,"),
        ("activation_weight", 2, "weight 2"),
        ("unit", 2, "unit 2,"),
        ("layer", "out", "of out"),
        ("seed", 4, "seed 4"),
        ("sign", "sad", "SadMap"),
        ("objective", "pre-activation minus others", "minus others"),
    ],
)
def test_each_control_starts_the_optimization_by_itself(panel, name, value, words):
    getattr(panel.controls, name).value = value
    panel.wait()
    assert words in panel.image.alt
    assert panel.status.text.startswith("Done in")


def test_a_model_begins_with_the_robust_map_which_sharpens_as_one_watches():
    panel = Panel(tiny_net(), steps=25, unit=1)
    seen = []
    panel.image.observe(lambda _: seen.append((panel.status.value, panel.image.png)), names="png")
    panel.render()
    assert [step for step, _ in seen] == [1, 21, 25] and len({png for _, png in seen}) == 3
    unit = maps.Unit("conv", 1, pre_activation=True)
    expected = maps.maximize(tiny_net(), unit, steps=25, progress=False)
    assert panel.image.png == parts.png(expected["display"].values[0, 0])
    assert "unit 1, pre-activation\nrobust, seed 0" in panel.image.details
    toml = panel.toml.value
    panel.controls.preset.value = "keras_vis"
    paste(panel, toml)
    assert panel.image.png == parts.png(expected["display"].values[0, 0])


def test_rapid_moves_optimize_only_the_first_begun_and_the_newest(panel, monkeypatch):
    began, let_go = hold(monkeypatch)
    panel.controls.tv_weight.value = 0.5
    assert began.wait(LONGEST_WAIT)
    captions = []
    panel.image.observe(lambda change: captions.append(change["new"]), names="alt")
    for weight in (1, 2, 3):
        panel.controls.tv_weight.value = weight
    let_go.set()
    panel.wait()
    assert len(captions) == 2
    assert all("TV 3," in caption for caption in captions)
    assert panel.status.text.startswith("Done in")


@pytest.mark.parametrize(
    ("engine", "shown"), [("batched", [1, 21, 41, 50]), ("keras-vis", [1, 20, 40, 50])]
)
def test_the_image_grows_while_the_optimization_runs(panel, engine, shown):
    panel.controls.engine.value = engine
    panel.controls.steps.value = 50
    panel.wait()
    steps = []
    panel.image.observe(lambda _: steps.append(panel.status.value), names="png")
    click(panel, panel.render_button)
    assert steps == shown


def test_stop_keeps_the_image_so_far_and_announces_it(panel):
    panel.controls.steps.value = 50
    panel.wait()
    grown = []

    def stop_at_the_second_image(change):
        grown.append(change["new"])
        if len(grown) == 2:
            panel.stop_button.click()

    panel.image.observe(stop_at_the_second_image, names="caption")
    click(panel, panel.render_button)
    assert panel.status.text == "Stopped after step 21 of 50; the image is of that step."
    assert "step 21 of 50" in panel.image.caption
    assert "step 21 of 50" in panel.figure().alt
    panel.stop_button.click()
    panel.keep_button.click()
    assert panel.status.text == "Error: there is no finished map to keep: render one first"
    assert panel.results == []


def test_stop_before_the_first_step_says_so(panel, monkeypatch):
    began, let_go = hold(monkeypatch)
    panel.render_button.click()
    assert began.wait(LONGEST_WAIT)
    panel.stop_button.click()
    let_go.set()
    panel.wait()
    assert panel.status.text == "Stopped before the first step."
    assert panel.image.png == b""


def test_a_move_that_is_not_legal_is_announced_stops_the_optimization_and_the_panel_goes_on(
    panel, monkeypatch
):
    began, let_go = hold(monkeypatch)
    panel.controls.unit.value = 1
    assert began.wait(LONGEST_WAIT)
    panel.controls.activation_weight.value = 0
    let_go.set()
    panel.wait()
    assert panel.status.text.startswith("Error: activation_weight must be above 0")
    assert panel.status.is_error and panel.image.png == b""
    with pytest.raises(ValueError, match="activation_weight"):
        panel.render()
    panel.controls.activation_weight.value = 1
    panel.wait()
    assert panel.status.text.startswith("Done") and not panel.status.is_error


def test_an_unexpected_error_is_announced(panel, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(maps, "compute", broken)
    click(panel, panel.render_button)
    assert panel.status.text == "Error: RuntimeError: out of memory"
    with pytest.raises(RuntimeError, match="out of memory"):
        panel.render()


def test_a_model_that_does_not_state_its_range_is_asked_about_at_once():
    panel = Panel(tiny_net(rescale=False), steps=3)
    assert panel.status.text.startswith("Error: choose under Input what the model expects")
    panel.controls.preprocessing.value = "0..1"
    panel.wait()
    assert panel.status.text.startswith("Done")


def test_keep_fills_the_strip_and_clear_empties_it(panel):
    with pytest.raises(ValueError, match="render one first"):
        panel.figure()
    panel.render()
    assert "The last map" in panel.figure().alt
    panel.keep_button.click()
    panel.keep_button.click()
    assert panel.status.text == "Error: this map is kept already"
    panel.controls.layer.value = "out"
    panel.wait()
    panel.keep_button.click()
    assert panel.status.text == "Kept: 2 in the strip."
    assert [kept.attrs["layer"] for kept in panel.results] == ["conv", "out"]
    assert panel.strip.value == parts.strip(panel.results)
    figure = panel.figure()
    assert "Kept maps" in figure.alt and "of conv" in figure.alt and "of out" in figure.alt
    assert len(figure.axes) == 2
    panel.clear_button.click()
    assert panel.results == [] and panel.strip.value == ""


def test_the_spec_is_shown_as_toml_and_one_that_is_pasted_is_applied(panel):
    assert MapSpec.from_toml(panel.toml.value) == panel.spec
    panel.controls.unit.value = 2
    panel.wait()
    assert MapSpec.from_toml(panel.toml.value).units == (2,)
    pasted = MapSpec("out", (1,), tv_weights=(0.5,), steps=4, preprocessing="0..255")
    paste(panel, pasted.to_toml())
    assert panel.spec == pasted
    assert "unit 1, activation\nTV 0.5," in panel.image.details


def test_a_pasted_spec_of_several_maps_goes_to_the_sweep(panel):
    pasted = MapSpec("conv", (0, 2), seeds=(1, 2), steps=4, preprocessing="0..255")
    paste(panel, pasted.to_toml())
    assert panel.sweep.spec == pasted
    assert (panel.spec.units, panel.spec.seeds) == ((0,), (1,))


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("layer = ", "the spec must be TOML"),
        ('layer = "conv"', "a spec needs the keys"),
        ('layer = "none"\nunits = [0]', "layer must be"),
    ],
)
def test_a_pasted_text_that_is_not_a_spec_is_refused(panel, toml, words):
    before = panel.spec
    paste(panel, toml)
    assert words in panel.status.text
    assert panel.spec == before


def test_a_move_ends_a_sweep_which_says_so_and_goes_on_later(panel, monkeypatch):
    panel.sweep.row_values.value, panel.sweep.column_values.value = "0, 1", "0.5, 1"
    began, let_go = hold(monkeypatch)
    panel.sweep.start_button.click()
    assert began.wait(LONGEST_WAIT)
    panel.controls.unit.value = 2
    let_go.set()
    panel.wait()
    assert panel.sweep.status.text.startswith("Stopped after 0 of 4 maps")
    assert panel.status.text.startswith("Done")
    panel.sweep.render()
    panel.sweep.grid.chosen = [1, 0]
    panel.sweep.keep_button.click()
    assert panel.results[0]["unit"].item() == 1
    panel.sweep.open_button.click()
    panel.wait()
    assert "unit 1, activation\nTV 0.5," in panel.image.details


def test_a_silent_unit_is_marked_and_nothing_warns(recwarn):
    model = tiny_net()
    kernel, bias = model.get_layer("conv").get_weights()
    model.get_layer("conv").set_weights([kernel * 0, bias])
    panel = Panel(model, preset="keras_vis", steps=3)
    panel.render()
    assert "not raised: no gradient" in panel.image.caption
    assert "no gradient: the regularizers act alone" in panel.image.details
    assert not [w for w in recwarn if "no gradient" in str(w.message)]


def test_a_card_is_cleared_when_another_unit_layer_or_model_is_chosen():
    faces = load_faces("rendered", seed=0, people=2, per_person=2)
    panel = Panel(
        {"a": tiny_net(), "b": tiny_net(seed=1)}, images=faces, preset="keras_vis", steps=2
    )
    panel.render()
    for control, value, is_cleared in (
        (panel.controls.tv_weight, 3, False),
        (panel.controls.unit, 1, True),
        (panel.controls.layer, "out", True),
        (panel.controls.model, "b", True),
    ):
        panel.card.picture.png, panel.card.picture.alt = b"a card", "Card"
        control.value = value
        panel.wait()
        assert (panel.card.picture.png == b"") == is_cleared
        assert (panel.card.picture.alt == "") == is_cleared


def test_a_map_of_another_layer_is_dimmed_until_there_is_one_of_this():
    panel = Panel({"a": tiny_net(), "b": tiny_net(rescale=False)}, preset="keras_vis", steps=2)
    panel.render()
    dimmed = []
    panel.image.observe(lambda change: dimmed.append(change["new"]), names="is_stale")
    panel.controls.layer.value = "out"
    panel.wait()
    assert dimmed == [True, False]
    panel.controls.model.value = "b"  # which does not say what it expects
    panel.wait()
    assert "choose under Input" in panel.status.text
    assert panel.image.is_stale and panel.links.value == ""


def test_a_sweep_of_another_layer_is_marked():
    panel = Panel(tiny_net(), preset="keras_vis", steps=2)
    panel.sweep.choose(unit=[0], tv_weight=[1])
    panel.sweep.render()
    panel.controls.layer.value = "out"
    panel.wait()
    assert panel.sweep.grid.is_stale and panel.sweep.image.is_stale


def test_every_name_is_there_once(panel):
    every = all_widgets(panel)
    described = ipywidgets.Dropdown | ipywidgets.Text | ipywidgets.Button
    names = [w.description for w in every if isinstance(w, described)]
    names += [w.name for w in every if isinstance(w, Number | SpecBox | Status)]
    assert len(names) >= 30 and all(names) and len(set(names)) == len(names)


def test_the_notebook_runs_on_a_users_model_and_leaves_images(tmp_path):
    model, output = tmp_path / "own.keras", tmp_path / "explore.ipynb"
    tiny_net(rescale=False).save(model)
    chosen = {"unit": 1, "tv_weight": 0.5, "sweep_units": [0, 1], "sweep_tv_weights": [1]}
    always = {"model": str(model), "preprocessing": "0..1", "layer": "conv", "steps": 3}
    notebooks.render(WORKBENCH / output.name, output, always | chosen)
    cells = [c for c in nbformat.read(output, as_version=4).cells if c.cell_type == "code"]
    shown = [out for cell in cells for out in cell.outputs if "image/png" in out.get("data", {})]
    assert "HappyMap of conv" in shown[-1].metadata["image/png"]["alt"]


def test_the_views_take_turns_and_a_map_of_the_overview_chooses_its_unit():
    panel = Panel(tiny_net(), preset="keras_vis", steps=2)
    assert list(panel.tabs.names) == ["Map", "All units", "Why", "Sweep"]

    def seen():
        return [view for view in (panel.overview, panel.why, panel.sweep) if not hidden(view)]

    assert seen() == []
    panel.show("All units")
    assert seen() == [panel.overview]
    panel.overview.render()
    panel.overview.tiles.children[0]._handle_custom_msg({"unit": 2}, [])
    panel.wait()
    assert panel.tabs.chosen == 0 and seen() == []
    assert panel.controls.unit.value == 2 and "unit 2" in panel.image.caption
    assert panel.overview.tiles.children[0].chosen == 2
    panel.show("Why")
    panel.why.wait()
    assert "conv unit 2" in panel.why.heat.caption and panel.why.map.png == panel.image.png
    with pytest.raises(ValueError, match="name must be one of"):
        panel.show("Card")


def hidden(view) -> bool:
    return view.layout.display == "none"
