"""Where maps come from: the model, the spec, the versions and the commit that made them."""

import datetime
import importlib.metadata
import subprocess
from functools import cache, partial
from pathlib import Path

import keras
import numpy as np

from helpers.maps.optimization import Optimization
from helpers.maps.parametrizations import PIXEL_RANGE
from helpers.maps.spec import MapSpec
from helpers.models.preprocessing import input_front

NUMERICS = "4"
"""Version of the maths: a stored map is found again only by the version that made it."""


def provenance(
    model: keras.Model, spec: MapSpec, digest: str, shape: tuple[int, ...]
) -> dict[str, str | int | list]:
    """Attributes of a Dataset of `happy_maps`.

    Args:
        model: the model.
        spec: what was optimized.
        digest: `models.weight_digest` of the model.
        shape: of a map.
    """
    return {
        "spec": spec.to_toml(),
        "layer": spec.layer,
        "sign": spec.sign,
        "objective": spec.objective,
        "engine": spec.engine,
        "pixels": spec.pixels,
        "weights": spec.weights,
        **_common(model, digest, spec.steps, spec.preprocessing, shape),
    }


def provenance_of_optimization(
    model: keras.Model, optimization: Optimization, digest: str, shape: tuple[int, ...]
) -> dict[str, str | int | list]:
    """Attributes of a Dataset of `maximize`; arguments as `provenance`."""
    return {
        "optimization": optimization.to_toml(),
        "sign": "happy",
        **_common(model, digest, optimization.steps, optimization.preprocessing, shape),
    }


def _common(model: keras.Model, digest: str, steps: int, preprocessing, shape) -> dict:
    ends = np.stack([np.full(shape, end, "float32") for end in PIXEL_RANGE])
    expected = np.asarray(input_front(preprocessing)(ends))
    return {
        "model": model.name,
        "model_layers": ", ".join(layer.name for layer in model.layers),
        "weight_digest": digest,
        "steps": steps,
        "input_range": [float(expected.min()), float(expected.max())],
        "numerics": NUMERICS,
        "versions": _versions(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git_commit": _git_commit(),
    }


@cache
def _versions() -> str:
    packages = ("keras", "tensorflow", "keras-vis")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


@cache
def _git_commit() -> str:
    git = partial(subprocess.run, capture_output=True, text=True, cwd=Path(__file__).parent)
    try:
        return git(["git", "rev-parse", "HEAD"]).stdout.strip() or "unknown"
    except FileNotFoundError:
        return "unknown"


def provenance_of_attribution(
    model: keras.Model,
    digest: str,
    preprocessing,
    shape: tuple[int, ...],
    *,
    method: str,
    layers: list[str],
) -> dict[str, str | list]:
    """Attributes of a Dataset of heatmaps.

    Args:
        model, digest: as `provenance`.
        preprocessing: what the model expects.
        shape: of an image.
        method: says itself how they were made.
        layers: of the targets.
    """
    common = _common(model, digest, 0, preprocessing, shape)
    return {"method": method, "layer": ", ".join(layers)} | {
        name: value for name, value in common.items() if name != "steps"
    }
