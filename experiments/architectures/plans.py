"""Which models an experiment on architectures trains, on which faces, and how it measures them."""

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path

from experiments.architectures.outside import STYLES, outside_faces
from experiments.architectures.richness import MapSettings
from helpers import faces
from helpers.faces import training
from helpers.faces.dataset import Faces
from helpers.maps.provenance import NUMERICS


@dataclass(frozen=True)
class Shape:
    """One architecture, and how long it is trained.

    Attributes:
        filters: units of each convolution.
        dense: units of each hidden dense layer, at least one layer.
        epochs: times through the images; 0 leaves it as it was initialised, a control.
        seeds: one model is trained for each.
    """

    filters: tuple[int, ...]
    dense: tuple[int, ...] = training.Setup.dense
    epochs: int = 8
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class Plan:
    """An experiment, as its TOML file declares it.

    Attributes:
        title: what it asks.
        models: architectures by name; `nets` in the file.
        reference: name of the model that the others' output maps are compared with.
        faces: `people`, `per_person` and `seed` of the rendered faces, and `unseen`, the share of
            the people that no model learns from: the test people.
        outside: `people`, `per_person` and `seed` of the out-of-distribution faces.
        maps: how maps are optimized.
        pruning: shares of a convolution's units that are switched off; none for no pruning.
    """

    title: str
    models: dict[str, Shape]
    reference: str
    faces: dict = field(default_factory=dict)
    outside: dict = field(default_factory=dict)
    maps: MapSettings = MapSettings()
    pruning: tuple[float, ...] = ()

    @classmethod
    def from_toml(cls, path: str | Path) -> "Plan":
        """Read a plan.

        Raises:
            ValueError: not TOML, an unknown or missing key, or `reference` is not among the models.
        """
        values = tomllib.loads(Path(path).read_text())
        shared = values.pop("training", {})
        shapes = values.pop("nets", {})
        values["models"] = {name: _built(Shape, shared | own) for name, own in shapes.items()}
        values["maps"] = _built(MapSettings, values.get("maps", {}))
        plan = _built(cls, values)
        if plan.reference not in plan.models:
            raise ValueError(
                f"reference must be one of {list(plan.models)}, got {plan.reference!r}"
            )
        return plan

    @cached_property
    def train_and_test(self) -> tuple[Faces, Faces]:
        """Rendered faces: of the train people and of the test people."""
        options = {"seed": 0, "unseen": 0.25} | self.faces
        share, seed = options.pop("unseen"), options["seed"]
        return faces.split_by_person(faces.load_faces("rendered", **options), share, seed=seed)

    @cached_property
    def outside_sets(self) -> dict[str, Faces]:
        """Faces of each style."""
        return {style: outside_faces(style, **self.outside) for style in STYLES}

    def digest(self, name: str, seed: int) -> str:
        """Name (12 hex digits) of what is measured of one model, by all that determines it."""
        shape = self.models[name]
        parts = [asdict(shape) | {"seeds": seed}, self.faces, self.outside, asdict(self.maps)]
        text = json.dumps([*parts, self.pruning, NUMERICS], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _built(cls: type, values: dict):
    legal = {field.name: field for field in fields(cls)}
    unknown = sorted(set(values) - set(legal))
    missing = [
        name
        for name, field in legal.items()
        if field.default is field.default_factory is dataclasses.MISSING and name not in values
    ]
    if unknown or missing:
        raise ValueError(
            f"{cls.__name__}: keys must be of {list(legal)}, got unknown {unknown}, missing"
            f" {missing}"
        )
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
