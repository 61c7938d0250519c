"""One call of `maximize` as a frozen value: its parts, one or several of each, and a digest."""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields

from helpers.maps import given, parts
from helpers.maps.given import Held, OwnPreprocessing
from helpers.maps.objectives import Objective
from helpers.maps.optimizers import Optimizer
from helpers.maps.parametrizations import Parametrization
from helpers.maps.presets import PRESETS, preset_fields
from helpers.maps.regularizers import Regularizer
from helpers.maps.transforms import ROBUST, Transform
from helpers.models.preprocessing import Standardized

AXES = ("objective", "parametrization", "transforms", "regularizers", "optimizer")
"""Fields that hold one or several values, each of which is a dim of the maps."""
DEFAULT = PRESETS["robust"]
GIVEN = ("size", "preprocessing", "held")
"""Fields that hold what users give of the model."""
BASES = dict(
    zip(AXES, (Objective, Parametrization, Transform, Regularizer, Optimizer), strict=True)
)


@dataclass(frozen=True)
class Optimization:
    """A grid of maps: every objective x parametrization x transforms x ... x seed.

    Attributes:
        objective: what is maximised; one Objective or several.
        parametrization: what is moved; one Parametrization or several.
        transforms: what changes the image before the model sees it; a tuple of Transforms, () for
            none, or several such tuples.
        regularizers: what is added to the loss; a tuple of Regularizers or several such tuples.
        optimizer: how it is moved; one Optimizer or several.
        steps: gradient steps, at least 1.
        wake_steps: steps at the start in which a ReLU that passes no gradient passes that of its
            inputs below 0 (`models.relu_gradients`), so that silent units wake; 0 for none.
        patience: a map stops when its objective, a running mean of about 10 steps, has not risen
            for so many steps; None to take all steps.
        seeds: integers >= 0; each makes a start and the random numbers of the transforms.
        size: of the map, one integer for all axes or one for each; None for the model's own.
        preprocessing: what the model expects, as `models.from_pixels` takes it. A function or layer
            of the user's own is only named in TOML, and such an optimization makes no maps.
        seed_input: digest of the image that it starts from; None for what the seeds make.
        held: values of the inputs that are not the image; a mapping, kept as pairs.

    Raises:
        ValueError: a value is not legal; the message names it and says what is.
    """

    objective: tuple[Objective, ...]
    parametrization: tuple[Parametrization, ...] = (DEFAULT.parametrization,)
    transforms: tuple[tuple[Transform, ...], ...] = (DEFAULT.transforms,)
    regularizers: tuple[tuple[Regularizer, ...], ...] = (DEFAULT.regularizers,)
    optimizer: tuple[Optimizer, ...] = (DEFAULT.optimizer,)
    steps: int = DEFAULT.steps
    wake_steps: int = DEFAULT.wake_steps
    patience: int | None = None
    seeds: tuple[int, ...] = (0,)
    size: int | tuple[int, ...] | None = None
    preprocessing: str | tuple[float, float] | Standardized | OwnPreprocessing | None = None
    seed_input: str | None = None
    held: Held | None = None

    def __post_init__(self):
        """Bring one value and several into one form, and check them."""
        put = object.__setattr__
        for name in AXES:
            put(self, name, _values(name, getattr(self, name)))
        put(self, "steps", _integers("steps", self.steps, least=1)[0])
        put(self, "wake_steps", _integers("wake_steps", self.wake_steps, least=0)[0])
        if self.patience is not None:
            put(self, "patience", _integers("patience", self.patience, least=1)[0])
        put(self, "seeds", _integers("seeds", self.seeds, least=0))
        put(self, "size", given.size_tuple(self.size))
        put(self, "preprocessing", given.preprocessing_from(self.preprocessing))
        put(self, "held", given.held_tuple(self.held))

    def labels(self, axis: str) -> list[str]:
        """The names of an axis's values, distinct, as the maps' coordinate holds them."""
        names = [_label(axis, value) for value in getattr(self, axis)]
        return [
            name if names.count(name) == 1 else f"{name} ({names[: i + 1].count(name)})"
            for i, name in enumerate(names)
        ]

    def to_toml(self) -> str:
        """This optimization as TOML, one key a line; `from_toml` reads it back."""
        values = {f.name: parts.to_values(getattr(self, f.name)) for f in fields(self)}
        return parts.to_toml(values | self._given())

    @classmethod
    def from_toml(cls, text: str) -> "Optimization":
        """Read what `to_toml` wrote; a part that stands for itself need not be in a list.

        The key `preset` names one of `PRESETS`, which holds what no other key says.

        Raises:
            ValueError: not TOML, an unknown or missing key, or an illegal value.
        """
        values = tomllib.loads(text)
        legal = ["preset", *(field.name for field in fields(cls))]
        if unknown := sorted(set(values) - set(legal)):
            raise ValueError(f"unknown keys {unknown}; legal are {legal}")
        if "objective" not in values:
            raise ValueError(f"an optimization needs the key 'objective', got {sorted(values)}")
        preset = preset_fields(values.pop("preset", DEFAULT))
        own = {name: values.pop(name) for name in GIVEN if name in values}
        chosen = {name: parts.from_values(value) for name, value in values.items()}
        return cls(**preset | chosen | own)

    def digest(self, weight_digest: str, numerics: str) -> str:
        """Name (20 hex digits) of it on these weights by this version of the maths.

        A field that holds its default, here or in a part, does not change it.
        """
        told = {
            name: parts.to_values(value, all_fields=False)
            for name, value in parts.changed(self).items()
        }
        told |= {name: value for name, value in self._given().items() if name in told}
        text = json.dumps([told, weight_digest, numerics], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def _given(self) -> dict:
        """Size, preprocessing and held inputs as plain values."""
        held = self.held and {name: given.plain(value) for name, value in self.held}
        values = {name: given.plain(getattr(self, name)) for name in GIVEN}
        return values | {"held": held}


def several(axis: str, value) -> bool:
    """Whether a value of `maximize` names an axis: a list of values rather than one."""
    if not isinstance(value, Sequence):
        return False
    if axis in ("transforms", "regularizers"):
        return any(isinstance(v, Sequence) for v in value)
    return True


def _values(axis: str, value) -> tuple:
    """One value or several as a tuple of values."""
    base = BASES[axis]
    if axis in ("transforms", "regularizers"):
        if not several(axis, value):
            value = [value]
        values = tuple(tuple(v) if isinstance(v, Sequence) else (v,) for v in value)
        members = [member for v in values for member in v]
    else:
        values = tuple(value) if several(axis, value) else (value,)
        members = values
    for member in members:
        if not isinstance(member, base):
            legal = sorted(k for k, part in parts.kinds().items() if issubclass(part, base))
            raise ValueError(f"{axis} must be made of {legal}, got {member!r}")
    if not values or len(set(values)) != len(values):
        raise ValueError(
            f"{axis} must be one or more distinct values, got {list(map(str, values))}"
        )
    return values


def _label(axis: str, value) -> str:
    if value == ROBUST:
        return "robust"
    return " + ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _integers(name: str, value, *, least: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence | range) else (value,)
    for v in values:
        if isinstance(v, bool) or not hasattr(v, "__index__") or v < least:
            raise ValueError(f"{name} must be integers of at least {least}, got {v!r}")
    if not values or (name == "seeds" and len(set(values)) != len(values)):
        raise ValueError(f"{name} must be one or more distinct integers, got {values}")
    return tuple(int(v) for v in values)
