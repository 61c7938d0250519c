"""What a map maximises: one score for each map, from the activations of one or more layers.

A score is a float32 number, higher is better. Objectives compose: `Unit("conv", 3) - 0.5 *
Unit("conv", 4)`. An objective consists of a `form`, its structure, and of `parameters`, its
numbers. Objectives of one form share a batch and one compiled loop, each map with its own numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from helpers.maps.parts import Part
from helpers.models.cutting import Tap

Activations = Mapping[Tap, tf.Tensor]
"""Of each tap, (N, ..., units) float32."""


@dataclass(frozen=True)
class Objective(Part):
    """Base of all objectives: activations to one score for each map."""

    @property
    def taps(self) -> tuple[Tap, ...]:
        """Where the objective reads its activations."""
        raise NotImplementedError

    @property
    def form(self) -> "Objective":
        """The same objective with its numbers set to 0: what a compiled loop is made for."""
        return self

    @property
    def parameters(self) -> tuple:
        """The numbers that `form` lacks, arrays or tuples of them."""
        return ()

    @property
    def is_coupled(self) -> bool:
        """Whether a map's score follows from the other maps of its group as well."""
        return any(part.is_coupled for part in vars(self).values() if isinstance(part, Objective))

    def check(self, shapes: Mapping[Tap, tuple]) -> None:
        """Hold units, positions and vectors against the layers.

        Args:
            shapes: of each tap, (None, ..., units).

        Raises:
            ValueError: a unit, position or vector that the layer does not have.
        """

    def scores(self, activations: Activations, parameters: tuple, groups: tf.Tensor) -> tf.Tensor:
        """One score for each map, (N,) float32.

        Args:
            activations: of each tap, (N, ..., units) float32.
            parameters: as `parameters`, each array with the maps as its first axis.
            groups: (N,) int32; maps of equal number belong together.
        """
        raise NotImplementedError

    def __add__(self, other: "Objective") -> "Sum":
        return Sum((*_terms(self), *_terms(other)))

    def __sub__(self, other: "Objective") -> "Sum":
        return self + -1.0 * other

    def __neg__(self) -> "Scaled":
        return -1.0 * self

    def __mul__(self, weight: float) -> "Scaled":
        return Scaled(self, weight)

    __rmul__ = __mul__


@dataclass(frozen=True)
class Sum(Objective):
    """The sum of several objectives, `a + b`."""

    terms: tuple[Objective, ...]

    def __post_init__(self):
        """Check that all terms are objectives."""
        super().__post_init__()
        for term in self.terms:
            _check_objective(term)

    @property
    def taps(self):
        return tuple(dict.fromkeys(tap for term in self.terms for tap in term.taps))

    @property
    def form(self):
        return Sum(tuple(term.form for term in self.terms))

    @property
    def parameters(self):
        return tuple(term.parameters for term in self.terms)

    @property
    def is_coupled(self):
        return any(term.is_coupled for term in self.terms)

    def check(self, shapes):
        for term in self.terms:
            term.check(shapes)

    def scores(self, activations, parameters, groups):
        each = zip(self.terms, parameters, strict=True)
        return tf.add_n([term.scores(activations, own, groups) for term, own in each])

    def __str__(self) -> str:
        first, *others = map(str, self.terms)
        return first + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in others)


@dataclass(frozen=True)
class OfObjective(Objective):
    """Base of what is made of one objective and a number."""

    objective: Objective

    def __post_init__(self):
        """Check that it is an objective and a number."""
        super().__post_init__()
        _check_objective(self.objective)

    @property
    def taps(self):
        return self.objective.taps

    def check(self, shapes):
        self.objective.check(shapes)


@dataclass(frozen=True)
class Scaled(OfObjective):
    """An objective times a number, `2 * a`; a negative number minimises."""

    weight: float

    @property
    def form(self):
        return Scaled(self.objective.form, 0.0)

    @property
    def parameters(self):
        return np.float32(self.weight), self.objective.parameters

    def scores(self, activations, parameters, groups):
        weight, own = parameters
        return weight * self.objective.scores(activations, own, groups)

    def __str__(self) -> str:
        inner = f"({self.objective})" if isinstance(self.objective, Sum) else str(self.objective)
        return f"-{inner}" if self.weight == -1 else f"{self.weight:g} * {inner}"


@dataclass(frozen=True)
class OfLayer(Objective):
    """Base of the objectives that read one layer."""

    layer: str

    @property
    def tap(self) -> Tap:
        """Where the layer is read."""
        return Tap(self.layer, getattr(self, "pre_activation", False))

    @property
    def taps(self):
        return (self.tap,)

    def _name(self, *words) -> str:
        after = [
            text
            for option, text in (
                ("pre_activation", "pre-activation"),
                ("minus_others", "minus others"),
            )
            if getattr(self, option, False)
        ]
        return " ".join([self.layer, *map(str, words), *after])

    def _check_unit(self, unit: int, shape: tuple) -> None:
        if not 0 <= unit < shape[-1]:
            raise ValueError(f"unit of {self.layer} must be 0 to {shape[-1] - 1}, got {unit}")


@dataclass(frozen=True)
class Unit(OfLayer):
    """The activation of a unit, mean over positions (a channel objective; Olah et al. 2017).

    lucid's `channel` is the same mean; keras-vis's `ActivationMaximization` is minus it.

    Attributes:
        layer: name of the layer.
        unit: channel of a convolution, output of a dense layer: an index of the last axis.
        pre_activation: read the layer before its activation function (a logit for a softmax).
        minus_others: less the mean over the layer's other units.
    """

    unit: int
    pre_activation: bool = False
    minus_others: bool = False

    @property
    def form(self):
        return replace(self, unit=0)

    @property
    def parameters(self):
        return (np.int32(self.unit),)

    def check(self, shapes):
        shape = shapes[self.tap]
        self._check_unit(self.unit, shape)
        if self.minus_others and shape[-1] == 1:
            raise ValueError(f"minus_others needs a layer of at least 2 units, got 1: {self.layer}")

    def scores(self, activations, parameters, groups):
        (unit,) = parameters
        means = over_positions(activations[self.tap])
        own = at_units(means, unit)
        if not self.minus_others:
            return own
        return own - (tf.reduce_sum(means, 1) - own) / (means.shape[-1] - 1)

    def __str__(self) -> str:
        return self._name(self.unit)


@dataclass(frozen=True)
class Neuron(OfLayer):
    """The activation of a unit at one position.

    Attributes:
        layer: name of the layer.
        unit: an index of the last axis.
        position: (row, column) in the layer; None for its centre, (rows // 2, columns // 2), as
            lucid's `neuron`.
        pre_activation: read the layer before its activation function.
    """

    unit: int
    position: tuple[int, ...] | None = None
    pre_activation: bool = False

    @property
    def form(self):
        return replace(self, unit=0, position=self.position and (0,) * len(self.position))

    @property
    def parameters(self):
        return np.int32(self.unit), np.array(self.position or (), "int32")

    def check(self, shapes):
        shape = shapes[self.tap]
        self._check_unit(self.unit, shape)
        size, position = shape[1:-1], self.position or (0,) * len(shape[1:-1])
        if len(position) != len(size) or not all(
            0 <= p < s for p, s in zip(position, size, strict=True)
        ):
            raise ValueError(f"position in {self.layer} must lie in {size}, got {self.position}")

    def scores(self, activations, parameters, groups):
        unit, position = parameters
        values = activations[self.tap]
        if self.position is None:
            centre = tf.constant([length // 2 for length in values.shape[1:-1]], tf.int32)
            position = tf.broadcast_to(centre, (tf.shape(unit)[0], tf.size(centre)))
        return tf.gather_nd(values, tf.concat([position, unit[:, None]], 1), batch_dims=1)

    def __str__(self) -> str:
        where = "at the centre" if self.position is None else f"at {self.position}"
        return self._name(self.unit, where)


@dataclass(frozen=True)
class Units(OfLayer):
    """The weighted sum of several units' activations, each the mean over positions.

    Attributes:
        layer: name of the layer.
        units: indices of the last axis.
        weights: one for each unit; a negative one lowers its unit.
        pre_activation: read the layer before its activation function.
    """

    units: tuple[int, ...]
    weights: tuple[float, ...]
    pre_activation: bool = False

    def __post_init__(self):
        """Check that each unit has a weight."""
        super().__post_init__()
        if not self.units or len(self.units) != len(self.weights):
            raise ValueError(
                f"weights of Units must be one for each of the units {self.units},"
                f" got {self.weights}"
            )

    @property
    def form(self):
        count = len(self.units)
        return replace(self, units=(0,) * count, weights=(0.0,) * count)

    @property
    def parameters(self):
        return np.array(self.units, "int32"), np.array(self.weights, "float32")

    def check(self, shapes):
        for unit in self.units:
            self._check_unit(unit, shapes[self.tap])

    def scores(self, activations, parameters, groups):
        units, weights = parameters
        means = over_positions(activations[self.tap])
        return tf.reduce_sum(weights * tf.gather(means, units, axis=1, batch_dims=1), 1)

    def __str__(self) -> str:
        terms = (f"{w:g} of {u}" for u, w in zip(self.units, self.weights, strict=True))
        return self._name(", ".join(terms))


@dataclass(frozen=True)
class Direction(OfLayer):
    """The activations of a layer, mean over positions, along a vector: their dot product.

    lucid's `direction` is this, and can add a power of the cosine; here there is none.

    Attributes:
        layer: name of the layer.
        vector: one number for each unit of the layer, used as it is (not normalised).
        pre_activation: read the layer before its activation function.
    """

    vector: tuple[float, ...]
    pre_activation: bool = False

    @property
    def form(self):
        return replace(self, vector=())

    @property
    def parameters(self):
        return (np.array(self.vector, "float32"),)

    def check(self, shapes):
        count = shapes[self.tap][-1]
        if len(self.vector) != count:
            raise ValueError(
                f"vector must hold {count} numbers, one for each unit of {self.layer},"
                f" got {len(self.vector)}"
            )

    def scores(self, activations, parameters, groups):
        (vector,) = parameters
        return tf.reduce_sum(vector * over_positions(activations[self.tap]), 1)

    def __str__(self) -> str:
        largest = sorted(range(len(self.vector)), key=lambda u: -abs(self.vector[u]))[:3]
        terms = ", ".join(f"{self.vector[u]:.3g} of {u}" for u in largest)
        return self._name("direction", terms + (" ..." if len(self.vector) > 3 else ""))


@dataclass(frozen=True)
class LayerNorm2(OfLayer):
    """Mean square of all activations of a layer (DeepDream; Mordvintsev et al. 2015).

    Attributes:
        layer: name of the layer.
        pre_activation: read the layer before its activation function.
    """

    pre_activation: bool = False

    def scores(self, activations, parameters, groups):
        values = activations[self.tap]
        return tf.reduce_mean(values**2, axis=list(range(1, len(values.shape))))

    def __str__(self) -> str:
        return self._name("mean square")


@dataclass(frozen=True)
class Target(OfObjective):
    """`-(objective - value)^2`: the objective is brought to a value.

    Attributes:
        objective: what is brought there.
        value: where to.
    """

    value: float

    @property
    def form(self):
        return Target(self.objective.form, 0.0)

    @property
    def parameters(self):
        return np.float32(self.value), self.objective.parameters

    def scores(self, activations, parameters, groups):
        value, own = parameters
        return -((self.objective.scores(activations, own, groups) - value) ** 2)

    def __str__(self) -> str:
        return f"({self.objective}) to {self.value:g}"


@dataclass(frozen=True)
class Diversity(OfLayer):
    """Minus the mean similarity of a map to the other maps of its group: add it, with a weight > 0.

    The similarity of two maps is the cosine between the Gram matrices of their activations (which
    units are active together, at any position), 1 for equal maps. So Diversity is -1 where all maps
    of a group are equal and rises as they differ; 0 for a map without others. Its group are the
    maps that differ in their seed only. lucid's `diversity` has the other sign and is subtracted
    there; it also sums over the other maps instead of taking their mean.

    Attributes:
        layer: name of the layer.
        pre_activation: read the layer before its activation function.
    """

    pre_activation: bool = False

    @property
    def is_coupled(self):
        return True

    def scores(self, activations, parameters, groups):
        values = activations[self.tap]
        units = values.shape[-1]
        flat = tf.reshape(values, (tf.shape(values)[0], -1, units))
        grams = tf.reshape(tf.matmul(flat, flat, transpose_a=True), (-1, units * units))
        grams = tf.math.l2_normalize(grams, axis=1, epsilon=1e-10)
        similarity = tf.matmul(grams, grams, transpose_b=True)
        same = tf.cast(groups[:, None] == groups[None], tf.float32)
        others = same - tf.eye(tf.shape(groups)[0])
        count = tf.maximum(tf.reduce_sum(others, 1), 1.0)
        return -tf.reduce_sum(others * similarity, 1) / count

    def __str__(self) -> str:
        return self._name("diversity")


def over_positions(values: tf.Tensor) -> tf.Tensor:
    """Mean over positions in float32, (N, ..., units) to (N, units)."""
    return tf.reduce_mean(tf.cast(values, tf.float32), axis=list(range(1, len(values.shape) - 1)))


def at_units(means: tf.Tensor, units: tf.Tensor) -> tf.Tensor:
    """Of each row (N, units) the number of its own unit (N,): (N,).

    A `tf.gather` with a batch does the same, by a gradient of 70 operations more.
    """
    is_own = tf.range(tf.shape(means)[1]) == units[:, None]
    return tf.reduce_sum(tf.where(is_own, means, 0.0), 1)


def _terms(objective) -> tuple[Objective, ...]:
    _check_objective(objective)
    return objective.terms if isinstance(objective, Sum) else (objective,)


def _check_objective(value) -> None:
    if not isinstance(value, Objective):
        raise ValueError(f"objective must be an Objective such as Unit(layer, unit), got {value!r}")
