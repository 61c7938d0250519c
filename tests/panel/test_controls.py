import ipywidgets
import pytest
from tiny import tiny_net

from helpers import maps
from helpers.maps.optimization import Optimization
from helpers.maps.spec import MapSpec
from helpers.panel import sources
from helpers.panel.controls import OF_KERAS_VIS, Controls
from helpers.panel.elements import Number, Status
from helpers.panel.wanted import Wanted


@pytest.fixture
def build():
    """Make controls, the status they speak to and the list that each move makes longer."""

    def make(models, preprocessing=None, preset="keras_vis", **chosen):
        status, moves = Status(), []
        made = Controls(
            models,
            preprocessing,
            status,
            lambda: moves.append(made.layer.value),
            preset=preset,
            **chosen,
        )
        return made, status, moves

    return make


def test_spec_says_what_the_controls_say(build):
    made, _, _ = build(tiny_net(), layer="out", unit=1, lp_weight=0, activation_weight=2, steps=5)
    made.seed.value = 4
    assert made.spec == MapSpec(
        "out",
        (1,),
        lp_weights=(0,),
        seeds=(4,),
        activation_weight=2,
        steps=5,
        preprocessing="0..255",
    )


def test_each_change_is_one_move_and_building_is_none(build):
    made, _, moves = build({"few": tiny_net(units=3), "many": tiny_net(units=6)}, unit=2)
    assert moves == []
    made.tv_weight.value = 3
    assert moves == ["conv"]
    made.layer.value = "out"
    assert moves == ["conv", "out"]
    made.model.value = "many"
    assert moves == ["conv", "out", "conv"]
    made.sign.value = "sad"
    made.put(Wanted(MapSpec("out", (1,), steps=7)))
    assert moves[3:] == ["conv", "out"]


def test_the_unit_stays_among_the_layers_units(build):
    made, _, _ = build({"few": tiny_net(units=3), "many": tiny_net(units=6)})
    assert [label for label, _ in made.layer.options] == [
        "conv (Conv2D, 3 units)",
        "out (Dense, 2 units)",
    ]
    made.model.value = "many"
    made.unit.value = 5
    assert (made.unit.max, made.unit.ends) == (5, [0, 5])
    made.layer.value = "out"
    assert (made.unit.value, made.unit.max) == (1, 1)
    made.model.value = "few"
    assert (made.layer.value, made.unit.max) == ("conv", 2)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("unit", 3, "units of conv must be integers 0 to 2, got 3"),
        ("unit", 0.5, "units of conv must be integers 0 to 2, got 0.5"),
        ("tv_weight", -1, "tv_weights must be finite numbers of at least 0, got -1"),
        ("activation_weight", 0, "activation_weight must be above 0, got 0"),
        ("seed", -2, "seeds must be integers of at least 0, got -2"),
        ("steps", 0, "steps must be at least 1, got 0"),
    ],
)
def test_a_number_that_is_not_legal_is_named(build, name, value, words):
    made, _, _ = build(tiny_net())
    getattr(made, name).value = value
    with pytest.raises(ValueError, match=words):
        _ = made.spec


def test_a_sad_map_minimises_the_pre_activation(build):
    made, _, _ = build(tiny_net())
    made.sign.value = "sad"
    assert made.objective.value == "pre-activation"
    assert made.spec.sign == "sad"
    made.objective.value = "activation"
    with pytest.raises(ValueError, match="objective must be one of"):
        _ = made.spec


def test_the_input_is_read_from_the_model_or_asked_for(build):
    made, _, _ = build({"says": tiny_net(), "silent": tiny_net(rescale=False)})
    assert made.preprocessing.options[0] == ("read from the model: 0..255", sources.INFERRED)
    assert made.spec.preprocessing == "0..255"
    made.model.value = "silent"
    assert made.preprocessing.options[0][0] == "choose: the model does not state it"
    with pytest.raises(ValueError, match="choose under Input .* it takes 8 x 10 x 1 numbers"):
        _ = made.spec
    made.preprocessing.value = "0..1"
    assert made.spec.preprocessing == "0..1"
    made.model.value = "says"
    assert made.spec.preprocessing == "0..255"


def test_a_range_of_the_input_can_be_given(build):
    made, _, _ = build(tiny_net(rescale=False))
    assert made.input_range.layout.display == "none"
    made.preprocessing.value = sources.OTHER_RANGE
    assert made.input_range.layout.display == ""
    made.input_range.value = "-2, 2.5"
    assert made.spec.preprocessing == (-2, 2.5)
    for text, words in (("wide", "input_range must be two numbers"), ("3, 1", "low < high")):
        made.input_range.value = text
        with pytest.raises(ValueError, match=words):
            _ = made.spec


def test_preprocessing_can_be_given(build):
    model = tiny_net(rescale=False)
    assert build(model, (-2, 2))[0].spec.preprocessing == (-2, 2)
    assert build(model, "-1..1")[0].spec.preprocessing == "-1..1"
    with pytest.raises(ValueError, match="preprocessing"):
        build(model, "0..7")


def test_put_moves_the_controls_to_the_first_of_each(build):
    made, _, _ = build(tiny_net())
    sad = MapSpec(
        "conv",
        (2, 1),
        sign="sad",
        objective="pre-activation",
        tv_weights=(0.5, 1),
        lp_weights=(3,),
        seeds=(7,),
        activation_weight=2,
        steps=9,
        pixels="bounded",
        preprocessing=(-2, 2),
    )
    made.put(Wanted(sad))
    one = MapSpec.from_mapping(
        {**{f: getattr(sad, f) for f in sad.__dataclass_fields__}, "units": 2, "tv_weights": 0.5}
    )
    assert made.spec == one


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (MapSpec("none", (0,)), "layer must be"),
        (MapSpec("conv", (9,)), "units of conv"),
        (MapSpec("conv", (0,), engine="magic"), "engine must be"),
        (MapSpec("conv", (0,), preprocessing="caffe"), "needs 3 channels"),
        (MapSpec("conv", (0,), seed_input="abc"), "seed_input must be absent"),
    ],
)
def test_put_of_what_the_model_lacks_changes_nothing(build, spec, words):
    made, _, moves = build(tiny_net(), layer="out", unit=1)
    before = made.spec
    with pytest.raises(ValueError, match=words):
        made.put(Wanted(spec))
    assert made.spec == before and moves == []


def test_a_path_adds_a_model_and_a_wrong_one_is_announced(build, tmp_path):
    made, status, moves = build(tiny_net())
    made.path.value = str(tmp_path / "none.keras")
    assert "must be a file that exists" in status.text
    assert (made.model.value, moves) == ("tiny", [])
    saved = str(tmp_path / "own.keras")
    tiny_net(units=4).save(saved)
    made.path.value = saved
    assert (made.model.value, made.unit.max, moves) == (saved, 3, ["conv"])
    assert (made.model.label, made.path.value) == ("own.keras", "")


def test_what_is_given_for_one_model_is_not_taken_for_one_that_is_opened_later(build, tmp_path):
    made, *_ = build(tiny_net(rescale=False), "0..1")
    tiny_net(units=4, rescale=False).save(tmp_path / "own.keras")
    made.path.value = str(tmp_path / "own.keras")
    with pytest.raises(ValueError, match="choose under Input"):
        _ = made.spec
    made.model.value = "tiny"
    assert made.spec.preprocessing == "0..1"


def test_a_sad_map_is_chosen_with_an_objective_that_it_can_have(build):
    made, _, _ = build(tiny_net(), sign="sad")
    assert made.spec.objective == "pre-activation"


def test_what_is_chosen_must_exist(build):
    with pytest.raises(TypeError, match="colour"):
        build(tiny_net(), colour=1)
    with pytest.raises(ValueError, match="layer must be a value that its control takes"):
        build(tiny_net(), layer="none")


def test_every_control_has_a_name_of_its_own(build):
    made, _, _ = build(tiny_net())
    names = [c.name if isinstance(c, Number) else c.description for c in made.children]
    assert len(names) == 19 and all(names) and len(set(names)) == 19
    assert not any(
        getattr(c, "continuous_update", False)
        for c in made.children
        if isinstance(c, ipywidgets.Text)
    )


def halved(pixels):
    return pixels / 2


def test_a_spec_that_names_the_panels_own_function_can_be_put_back(build):
    made, _, _ = build(tiny_net(rescale=False), halved)
    own = made.spec
    made.preprocessing.value, made.unit.value = "0..1", 2
    made.put(Wanted.from_toml(own.to_toml()))
    assert made.spec == own and made.spec.preprocessing.call is not None
    assert [label for label, _ in made.preprocessing.options][-1] == "the function halved, as given"
    stranger = Wanted.from_toml(own.to_toml().replace("halved", "doubled"))
    with pytest.raises(ValueError, match="preprocessing must be given again"):
        made.put(stranger)


def test_a_preset_hides_what_only_keras_vis_has_and_brings_its_own_steps(build):
    made, _, moves = build(tiny_net(), preset=None)
    assert (made.preset.value, made.steps.value, made.objective.value) == (
        "robust",
        maps.PRESETS["robust"].steps,
        "pre-activation",
    )
    assert all(getattr(made, name).layout.display == "none" for name in OF_KERAS_VIS)
    assert made.wanted.request == Optimization(
        maps.Unit("conv", 0, pre_activation=True), preprocessing="0..255"
    )
    made.preset.value = "keras_vis"
    assert moves == ["conv"]
    assert not any(getattr(made, name).layout.display for name in OF_KERAS_VIS)
    assert made.wanted.request == MapSpec(
        "conv", (0,), tv_weights=0.1, lp_weights=0.1, weights="relative", preprocessing="0..255"
    )


def test_what_only_keras_vis_has_chooses_it_and_another_model_is_robust(build, tmp_path):
    made, *_ = build(tiny_net(), preset=None, tv_weight=0.5)
    assert (made.preset.value, made.spec.tv_weights) == ("keras_vis", (0.5,))
    tiny_net(units=4).save(tmp_path / "own.keras")
    made.path.value = str(tmp_path / "own.keras")
    assert made.preset.value == "robust"
    made.preset.value = "keras_vis"
    assert made.spec.weights == "relative"


def test_an_optimization_is_put_back(build):
    made, *_ = build(tiny_net(), preset="maco", unit=2, seed=5, steps=7)
    asked = made.wanted
    made.preset.value, made.unit.value = "keras_vis", 0
    made.put(Wanted.from_toml(asked.to_toml()))
    assert made.wanted == asked
