"""What the panel asks for, whatever the recipe: which maps, and by which preset."""

import tomllib
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from typing import Self

import keras
import numpy as np
import xarray as xr

from helpers import maps, sweeps
from helpers.maps import dataset, targets
from helpers.maps.dataset import FIELDS
from helpers.maps.objectives import Objective, Scaled, Unit
from helpers.maps.optimization import Optimization
from helpers.maps.presets import PRESETS, preset_fields
from helpers.maps.provenance import NUMERICS
from helpers.maps.relative import RELATIVE_WEIGHT
from helpers.maps.spec import MINUS_OTHERS, MapSpec

KERAS_VIS = "keras_vis"
RECIPES = (
    ("robust", "robust"),
    ("MaCo", "maco"),
    ("keras-vis", KERAS_VIS),
)
"""Presets of `maps.PRESETS` as the panel names them."""
OWN_GRID = ("unit", "seed")
"""Dims of the maps of the presets that have no weights."""

OnStep = Callable[[int, np.ndarray], None]


@dataclass(frozen=True)
class Wanted:
    """Maps of units of a layer, and the preset that makes them.

    Attributes:
        spec: layer, units, sign, objective, seeds, steps, size and what the model expects; of
            keras-vis everything else too.
        preset: a name in `maps.PRESETS`.
    """

    spec: MapSpec
    preset: str = KERAS_VIS

    @property
    def request(self) -> MapSpec | Optimization:
        """What `maps.compute` takes, or `maps.maximize_spec`."""
        spec = self.spec
        if self.preset == KERAS_VIS:
            return spec
        fields = preset_fields(self.preset) | {"steps": spec.steps}
        return Optimization(
            objective=tuple(objective_of(spec, unit) for unit in spec.units),
            **fields,
            seeds=spec.seeds,
            size=spec.size,
            preprocessing=spec.preprocessing,
            held=spec.held,
        )

    @property
    def dims(self) -> tuple[str, ...]:
        """Dims of its maps."""
        return dims_of(self.preset)

    @property
    def is_bounded(self) -> bool:
        """Whether a map is displayed as it is."""
        if self.preset == KERAS_VIS:
            return self.spec.pixels == "bounded"
        return PRESETS[self.preset].parametrization.is_bounded

    def with_values(self, **values) -> Self:
        """The same with other values of the spec."""
        return replace(self, spec=replace(self.spec, **values))

    def to_toml(self) -> str:
        """The request as TOML; `from_toml` reads it back."""
        return self.request.to_toml()

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read the TOML of a `MapSpec`, or of an `Optimization` of units by one of the presets.

        Raises:
            ValueError: it is neither.
        """
        values = tomllib.loads(text)
        is_spec = isinstance(values.get("objective", ""), str)
        return cls(MapSpec.from_mapping(values)) if is_spec else _read(Optimization.from_toml(text))


def dims_of(preset: str) -> tuple[str, ...]:
    """Dims of the maps of a preset: only those of keras-vis have two weights."""
    return dataset.GRID if preset == KERAS_VIS else OWN_GRID


def objective_of(spec: MapSpec, unit: int) -> Objective:
    """What a spec maximises of a unit, as an objective of `maps.maximize`."""
    is_before = spec.objective != "activation"
    own = Unit(spec.layer, unit, is_before, spec.objective == MINUS_OTHERS)
    return -own if spec.sign == "sad" else own


def wanted_of(happy: xr.Dataset) -> Wanted:
    """What a Dataset of maps was made from."""
    return Wanted.from_toml(happy.attrs.get("spec") or happy.attrs["optimization"])


def optimize(model: keras.Model, wanted: Wanted, on_step: OnStep | None = None) -> xr.Dataset:
    """All maps, over `wanted.dims`, without a bar and without warnings.

    The activations of a SadMap are the unit's own, as in those of `maps.sad_maps`.

    Raises:
        KeyboardInterrupt: an interrupt came before the last map was done.
    """
    if wanted.preset == KERAS_VIS:
        return sweeps.optimize(model, wanted.spec, on_step)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* not raised")
        made = maps.maximize_spec(model, wanted.request, progress=False, on_step=on_step)
    if not bool(made["done"].all()):
        raise KeyboardInterrupt
    made = made.squeeze(dataset.AXES[1:-1]).rename(objective="unit")
    if wanted.spec.sign == "sad":
        turned = ("activation_raw", "activation_display", "activation_seed")
        made = made.assign({name: -made[name] for name in turned}).assign_attrs(sign="sad")
    return made.assign_coords(unit=list(wanted.spec.units))


def optimize_along(
    model: keras.Model,
    wanted: Wanted,
    dim: str,
    memory: MutableMapping[str, xr.Dataset],
    on_step: OnStep | None = None,
) -> Iterator[xr.Dataset]:
    """Yield the maps of each value of a dim as soon as they are there.

    Args:
        model: the model.
        wanted: the grid.
        dim: the dim along which it is cut.
        memory: digest -> maps; what is in it is not optimized again. Afterwards it holds the maps
            of this grid only.
        on_step: as `maps.compute` takes it; it may raise to stop.
    """
    weights = targets.digest_of(model)
    parts = {}
    for value in getattr(wanted.spec, FIELDS[dim]):
        part = wanted.with_values(**{FIELDS[dim]: value})
        parts[part.request.digest(weights, NUMERICS)] = part
    for name in set(memory) - set(parts):
        del memory[name]
    for name, part in parts.items():
        if name not in memory:
            memory[name] = optimize(model, part, on_step)
        yield memory[name]


def select(happy: xr.Dataset, **position: int) -> xr.Dataset:
    """Take one map, dims of length 1, with the request that asks for it alone.

    Args:
        happy: what `optimize` returns.
        **position: index along each dim that is longer than 1.
    """
    wanted = wanted_of(happy)
    if wanted.preset == KERAS_VIS:
        return dataset.select(happy, **position)
    one = happy.isel({dim: [position.get(dim, 0)] for dim in OWN_GRID})
    values = {FIELDS[dim]: tuple(one[dim].values.tolist()) for dim in OWN_GRID}
    return one.assign_attrs(optimization=wanted.with_values(**values).to_toml())


def _read(optimization: Optimization) -> Wanted:
    parts = [_unit(objective) for objective in optimization.objective]
    units, signs = zip(*parts, strict=True)
    shared = {(unit.layer, unit.pre_activation, unit.minus_others) for unit in units}
    if len(shared) > 1 or len(set(signs)) > 1:
        raise ValueError("objective must be units of one layer for the panel, all of one kind")
    ((layer, is_before, is_minus_others),) = shared
    before = MINUS_OTHERS if is_minus_others else "pre-activation"
    return Wanted(
        MapSpec(
            layer,
            tuple(unit.unit for unit in units),
            sign=signs[0],
            objective=before if is_before else "activation",
            seeds=optimization.seeds,
            steps=optimization.steps,
            size=optimization.size,
            preprocessing=optimization.preprocessing,
            held=optimization.held,
            seed_input=optimization.seed_input,
            **RELATIVE,
        ),
        _preset(optimization),
    )


RELATIVE = {
    "weights": "relative",
    "tv_weights": RELATIVE_WEIGHT,
    "lp_weights": RELATIVE_WEIGHT,
}
"""keras-vis's weights where they play no part."""


def _unit(objective: Objective) -> tuple[Unit, str]:
    is_sad = isinstance(objective, Scaled) and objective.weight == -1
    unit = objective.objective if is_sad else objective
    if not isinstance(unit, Unit) or (unit.minus_others and not unit.pre_activation):
        raise ValueError(f"objective must be a Unit for the panel, or minus one, got {objective}")
    return unit, "sad" if is_sad else "happy"


def _preset(optimization: Optimization) -> str:
    for name, preset in PRESETS.items():
        fields = preset_fields(preset) | {"steps": optimization.steps}
        like = replace(optimization, **fields, patience=None)
        if like == optimization and name != KERAS_VIS:
            return name
    names = [name for _, name in RECIPES]
    raise ValueError(
        f"the parts must be those of a preset of the panel, {names}, but for steps; others are for"
        " maps.maximize_spec"
    )
