import keras
import pytest
import xarray as xr

from helpers import maps, store, sweep
from helpers.sweep import Study

EXPERIMENT = """
[nets.tiny]
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


@pytest.fixture
def study(tmp_path):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 6, 1))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(10, 3, activation="relu", bias_initializer="ones", name="conv")(x)
    x = keras.layers.Flatten()(x)
    net = keras.Model(pixels, keras.layers.Dense(2, activation="softmax", name="out")(x))
    net.save(tmp_path / "tiny.keras")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    return Study(tmp_path / "experiment.toml", "tiny")


def same(a: xr.Dataset, b: xr.Dataset) -> None:
    xr.testing.assert_equal(a, b)
    assert a.attrs["layer"] == b.attrs["layer"]


def test_a_grid_is_every_unit_weight_and_seed_as_searched_directly(study):
    found = study.maps("conv", progress=False)
    assert dict(found.sizes)["unit"] == 10
    direct = maps.happy_maps(
        study.model(), "conv", tv_weights=[0.0, 1.0], seeds=[0, 1], steps=2, progress=False
    )
    same(found, direct)


def test_what_is_stored_is_not_searched_again(study, monkeypatch):
    first = study.maps("conv", progress=False)
    monkeypatch.setattr(maps, "compute", lambda *a, **k: pytest.fail("searched again"))
    same(study.maps("conv", progress=False), first)


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


def test_a_truncated_file_is_set_aside_and_made_again(study):
    first = study.maps("out", progress=False)
    (file,) = (study.folder / "results").glob("*.nc")
    file.write_bytes(file.read_bytes()[:500])
    same(study.maps("out", progress=False), first)
    assert file.with_suffix(".unreadable").stat().st_size == 500


def test_two_workers_find_what_one_finds(study, tmp_path):
    other = Study(study.path, "tiny", results=tmp_path / "other")
    other.run(("conv",), workers=2, progress=False)
    serial = study.maps("conv", progress=False)
    both = other.maps("conv", progress=False)
    assert len(list((tmp_path / "other").glob("*.nc"))) == 2
    xr.testing.assert_allclose(both["raw"], serial["raw"], rtol=1e-3, atol=1e-3)


def test_a_changed_net_is_another_result(study):
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
    assert study.figure_path("image_3") == study.folder / "figures" / "tiny" / "image_3.png"
    assert small.figure_path("image_3").parent != study.figure_path("image_3").parent
    assert study.figure_title("image_3") == "Outputs (Image 3 of the post)"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.maps("nothing"), "grid must be one of"),
        (lambda s: s.figure_path("nothing"), "figure must be one of"),
        (lambda s: Study(s.path, "huge").declared, "net must be one of"),
        (lambda s: Study(s.path, "tiny", "huge").declared, "size must be one of"),
    ],
)
def test_what_is_not_declared_is_named(study, call, says):
    with pytest.raises(ValueError, match=says):
        call(study)


def test_the_command_runs_every_grid(study, capsys):
    code = sweep.main([str(study.path), "--net", "tiny", "--size", "small", "--workers", "1"])
    assert code == 0
    assert "tiny: 6 maps in 2 files" in capsys.readouterr().out
    assert all(store.load(p)["done"].all() for p in (study.folder / "results").glob("*.nc"))
