"""A tiny experiment on architectures: declared, measured, resumed, joined; plans are checked."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.architectures import run
from experiments.architectures.plans import Plan, Shape
from helpers import files
from helpers.sweeps import store

TINY = """
title = "Tiny"
reference = "one"
pruning = [0, 1]

[faces]
people = 2
per_person = 4
unseen = 0.5

[outside]
people = 1
per_person = 4
seed = 9

[training]
dense = [3, 2]
epochs = 1
seeds = [0, 1]

[maps]
units = 2
seeds = [0, 1]
steps = 2

[nets.one]
filters = [2]

[nets.two]
filters = [2, 3]
seeds = [0]

[nets.untrained]
filters = [2]
epochs = 0
seeds = [1]
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "experiment.toml"
    path.write_text(TINY)
    return path, store.load(run.run(path, progress=False))


def test_numbers_are_joined_over_net_and_training(experiment):
    _, measured = experiment
    assert measured["model"].values.tolist() == ["one", "two", "untrained"]
    layers = ["conv2d_1", "conv2d_2", "dense_1", "last convolution", "output"]
    assert measured["layer"].values.tolist() == layers
    units = measured["units"].sel(model="two", run=0)
    assert units.values.tolist() == [2, 3, 3, 3, 2]
    assert np.isnan(measured["units"].sel(model="one", run=0, layer="conv2d_2"))
    assert np.isnan(measured["accuracy"].sel(model="two", run=1)).all()
    convolution, flat = 3 * 3 * 3 * 2 + 2, 31 * 31 * 2
    dense = (flat + 1) * 3 + (3 + 1) * 2 + (2 + 1) * 2
    assert float(measured["parameters"].sel(model="one", run=0)) == convolution + dense


def test_every_set_of_faces_is_tested_and_photographs_are_nan_without_a_path(experiment):
    _, measured = experiment
    accuracy = measured["accuracy"].sel(model="one", run=0)
    assert accuracy["image_set"].values.tolist()[:3] == [
        "train people", "test people", "other people",
    ]  # fmt: skip
    assert np.isnan(accuracy.sel(image_set="photographs"))
    rest = accuracy.drop_sel(image_set="photographs")
    assert ((rest >= 0) & (rest <= 1)).all()


def test_pruning_is_of_trained_nets_only(experiment):
    pruned = experiment[1]["pruned_accuracy"].sel(layer="last convolution")
    assert pruned["share"].values.tolist() == [0, 1]
    assert np.isfinite(pruned.sel(model="two", run=0)).all()
    assert np.isnan(pruned.sel(model="untrained", run=1)).all()


def test_output_maps_are_compared_with_the_other_trainings_of_the_reference(experiment):
    _, measured = experiment
    similarity = measured["similarity_same"]
    np.testing.assert_allclose(
        similarity.sel(model="one", run=0), similarity.sel(model="one", run=1), rtol=1e-5
    )
    assert np.isfinite(similarity.sel(model="two", run=0)).all()
    assert (
        similarity.sel(comparison="best shift") >= similarity.sel(comparison="in place")
    ).sum() == 4
    assert measured["output_maps"].dtype == measured["last_convolution_maps"].dtype == np.uint8
    assert measured["last_convolution_maps"].sizes["map"] == 2


def test_a_second_run_trains_only_what_is_missing(experiment, monkeypatch):
    path, measured = experiment
    trained = []

    def counted(plan, shape, seed, *, progress):
        trained.append((shape.filters, seed))
        return real(plan, shape, seed, progress=progress)

    real = run.trained_model
    monkeypatch.setattr(run, "trained_model", counted)
    plan = Plan.from_toml(path)
    numbers = path.parent / "results" / f"{plan.digest('untrained', 1)}.nc"
    numbers.unlink()
    assert store.load(run.run(path, progress=False)).equals(measured)
    assert not trained
    numbers.unlink()
    numbers.with_suffix(".keras").unlink()
    assert store.load(run.run(path, progress=False)).equals(measured)
    assert trained == [((2,), 1)]


def test_a_net_that_another_process_is_at_is_waited_for(experiment, monkeypatch):
    path, measured = experiment
    plan = Plan.from_toml(path)
    numbers = path.parent / "results" / f"{plan.digest('untrained', 1)}.nc"
    content = numbers.read_bytes()
    numbers.unlink()
    asked = []

    def lock(file, *, wait):
        asked.append(wait)
        if wait:
            file.write_bytes(content)
        return real(file, wait=wait) if wait else None

    real = files.lock
    monkeypatch.setattr(files, "lock", lock)
    monkeypatch.setattr(run, "measure", None)
    assert store.load(run.run(path, progress=False)).equals(measured)
    assert asked == [False, True]


def test_the_digest_follows_all_that_determines_a_net(experiment):
    plan = Plan.from_toml(experiment[0])
    changed = {
        "maps": replace(plan.maps, steps=3),
        "faces": plan.faces | {"people": 3},
        "outside": plan.outside | {"seed": 1},
        "pruning": (0, 0.5),
        "models": plan.models | {"one": Shape((2,), (3, 2), 2)},
    }
    digests = [replace(plan, **{name: value}).digest("one", 0) for name, value in changed.items()]
    assert len({plan.digest("one", 0), plan.digest("one", 1), *digests}) == 2 + len(digests)
    assert replace(plan, title="other", reference="two").digest("one", 0) == plan.digest("one", 0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('reference = "one"', 'reference = "none"', "reference must be one of .*'none'"),
        ("filters = [2, 3]", "wide = 1", r"Shape: .*unknown \['wide'\], missing \['filters'\]"),
        ("steps = 2", "stepz = 2", r"MapSettings: .*unknown \['stepz'\]"),
        ('title = "Tiny"', "", r"Plan: .*missing \['title'\]"),
    ],
)
def test_an_illegal_plan_is_named(tmp_path, old, new, message):
    path = tmp_path / "experiment.toml"
    path.write_text(TINY.replace(old, new))
    with pytest.raises(ValueError, match=message):
        Plan.from_toml(path)
