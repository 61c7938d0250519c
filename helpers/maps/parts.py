"""What objectives, parametrizations, transforms, regularizers and optimizers have in common."""

import json
import math
import re
from dataclasses import MISSING, dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Part:
    """A frozen, hashable value of named parameters, which names itself and goes to TOML and back.

    A subclass is a frozen dataclass; its fields are numbers, strings, bools, None, other parts or
    tuples of these.

    Raises:
        ValueError: a field of type float or int holds something else, or a number is not finite.
    """

    def __post_init__(self):
        """Bring lists, arrays and NumPy's numbers into one form, so that equal parts are equal."""
        for field in fields(self):
            value = _hashable(getattr(self, field.name))
            if field.type in (float, int):
                value = self._number(field.name, value, field.type)
            elif field.type == tuple[float, ...]:
                value = tuple(self._number(field.name, v, float) for v in value)
            elif field.type == tuple[int, ...]:
                value = tuple(self._number(field.name, v, int) for v in value)
            object.__setattr__(self, field.name, value)

    def _number(self, name: str, value, kind: type):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or kind(value) != value:
            wanted = "integers" if kind is int else "finite numbers"
            raise ValueError(f"{name} of {type(self).__name__} must be {wanted}, got {value!r}")
        return kind(value)

    def __str__(self) -> str:
        """The class and what differs from its defaults, such as "FourierImage(decay=1.5)"."""
        told = ", ".join(f"{name}={_said(value)}" for name, value in changed(self).items())
        return f"{type(self).__name__}({told})" if told else type(self).__name__


def changed(value) -> dict:
    """The fields of a dataclass instance that do not hold their default, by name."""
    return {
        field.name: getattr(value, field.name)
        for field in fields(value)
        if field.default is MISSING or getattr(value, field.name) != field.default
    }


def to_values(value, *, all_fields: bool = True):
    """A part, or tuples of parts, as plain dicts and lists; `from_values` reads them back.

    Args:
        value: a part, a tuple or a plain value.
        all_fields: False leaves out the fields that hold their default. So a new field with a
            default changes no digest.
    """
    if isinstance(value, Part):
        named = {f.name: getattr(value, f.name) for f in fields(value)}
        named = named if all_fields else changed(value)
        inside = {
            name: to_values(v, all_fields=all_fields) for name, v in named.items() if v is not None
        }
        return {"kind": type(value).__name__} | inside
    if isinstance(value, tuple):
        return [to_values(v, all_fields=all_fields) for v in value]
    return value


def from_values(values):
    """Build the parts that `to_values` wrote.

    Raises:
        ValueError: a kind or field that does not exist, or a value that is not legal.
    """
    if isinstance(values, list):
        return tuple(from_values(v) for v in values)
    if not isinstance(values, dict):
        return values
    legal = kinds()
    if values.get("kind") not in legal:
        raise ValueError(f"kind must be one of {sorted(legal)}, got {values.get('kind')!r}")
    part = legal[values["kind"]]
    given = {name: from_values(v) for name, v in values.items() if name != "kind"}
    names = [field.name for field in fields(part)]
    if unknown := sorted(set(given) - set(names)):
        raise ValueError(f"unknown fields {unknown} of {part.__name__}; legal are {names}")
    required = [field.name for field in fields(part) if field.default is MISSING]
    if missing := [name for name in required if name not in given]:
        raise ValueError(f"{part.__name__} needs {missing}, got {sorted(given)}")
    return part(**given)


def to_toml(values: dict) -> str:
    """Plain values as TOML, one key a line; a part is an inline table."""
    return "".join(f"{key} = {toml_value(v)}\n" for key, v in values.items() if v is not None)


def kinds() -> dict[str, type[Part]]:
    """Every part that there is, by the name of its class."""
    pending, known = [Part], {}
    while pending:
        below = pending.pop().__subclasses__()
        known |= {part.__name__: part for part in below}
        pending += below
    return known


def _hashable(value):
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return tuple(_hashable(v) for v in value) if isinstance(value, list | tuple) else value


def _said(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def toml_value(value) -> str:
    """A number, string, bool, list or dict as TOML writes it in one line."""
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {toml_value(v)}" for key, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
