"""What users give of a model, as a spec holds it: preprocessing, size, held inputs; and in TOML."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from helpers import models
from helpers.models.preprocessing import Preprocessing, Standardized, input_front

Held = tuple[tuple[str, object], ...]
"""Name and value, a number or nested tuples of numbers, of each input that is held."""


@dataclass(frozen=True)
class OwnPreprocessing:
    """A function or a layer of the user's own. TOML names it and cannot make it again.

    Attributes:
        name: such as "function standardize" or "layer rescaling".
        digest: of what it makes of fixed pixels; tells two of one name apart.
        call: pixels to what the model expects; None where it was read from TOML.
    """

    name: str
    digest: str
    call: Callable | None = field(default=None, compare=False, repr=False)

    def __call__(self, pixels):
        """Pixels (N, ..., C) to what the model expects.

        Raises:
            ValueError: it was read from TOML.
        """
        if self.call is None:
            raise ValueError(
                f"preprocessing must be given again: the spec only names the {self.name!r} that"
                " made these maps"
            )
        return self.call(pixels)


def resolve(
    model: keras.Model,
    preprocessing: Preprocessing | OwnPreprocessing | None,
    size: int | Sequence[int] | None,
    held: Mapping[str, object] | Held | None,
) -> dict:
    """What a spec holds of these: keys `preprocessing`, `size` (of each axis) and `held`.

    Raises:
        ValueError: as `models.resolve_preprocessing` and `models.image_shape`; or a preprocessing
            read from TOML that can only be named there, or that fails on pixels.
    """
    held, size = held_tuple(held), size_tuple(size)
    named, preprocessing = dict(held or ()), preprocessing_from(preprocessing)
    checked_preprocessing(preprocessing)
    resolved = models.resolve_preprocessing(model, preprocessing, size=size, held=named)
    if size is not None or callable(resolved):
        shape = models.image_shape(model, size, held=named)
        size = None if size is None else shape[:-1]
        if callable(resolved) and not isinstance(resolved, OwnPreprocessing):
            resolved = _own(resolved, shape)
    return {"preprocessing": resolved, "size": size, "held": held}


def checked_preprocessing(preprocessing) -> None:
    """Check that a preprocessing can run.

    Raises:
        ValueError: it can only be named: it was read from TOML.
    """
    if isinstance(preprocessing, OwnPreprocessing) and preprocessing.call is None:
        preprocessing(())


def size_tuple(size) -> int | tuple[int, ...] | None:
    """A size in one form: an int for all axes, or a tuple.

    Raises:
        ValueError: not 1 to 3 integers of at least 1.
    """
    if size is None:
        return None
    lengths = (size,) if hasattr(size, "__index__") else tuple(size)
    is_legal = 1 <= len(lengths) <= 3 and all(
        hasattr(n, "__index__") and not isinstance(n, bool) and n > 0 for n in lengths
    )
    if not is_legal:
        raise ValueError(
            "size must be one integer for all axes, (height, width), (time,) or (depth, height,"
            f" width), each at least 1, got {size!r}"
        )
    return int(size) if hasattr(size, "__index__") else tuple(int(n) for n in lengths)


def held_tuple(held: Mapping[str, object] | Held | None) -> Held | None:
    """Held inputs in one hashable form, None for none.

    Raises:
        ValueError: not a mapping of names to numbers.
    """
    if not held:
        return None
    try:
        pairs = [(str(name), np.asarray(value)) for name, value in dict(held).items()]
        if not all(np.issubdtype(value.dtype, np.number) for _, value in pairs):
            raise TypeError
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"held must map names of inputs to numbers, got {str(held)[:100]}"
        ) from error
    return tuple((name, _nested(value.tolist())) for name, value in pairs)


def plain(value):
    """A preprocessing, size or held inputs as plain numbers, strings, lists and dicts."""
    if isinstance(value, Standardized):
        return {name: plain(getattr(value, name)) for name in ("mean", "sd", "scale")}
    if isinstance(value, OwnPreprocessing):
        return {"name": value.name, "digest": value.digest}
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    return value


def preprocessing_from(value):
    """The preprocessing that `plain` wrote; other values as they are.

    Raises:
        ValueError: a table that is neither a mean and sd nor the name of a function.
    """
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"name", "digest"}:
        return OwnPreprocessing(**value)
    if not {"mean", "sd"} <= set(value) <= {"mean", "sd", "scale"}:
        raise ValueError(
            "preprocessing must be a name, a range [low, high] or {mean, sd, scale}, got a table"
            f" of {sorted(value)}"
        )
    return Standardized(**value)


def _own(preprocessing: Callable, shape: Sequence[int]) -> OwnPreprocessing:
    is_layer = isinstance(preprocessing, keras.layers.Layer)
    kind = "layer" if is_layer else "function"
    name = getattr(preprocessing, "name" if is_layer else "__name__", type(preprocessing).__name__)
    call = input_front(preprocessing)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype("float32")
    try:
        made = np.asarray(keras.ops.cast(call(keras.ops.convert_to_tensor(pixels)), "float32"))
    except Exception as error:
        raise ValueError(
            f"preprocessing must take pixels {('N', *shape)} as a tensor, and {name!r} does not:"
            f" {str(error).splitlines()[0][:120]}"
        ) from error
    if made.shape != pixels.shape:
        raise ValueError(
            f"preprocessing must keep the shape of pixels {pixels.shape}, and {name!r} gives"
            f" {made.shape}"
        )
    rounded = np.round(made / max(np.abs(made).max(), 1e-12), 3) + 0.0
    digest = hashlib.sha256(rounded.tobytes()).hexdigest()[:12]
    return OwnPreprocessing(f"{kind} {name}", digest, call)


def _nested(value):
    return tuple(_nested(v) for v in value) if isinstance(value, list) else value
