import re
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import xarray as xr

from helpers import maps
from helpers.sweeps import Study, open_results, read_study, store
from helpers.sweeps.study import main

STUDY = """
[models.tiny]
main = "tiny.keras"

[defaults]
steps = 2

[grids.conv]
layer = "conv"
tv_weights = [0.0, 1.0]
seeds = [0, 1]

[grids.out]
layer = "out"
objective = "pre-activation"

[figures.image_3]
post = "Image 3"
title = "Outputs"

[sizes.small]
at_most = { units = 2, seeds = 1 }
set = { steps = 1 }
"""

AS_TRAINED = """
[grids.conv_as_trained]
model = "as_trained"
layer = "conv"
"""


@pytest.fixture
def study(tmp_path):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 6, 1))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(10, 3, activation="relu", bias_initializer="ones", name="conv")(x)
    x = keras.layers.Flatten()(x)
    net = keras.Model(pixels, keras.layers.Dense(2, activation="softmax", name="out")(x))
    net.save(tmp_path / "tiny.keras")
    (tmp_path / "study.toml").write_text(STUDY)
    return Study(tmp_path / "study.toml", "tiny")


def same(a: xr.Dataset, b: xr.Dataset) -> None:
    xr.testing.assert_equal(a, b)
    assert a.attrs["layer"] == b.attrs["layer"]


def test_a_grid_is_every_unit_weight_and_seed_as_optimized_directly(study):
    stored = study.maps("conv", progress=False)
    assert stored.sizes["unit"] == 10
    direct = maps.happy_maps(
        study.model(), "conv", tv_weights=[0.0, 1.0], seeds=[0, 1], steps=2, progress=False
    )
    same(stored, direct)


def test_an_interrupted_run_resumes_to_the_same_result(study, tmp_path, monkeypatch):
    whole = Study(study.path, "tiny", results=tmp_path / "other").maps("conv", progress=False)
    compute, calls = maps.compute, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return compute(*arguments, **options)

    monkeypatch.setattr(maps, "compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.run(("conv",), progress=False)
    assert len(list((tmp_path / "results").glob("*.nc"))) == 1
    same(study.maps("conv", progress=False), whole)
    assert len(calls) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
from helpers import maps
from helpers.sweeps import study

moment, compute, write, files = sys.argv.pop(1), maps.compute, Path.write_bytes, []

def die(*ignored):
    os.kill(os.getpid(), signal.SIGKILL)

def write_half_of_the_second(path, content):
    files.append(path)
    write(path, content[: len(content) // len(files)])
    if len(files) == 2:
        die()

if moment == "writing":
    Path.write_bytes = write_half_of_the_second
else:
    maps.compute = lambda *a, **options: compute(*a, **(options | {"on_step": die}))
study.main(sys.argv[1:])
"""


def test_a_command_killed_twice_resumes_to_the_same_result(study, tmp_path):
    whole = Study(study.path, "tiny", results=tmp_path / "other")
    whole.run(progress=False)
    results = tmp_path / "results"
    for moment in ("writing", "optimizing"):
        command = [sys.executable, "-c", KILLED, moment, study.path]
        killed = subprocess.run(
            command, cwd=Path(__file__).parent.parent.parent, capture_output=True
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert [store.is_intact(p) for p in results.glob("[!.]*.nc")] == [True]
    assert len(list(results.iterdir())) > 1  # what the kills left
    study.run(progress=False)
    assert sorted(p.name for p in results.iterdir()) == [
        p.name for p in sorted((tmp_path / "other").iterdir())
    ]
    for grid in ("conv", "out"):
        xr.testing.assert_identical(
            *(s.maps(grid, progress=False).drop_attrs() for s in (study, whole))
        )


def test_a_changed_model_is_another_result(study):
    study.maps("out", progress=False)
    net = study.model()
    net.layers[-1].set_weights([w + 1 for w in net.layers[-1].get_weights()])
    study.maps("out", progress=False)
    assert len(list((study.folder / "results").glob("*.nc"))) == 2


def test_a_size_cuts_the_grid_down(study):
    spec = Study(study.path, "tiny", "small").spec("conv")
    assert (spec.units, spec.seeds, spec.tv_weights, spec.steps) == ((0, 1), (0,), (0.0, 1.0), 1)


def test_small_figures_do_not_overwrite_the_full_ones(study):
    small = Study(study.path, "tiny", "small")
    full_path = study.figure_path("image_3")
    assert full_path == study.folder / "output" / "figures" / "tiny" / "image_3.png"
    assert small.figure_path("image_3").parent != full_path.parent
    assert study.figure_title("image_3") == "Outputs (Image 3 of the post)"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.maps("nothing"), "grid must be one of"),
        (lambda s: s.figure_path("nothing"), "figure must be one of"),
        (lambda s: Study(s.path, "huge").declared, "name must be one of"),
        (lambda s: Study(s.path, "tiny", "huge").declared, "size must be one of"),
    ],
)
def test_what_is_not_declared_is_named(study, call, says):
    with pytest.raises(ValueError, match=says):
        call(study)


def test_figures_need_not_be_declared(study):
    study.path.write_text(re.sub(r"\[figures.image_3\]\n.*\n.*\n", "", STUDY))
    assert study.spec("out").units == (0, 1)
    with pytest.raises(ValueError, match="figure must be one of"):
        study.figure_path("image_3")


def test_results_open_as_a_tree_unread(study):
    study.run(progress=False)
    tree = open_results(study.path)
    assert list(tree) == ["tiny"]
    assert set(tree["tiny"].children) == {"conv", "out"}
    for grid in ("conv", "out"):
        opened = tree["tiny"][grid].to_dataset()
        assert all(variable.chunks for variable in opened.data_vars.values())
        xr.testing.assert_identical(opened.compute(), study.maps(grid, progress=False))
    assert set(open_results(study.path, "tiny").children) == {"conv", "out"}
    one = tree.sel(seed=0).mean("unit")["tiny/conv/activation_raw"]
    assert one.sizes == {"tv_weight": 2, "lp_weight": 1}


def test_results_that_are_not_all_stored_are_counted(study):
    study.run(("conv",), progress=False)
    with pytest.raises(FileNotFoundError, match="2 of 2 maps of grid 'out' of 'tiny'"):
        open_results(study.path)


def test_a_file_that_is_no_study_is_named(study, tmp_path):
    with pytest.raises(ValueError, match="study must be a TOML file"):
        open_results(tmp_path / "nothing.toml")
    for text, words in (
        ("[models.tiny]", r"needs a table \[grids\]"),
        (STUDY.replace("[sizes.", "[size."), r"tables must be of .*got \['size'\]"),
        (STUDY.replace("main =", "other ="), r"\[models.tiny\] needs the key 'main'"),
        (
            STUDY.replace('"tiny.keras"', '{ file = "tiny.keras" }'),
            r"main of \[models.tiny\] must be a file, or a table of .*'rescaling'",
        ),
    ):
        study.path.write_text(text)
        with pytest.raises(ValueError, match=words):
            open_results(study.path)


def test_the_older_name_of_the_table_of_models_is_read(study):
    before = read_study(study.path)
    study.path.write_text(STUDY.replace("[models.", "[nets."))
    assert read_study(study.path) == before


def test_a_role_without_its_rescaling_is_the_same_weights_taking_what_the_rescaling_gave(study):
    roles = 'main = { file = "tiny.keras", rescaling = false }\nas_trained = "tiny.keras"'
    text = STUDY.replace('main = "tiny.keras"', roles)
    of_bare = 'steps = 2\npreprocessing = "0..255"'
    study.path.write_text(text.replace("steps = 2", of_bare) + AS_TRAINED)
    bare, whole = study.model("conv"), study.model("conv_as_trained")
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 6, 1))
    np.testing.assert_allclose(bare(pixels / 255), whole(pixels), atol=1e-5)
    maps_of = {grid: study.maps(grid, progress=False) for grid in ("conv", "conv_as_trained")}
    seeds = {grid: made["activation_seed"].mean() for grid, made in maps_of.items()}
    assert seeds["conv"] > 20 * seeds["conv_as_trained"]


def test_the_command_runs_every_grid_of_every_net(study, capsys):
    code = main([str(study.path), "--size", "small"])
    assert code == 0
    assert "tiny: 6 maps in 2 files" in capsys.readouterr().out
    assert len(open_results(study.path, size="small").leaves) == 2


def test_the_command_says_what_is_wrong(study, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for wrong, says in (
        (["--model", "huge"], "name must be one of ['tiny'], got 'huge'"),
        (["--results", str(tmp_path / "file" / "x")], "file/x must be a folder"),
    ):
        assert main([str(study.path), *wrong]) == 1
        assert says in capsys.readouterr().err


def test_an_interrupted_command_says_so(study, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(maps, "compute", interrupted)
    assert main([str(study.path)]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_the_whole_grid_of_experiment_1_is_declared():
    whole = Path(__file__).parent.parent.parent / "experiments" / "experiment1" / "whole.toml"
    for name in read_study(whole).models:
        specs = [Study(whole, name).spec(grid) for grid in read_study(whole).grids]
        assert [len(spec.units) for spec in specs] == [32, 32, 64, 64, 32, 2]
        assert {spec.tv_weights for spec in specs} == {tuple(10.0**k for k in range(-5, 4))}
        assert {spec.seeds for spec in specs} == {(0, 1, 2)}
