"""Set-ups of the post's network: which share a training, and what their numbers come to."""

import numpy as np
import pytest

from experiments.experiment1 import observations, setups
from helpers.faces import training
from helpers.faces.training import Setup
from helpers.images import LabelledImages


def judged(**numbers):
    """A training of each set-up: statements named hold, the others do not."""
    _, statements = observations.read()
    made = {}
    for name, holding in numbers.items():
        values = {}
        for key, one in statements.items():
            inside = one.at_least if np.isfinite(one.at_least) else one.at_most
            outside = one.at_least - 1 if np.isfinite(one.at_least) else one.at_most + 1
            values[key] = inside if key in holding else outside
        made[name] = [{"seed": 0, "accuracy": 0.9, "silent": {}, "numbers": values}]
    return made


def test_set_ups_that_differ_in_the_rescaling_alone_share_their_training(tmp_path):
    both = {"inside": Setup(), "forgotten": Setup(rescaling=False), "other": Setup(epochs=1)}
    assert setups.model_file(both, "forgotten", 1, tmp_path) == tmp_path / "inside_1.keras"
    assert setups.model_file(both, "inside", 1, tmp_path) == tmp_path / "inside_1.keras"
    assert setups.model_file(both, "other", 2, tmp_path) == tmp_path / "other_2.keras"


def test_the_declared_set_ups_can_be_read_and_the_forgotten_one_is_the_rescaled_one():
    declared = training.read_setups(setups.FOLDER / "setups.toml")
    for name in ("rescaled", "forgotten", "unit"):
        file = setups.model_file(declared, name, 0, setups.FOLDER)
        assert file.name == "rescaled_0.keras"
    assert declared["rescaled"].dropout == (0, 0.5) and declared["rescaled"].size == (120, 128)


def test_a_training_holds_people_out_and_is_written_with_its_accuracy(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(20, 24, 24, 1)).astype("float32")
    people = np.array([f"p{i % 5}" for i in range(20)])
    labels = np.arange(20) % 2
    faces = LabelledImages(images, labels, ("a", "b"), people)
    setup = Setup(epochs=1, filters=(2,), dense=(4,), dropout=(), augment=False)
    monkeypatch.setattr(setups, "photographs", lambda setup, path: faces)
    chosen = {"one": setup, "bare": Setup(**{**vars(setup), "rescaling": False})}
    setups.train_all(chosen, None, tmp_path, seeds=[3])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one_3.json", "one_3.keras"]
    before = (tmp_path / "one_3.keras").stat().st_mtime_ns
    setups.train_all(chosen, None, tmp_path, seeds=[3])
    assert (tmp_path / "one_3.keras").stat().st_mtime_ns == before


def test_the_table_counts_what_holds():
    made = judged(first={"complements", "blue"}, second={"complements"})
    counts = setups.agreement(made)
    assert counts["statements that hold"].to_dict() == {"first": 2, "second": 1}
    assert list(counts.index) == ["first", "second"]
    assert counts.loc["first", "accuracy on unseen people"] == pytest.approx(0.9)
    _, statements = observations.read()
    missing = setups.nowhere(made)
    assert len(missing) == len(statements) - 2
    assert statements["complements"].post not in missing
    cells = setups.table(made)
    assert cells.loc[statements["blue"].post].tolist() == ["5.00 yes", "4.00 no"]


def test_what_is_judged_is_not_judged_again(monkeypatch, tmp_path):
    asked = []

    def judge(declared, name, seed, path, folder):
        asked.append((name, seed))
        return {"seed": seed}

    monkeypatch.setattr(setups, "judge", judge)
    both = {"first": Setup(), "second": Setup()}
    *_, last = setups.judge_missing({"first": [{"seed": 1}]}, both, None, tmp_path)
    assert asked == [("first", 0), ("first", 2), ("second", 0), ("second", 1), ("second", 2)]
    assert [training["seed"] for training in last["first"]] == [0, 1, 2]
