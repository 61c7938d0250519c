"""Trains the candidate set-ups of the post's network and judges their maps by its statements.

`python -m experiments.experiment1.setups --path PHOTOGRAPHS` does what is not done yet: it trains
the set-ups of `setups.toml`, makes the maps that `observations.toml` asks for, and adds what is
missing to `setups.json`; without that file all is judged anew. Models and maps stay in
`results/setups`.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import keras
import pandas as pd
import xarray as xr

from experiments.experiment1 import observations
from experiments.experiment1.observations import Evidence, Grid
from helpers import files, models
from helpers.faces import dataset as face_sets
from helpers.faces import training
from helpers.faces.dataset import Faces
from helpers.faces.evaluation import evaluate
from helpers.faces.training import Setup
from helpers.sweeps import store

FOLDER = Path(__file__).parent
SEEDS = (0, 1, 2)


def train_all(
    setups: Mapping[str, Setup], path: str | Path, folder: Path, seeds: Sequence[int] = SEEDS
) -> None:
    """Train every set-up from every seed that has no model in `folder` yet.

    A seed makes the initial weights, the order of the images and which fifth of the people is held
    out. Set-ups that differ in `rescaling` and `input_range` alone share their training.

    Args:
        setups: by name.
        path: the CMU Face Images, as `load_faces` takes it.
        folder: where NAME_SEED.keras and NAME_SEED.json go.
        seeds: one training each.
    """
    for seed in seeds:
        for name, setup in setups.items():
            if not model_file(setups, name, seed, folder).exists():
                train_one(setup, photographs(setup, path), seed, folder / f"{name}_{seed}.keras")


def train_one(setup: Setup, faces: Faces, seed: int, path: Path) -> Path:
    """Train one model, which takes pixels 0..255, and write it with its record."""
    known, unseen = face_sets.split_by_person(faces, seed=seed)
    trained = training.train(known, unseen, seed=seed, setup=setup, progress=False)
    accuracy = evaluate(trained.model, unseen).accuracy
    record = {"seed": seed, "accuracy_on_unseen_people": accuracy, "history": trained.history}
    return training.save_model(trained.model, record, path)


def model_file(setups: Mapping[str, Setup], name: str, seed: int, folder: Path) -> Path:
    """Where the weights of a set-up are: of the first one that is trained the same way."""
    default = {"rescaling": True, "input_range": Setup.input_range}
    trained = {key: replace(setup, **default) for key, setup in setups.items()}
    first = next(key for key in trained if trained[key] == trained[name])
    return folder / f"{first}_{seed}.keras"


@lru_cache(maxsize=2)
def _photographs(path, size, channels, all_sizes) -> Faces:
    return face_sets.load_faces("cmu", path, size=size, channels=channels, all_sizes=all_sizes)


def photographs(setup: Setup, path: str | Path) -> Faces:
    """The images that a set-up is trained on, kept for the next call."""
    return _photographs(path, setup.size, setup.channels, setup.all_sizes)


def evidence_of(
    model: keras.Model,
    faces: Faces,
    grids: Mapping[str, Grid],
    input_range: tuple[float, float],
    folder: Path,
) -> Evidence:
    """Maps and looks of one model; what is in `folder` already is read from there."""
    maps = {
        name: _stored(
            folder / f"{name}.nc",
            lambda grid=grid: observations.maps_of(model, grid, input_range),
        )
        for name, grid in grids.items()
    }
    shape = model.input_shape[1:]
    looks = {
        name: observations.look(maps[name], _alone(shape, grid, input_range))
        for name, grid in grids.items()
    }
    turned = {"right": "camera left", "left": "camera right"}
    means = [observations.mean_face(faces.images[faces.poses == pose]) for pose in turned]
    return Evidence(maps, looks, *means)


def judge(
    setups: Mapping[str, Setup], name: str, seed: int, path: str | Path, folder: Path
) -> dict:
    """The numbers of every observation for one training of a set-up.

    Returns:
        Its `seed`, `accuracy` on unseen people (0..1), `silent` (share of the silent units of each
        layer) and `numbers` by observation.
    """
    grids, statements = observations.read()
    setup, file = setups[name], model_file(setups, name, seed, folder)
    model = models.load_model(file)
    if not setup.rescaling:
        model = models.without_rescaling(model)
    faces = photographs(setup, path)
    maps = folder / f"maps_{name}_{seed}"
    evidence = evidence_of(model, faces, grids, setup.input_range, maps)
    record = json.loads(file.with_suffix(".json").read_text())
    return {
        "seed": seed,
        "accuracy": record["accuracy_on_unseen_people"],
        "silent": {
            grid: float(looks["silent"].mean())
            for grid, looks in evidence.looks.items()
            if not grid.endswith("_lp")
        },
        "numbers": observations.evaluate(evidence, statements),
    }


def judge_missing(
    judged: dict[str, list[dict]], setups: Mapping[str, Setup], path: str | Path, folder: Path
) -> Iterator[dict[str, list[dict]]]:
    """Add every training that is not judged yet, by set-up and seed; give all after each."""
    for name in setups:
        for seed in SEEDS:
            known = judged.setdefault(name, [])
            if seed not in {training["seed"] for training in known}:
                known.append(judge(setups, name, seed, path, folder))
                known.sort(key=lambda training: training["seed"])
                yield judged


def read_judged(path: str | Path = FOLDER / "setups.json") -> dict[str, list[dict]]:
    """What `judge_missing` gave, from the file that `main` wrote."""
    return json.loads(Path(path).read_text())


def numbers_of(judged: Mapping[str, list[dict]]) -> dict[str, list[dict[str, float]]]:
    """The observations' numbers alone, as `observations.table` takes them."""
    return {name: [one["numbers"] for one in trainings] for name, trainings in judged.items()}


def table(judged: Mapping[str, list[dict]]) -> pd.DataFrame:
    """The post's statements x set-ups: "0.94 yes" where the statement holds by that mean number."""
    _, statements = observations.read()
    found = observations.table(numbers_of(judged), statements)
    cells = {
        name: [
            f"{number:.2f} {'yes' if holds else 'no'}"
            for number, holds in zip(found[name, "number"], found[name, "holds"], strict=True)
        ]
        for name in judged
    }
    posts = [statement.post for statement in statements.values()]
    return pd.DataFrame(cells, pd.Index(posts, name="the post says"))


def agreement(judged: Mapping[str, list[dict]]) -> pd.DataFrame:
    """How many statements hold by set-up, how often it was trained, its mean accuracy (0..1)."""
    _, statements = observations.read()
    found = observations.table(numbers_of(judged), statements)
    rows = {
        name: {
            "statements that hold": int(found[name, "holds"].sum()),
            "of": len(statements),
            "trainings": len(trainings),
            "accuracy on unseen people": sum(one["accuracy"] for one in trainings) / len(trainings),
        }
        for name, trainings in judged.items()
    }
    order = sorted(rows, key=lambda name: -rows[name]["statements that hold"])
    return pd.DataFrame.from_dict(rows, "index").loc[order].rename_axis("set-up")


def nowhere(judged: Mapping[str, list[dict]]) -> list[str]:
    """The statements that hold for no set-up."""
    _, statements = observations.read()
    found = observations.table(numbers_of(judged), statements)
    holds = found.xs("holds", axis=1, level=1).any(axis=1)
    return [statements[name].post for name in holds.index[~holds.astype(bool)]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, make the maps, judge, write `setups.json`, print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.experiment1.setups")
    parser.add_argument("--path", help="folder or archive of the photographs; else downloaded")
    parser.add_argument("--setups", nargs="+", help="only these")
    options = parser.parse_args(arguments)
    setups = training.read_setups(FOLDER / "setups.toml")
    chosen = {name: setups[name] for name in options.setups or setups}
    folder = FOLDER / "results" / "setups"
    train_all(chosen, options.path, folder)
    file = FOLDER / "setups.json"
    judged = read_judged(file) if file.exists() else {}
    for more in judge_missing(judged, chosen, options.path, folder):
        with files.atomic_write(file) as part:
            part.write_text(json.dumps(more, indent=1) + "\n")
    with pd.option_context("display.width", 200, "display.max_columns", None):
        print(table(judged))
        print(agreement(judged))


@lru_cache(maxsize=64)
def _alone(shape, grid: Grid, input_range) -> xr.Dataset:
    return observations.regularizers_alone(shape, grid, input_range)


def _stored(path: Path, make: Callable[[], xr.Dataset]) -> xr.Dataset:
    if not store.is_intact(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        store.save(make(), path)
    return store.load(path)


if __name__ == "__main__":
    main()
