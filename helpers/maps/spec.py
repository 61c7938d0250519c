"""Everything that determines a set of maps, as one frozen value with a digest."""

import hashlib
import json
import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from helpers.maps import given
from helpers.maps.given import Held, OwnPreprocessing
from helpers.maps.parts import toml_value
from helpers.models.preprocessing import Standardized

SIGNS = ("happy", "sad")
MINUS_OTHERS = "pre-activation minus others"
OBJECTIVES = ("activation", "pre-activation", MINUS_OTHERS)
PIXELS = ("free", "bounded")
WEIGHTS = ("absolute", "relative")

FIRST_FIELDS = (
    *("layer", "units", "sign", "objective", "tv_weights", "lp_weights", "seeds"),
    *("activation_weight", "steps", "engine", "pixels", "preprocessing", "seed_input"),
)
"""Fields of a `MapSpec` that are always part of its digest."""


@dataclass(frozen=True)
class MapSpec:
    """A grid of maps: every unit x TV weight x LP weight x seed of one layer.

    Attributes:
        layer: name of the layer.
        units: unit numbers, each at least 0.
        sign: "happy" maximises the objective, "sad" minimises it.
        objective: "activation" (after the layer's own activation function; a probability for a
            softmax), "pre-activation" (before it; a logit for a softmax) or "pre-activation minus
            others" (less the mean over the layer's other units). A SadMap needs one of the latter
            two: a ReLU cannot go below 0.
        tv_weights: weights of the total variation, each finite and >= 0.
        lp_weights: weights of the LP norm, each finite and >= 0.
        seeds: integers >= 0, each of which makes one seed input.
        activation_weight: weight of the objective, finite and > 0.
        steps: gradient steps, at least 1.
        engine: which loop runs: "batched", "keras-vis" or "generic".
        pixels: "free", as keras-vis, may leave the range of pixels; "bounded" keeps every pixel in
            0..255 (not with engine "keras-vis").
        preprocessing: what the model expects, as `models.from_pixels` takes it. A function or layer
            of the user's own is only named in TOML, and such a spec makes no maps.
        seed_input: digest of the image that it starts from; None for noise made by the seeds.
        size: of the map, as `models.image_shape` takes it; None for the model's own.
        held: values of the inputs that are not the image; a mapping, kept as pairs.
        weights: "absolute", as keras-vis, or "relative": in units of the objective, see
            `relative.units_of_weights`.

    Raises:
        ValueError: a value is not legal; the message names it and says what is.
    """

    layer: str
    units: tuple[int, ...]
    sign: str = "happy"
    objective: str = "activation"
    tv_weights: tuple[float, ...] = (10.0,)
    lp_weights: tuple[float, ...] = (10.0,)
    seeds: tuple[int, ...] = (0,)
    activation_weight: float = 1.0
    steps: int = 200
    engine: str = "batched"
    pixels: str = "free"
    preprocessing: str | tuple[float, float] | Standardized | OwnPreprocessing | None = None
    seed_input: str | None = None
    size: int | tuple[int, ...] | None = None
    held: Held | None = None
    weights: str = "absolute"

    def __post_init__(self):
        """Bring numbers into one form, so that equal specs have equal digests, and check them."""
        put = object.__setattr__
        put(self, "units", _integers("units", self.units))
        put(self, "seeds", _integers("seeds", self.seeds))
        put(self, "tv_weights", _weights("tv_weights", self.tv_weights))
        put(self, "lp_weights", _weights("lp_weights", self.lp_weights))
        put(self, "activation_weight", _weights("activation_weight", self.activation_weight)[0])
        put(self, "steps", _integers("steps", self.steps)[0])
        put(self, "preprocessing", given.preprocessing_from(self.preprocessing))
        put(self, "size", given.size_tuple(self.size))
        put(self, "held", given.held_tuple(self.held))
        _check_choice("sign", self.sign, SIGNS)
        _check_choice("objective", self.objective, OBJECTIVES)
        _check_choice("pixels", self.pixels, PIXELS)
        _check_choice("weights", self.weights, WEIGHTS)
        if self.pixels == "bounded" and self.engine == "keras-vis":
            raise ValueError(
                "engine must be 'batched' or 'generic' for pixels 'bounded', got 'keras-vis'"
            )
        if self.activation_weight == 0:
            raise ValueError("activation_weight must be above 0, got 0: nothing would be maximised")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.sign == "sad" and self.objective == "activation":
            raise ValueError(
                f"objective must be one of {OBJECTIVES[1:]} for sign 'sad' (no gradient below 0 of"
                f" a ReLU), got {self.objective!r}"
            )

    def to_toml(self) -> str:
        """This spec as TOML, one key a line; `from_toml` reads it back."""
        lines = (f"{name} = {toml_value(value)}\n" for name, value in self._plain().items())
        return "".join(lines)

    @classmethod
    def from_toml(cls, text: str) -> "MapSpec":
        """Read what `to_toml` wrote.

        Raises:
            ValueError: not TOML, an unknown or missing key, or an illegal value.
        """
        return cls.from_mapping(tomllib.loads(text))

    @classmethod
    def from_mapping(cls, values: dict) -> "MapSpec":
        """Build a spec from plain values; keys are the attributes' names.

        Raises:
            ValueError: an unknown or missing key, or an illegal value.
        """
        legal = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(legal))
        if unknown:
            raise ValueError(f"unknown keys {unknown}; legal are {legal}")
        missing = sorted({"layer", "units"} - set(values))
        if missing:
            raise ValueError(f"a spec needs the keys {missing}, got {sorted(values)}")
        return cls(**values)

    def digest(self, weight_digest: str, numerics: str) -> str:
        """Name (20 hex digits) of this spec on these weights by this version of the maths.

        A field added after `FIRST_FIELDS` changes it only where it does not hold its default: maps
        stored before keep their names.
        """
        told = dict.fromkeys(FIRST_FIELDS) | self._plain()
        text = json.dumps([told, weight_digest, numerics], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def _plain(self) -> dict:
        """The fields as plain values; without those that are None or were added with a default."""
        values = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name in FIRST_FIELDS or getattr(self, field.name) != field.default
        }
        held = {"held": {name: given.plain(v) for name, v in self.held}} if self.held else {}
        return {k: given.plain(v) for k, v in values.items() if v is not None} | held

    def chunks(self, units_per_chunk: int) -> tuple["MapSpec", ...]:
        """The same grid in pieces of at most `units_per_chunk` units, in order."""
        starts = range(0, len(self.units), units_per_chunk)
        return tuple(replace(self, units=self.units[i : i + units_per_chunk]) for i in starts)


def _as_tuple(value) -> tuple:
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    return tuple(value) if is_list else (value,)


def _integers(name: str, value) -> tuple[int, ...]:
    values = _as_tuple(value)
    for v in values:
        if isinstance(v, bool) or not hasattr(v, "__index__") or v < 0:
            raise ValueError(f"{name} must be integers of at least 0, got {v!r}")
    return _distinct(name, tuple(int(v) for v in values))


def _weights(name: str, value) -> tuple[float, ...]:
    values = _as_tuple(value)
    for v in values:
        is_number = hasattr(v, "__float__") and not isinstance(v, bool)
        if not is_number or not math.isfinite(v) or v < 0:
            raise ValueError(f"{name} must be finite numbers of at least 0, got {v!r}")
    return _distinct(name, tuple(float(v) for v in values))


def _distinct(name: str, values: tuple) -> tuple:
    if not values:
        raise ValueError(f"{name} must hold at least one value, got none")
    if len(set(values)) != len(values):
        raise ValueError(f"{name} must be distinct, got {values}")
    return values


def _check_choice(name: str, value, legal: tuple) -> None:
    if value not in legal:
        raise ValueError(f"{name} must be one of {legal}, got {value!r}")
