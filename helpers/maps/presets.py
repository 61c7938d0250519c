"""Recipes by name: everything of an optimization but the objective and the seeds."""

from dataclasses import dataclass, fields

from helpers.maps.magnitudes import MagnitudeConstrained
from helpers.maps.optimizers import Adam, KerasVisRMSprop, Optimizer
from helpers.maps.parametrizations import FourierImage, Parametrization, Pixels
from helpers.maps.regularizers import LpNorm, Regularizer, TotalVariation
from helpers.maps.transforms import ROBUST, Transform


@dataclass(frozen=True)
class Preset:
    """A recipe. Its fields are those of `Optimization` of the same name."""

    parametrization: Parametrization
    transforms: tuple[Transform, ...]
    regularizers: tuple[Regularizer, ...]
    optimizer: Optimizer
    steps: int
    wake_steps: int


PRESETS = {
    "keras_vis": Preset(
        Pixels(), (), (LpNorm(10.0), TotalVariation(10.0)), KerasVisRMSprop(), 200, 0
    ),
    "robust": Preset(FourierImage(), ROBUST, (), Adam(0.2), 128, 64),
    "maco": Preset(MagnitudeConstrained(), ROBUST, (), Adam(0.2), 128, 64),
}
"""keras_vis: the package's defaults. robust: Olah et al. 2017, tuned on EfficientNet-Lite0.
maco: the same with the magnitudes of photographs."""


def preset_fields(preset: str | Preset) -> dict:
    """The fields of a preset, by name.

    Raises:
        ValueError: there is no preset of this name.
    """
    chosen = PRESETS.get(preset) if isinstance(preset, str) else preset
    if not isinstance(chosen, Preset):
        raise ValueError(f"preset must be one of {sorted(PRESETS)} or a Preset, got {preset!r}")
    return {field.name: getattr(chosen, field.name) for field in fields(chosen)}
