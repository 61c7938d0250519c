import threading
from pathlib import Path

import ipywidgets
import nbformat
import pytest
from tiny import tiny_net

from helpers import maps
from helpers.maps.spec import MapSpec
from helpers.panel import parts
from helpers.panel.elements import Number, SpecBox, Status
from helpers.panel.panel import Panel
from helpers.publish import notebooks

WORKBENCH = Path(__file__).parent.parent.parent / "notebooks"
LONGEST_WAIT = 120


@pytest.fixture
def panel():
    return Panel(tiny_net(), steps=5)


def click(panel, button) -> None:
    button.click()
    panel.wait()


def paste(panel, toml: str) -> None:
    """What the page sends when Apply is pressed over this text."""
    panel.toml._handle_custom_msg({"apply": toml}, [])
    panel.wait()


def all_widgets(widget) -> list:
    inner = [one for child in getattr(widget, "children", ()) for one in all_widgets(child)]
    return [widget, *inner]


def hold(monkeypatch):
    """Make each search wait at its first step until it is let go; return what tells and lets go."""
    began, let_go, compute = threading.Event(), threading.Event(), maps.compute

    def held(net, spec, *, on_step, **options):
        def slow(step, picture):
            began.set()
            assert let_go.wait(LONGEST_WAIT)
            on_step(step, picture)

        return compute(net, spec, on_step=slow, **options)

    monkeypatch.setattr(maps, "compute", held)
    return began, let_go


def test_a_move_shows_the_map_that_happy_maps_finds_and_its_numbers(panel):
    panel.controls.tv_weight.value = 0.5
    panel.wait()
    expected = maps.happy_maps(tiny_net(), "conv", 0, tv_weights=0.5, steps=5, progress=False)
    assert panel.picture.png == parts.png(parts.pixels(expected))
    text = f"{parts.caption(expected)}\n{parts.numbers(expected)}"
    assert panel.picture.caption == text
    assert panel.picture.alt == text.replace("\n", "; ")
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
def test_each_control_starts_the_search_by_itself(panel, name, value, words):
    getattr(panel.controls, name).value = value
    panel.wait()
    assert words in panel.picture.caption
    assert panel.status.text.startswith("Done in")


def test_rapid_moves_search_only_the_first_begun_and_the_newest(panel, monkeypatch):
    began, let_go = hold(monkeypatch)
    panel.controls.tv_weight.value = 0.5
    assert began.wait(LONGEST_WAIT)
    captions = []
    panel.picture.observe(lambda change: captions.append(change["new"]), names="caption")
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
def test_the_picture_grows_while_the_search_runs(panel, engine, shown):
    panel.controls.engine.value = engine
    panel.controls.steps.value = 50
    panel.wait()
    steps = []
    panel.picture.observe(lambda _: steps.append(panel.status.value), names="png")
    click(panel, panel.render_button)
    assert steps == shown


def test_stop_keeps_the_picture_so_far_and_says_so(panel):
    panel.controls.steps.value = 50
    panel.wait()
    grown = []

    def stop_at_the_second_picture(change):
        grown.append(change["new"])
        if len(grown) == 2:
            panel.stop_button.click()

    panel.picture.observe(stop_at_the_second_picture, names="caption")
    click(panel, panel.render_button)
    assert panel.status.text == "Stopped after step 21 of 50; the picture is of that step."
    assert "step 21 of 50" in panel.picture.caption
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
    assert panel.picture.png == b""


def test_a_move_that_is_not_legal_is_said_stops_the_search_and_the_panel_goes_on(
    panel, monkeypatch
):
    began, let_go = hold(monkeypatch)
    panel.controls.unit.value = 1
    assert began.wait(LONGEST_WAIT)
    panel.controls.activation_weight.value = 0
    let_go.set()
    panel.wait()
    assert panel.status.text.startswith("Error: activation_weight must be above 0")
    assert panel.status.is_error and panel.picture.png == b""
    with pytest.raises(ValueError, match="activation_weight"):
        panel.render()
    panel.controls.activation_weight.value = 1
    panel.wait()
    assert panel.status.text.startswith("Done") and not panel.status.is_error


def test_an_unexpected_error_in_the_search_is_said(panel, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(maps, "compute", broken)
    click(panel, panel.render_button)
    assert panel.status.text == "Error: RuntimeError: out of memory"
    with pytest.raises(RuntimeError, match="out of memory"):
        panel.render()


def test_a_net_that_does_not_say_its_range_is_asked_about_at_once():
    panel = Panel(tiny_net(rescale=False), steps=3)
    assert panel.status.text.startswith("Error: say under Input what the net expects")
    panel.controls.preprocessing.value = "0..1"
    panel.wait()
    assert panel.status.text.startswith("Done")


def test_keep_fills_the_strip_and_clear_empties_it(panel):
    with pytest.raises(ValueError, match="render a map first"):
        panel.figure()
    panel.render()
    assert "The map shown last" in panel.figure().alt
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
    assert "of out\nunit 1, activation\nTV 0.5," in panel.picture.caption


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
def test_a_pasted_text_that_is_no_spec_is_said(panel, toml, words):
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
    assert "unit 1, activation\nTV 0.5," in panel.picture.caption


def test_a_unit_without_gradient_is_said_and_nothing_warns(recwarn):
    net = tiny_net()
    kernel, bias = net.get_layer("conv").get_weights()
    net.get_layer("conv").set_weights([kernel * 0, bias])
    panel = Panel(net, steps=3)
    panel.render()
    assert "no gradient: the regularizers act alone" in panel.picture.caption
    assert not [w for w in recwarn if "no gradient" in str(w.message)]


def test_every_name_is_there_once(panel):
    every = all_widgets(panel)
    described = ipywidgets.Dropdown | ipywidgets.Text | ipywidgets.Button
    names = [w.description for w in every if isinstance(w, described)]
    names += [w.name for w in every if isinstance(w, Number | SpecBox | Status)]
    assert len(names) >= 30 and all(names) and len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("notebook", "chosen"),
    [
        ("explore", {"unit": 1, "tv_weight": 0.5, "sweep_units": [0, 1], "sweep_tv_weights": [1]}),
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
