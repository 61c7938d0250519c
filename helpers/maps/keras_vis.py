"""The genuine keras-vis 0.4.1 on Keras 3: the only module that knows that package."""

import collections
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from types import SimpleNamespace

import keras
import numpy as np

from helpers.maps.keras_2 import keras_2_names

PARTS = {"ActivationMax Loss": "activation", "L-6.0 Norm Loss": "lp_norm", "TV(2.0) Loss": "tv"}

with keras_2_names():
    _visualization = importlib.import_module("vis.visualization")
    _callbacks = importlib.import_module("vis.callbacks")
    _input_modifiers = importlib.import_module("vis.input_modifiers")
    _losses = importlib.import_module("vis.losses")
    _optimizer = importlib.import_module("vis.optimizer")
    _regularizers = importlib.import_module("vis.regularizers")

# Python 2's zip: callbacks are promised a list, and each of them reads it.
_optimizer.zip = lambda *columns: list(zip(*columns, strict=True))

ActivationMaximization, Loss = _losses.ActivationMaximization, _losses.Loss
LPNorm, TotalVariation = _regularizers.LPNorm, _regularizers.TotalVariation
InputModifier, Jitter = _input_modifiers.InputModifier, _input_modifiers.Jitter
OptimizerCallback = _callbacks.OptimizerCallback


@contextmanager
def _graph_left_alone(tensor: keras.KerasTensor) -> Iterator[None]:
    """Unhook what a search adds: Keras hooks each operation to those whose output it takes."""
    hooked, pending = {}, [tensor._keras_history.operation]
    while pending:
        operation = pending.pop()
        if operation not in hooked:
            hooked[operation] = list(operation._outbound_nodes)
            pending += [node.operation for node in hooked[operation]]
    try:
        yield
    finally:
        for operation, nodes in hooked.items():
            operation._outbound_nodes[:] = nodes


def _check_weights(**weights: float) -> None:
    for name, weight in weights.items():
        if not isinstance(weight, Real) or not np.isfinite(weight):
            raise ValueError(f"{name} must be a finite number, got {weight!r}")
    if not any(weights.values()):
        raise ValueError(f"one of {', '.join(weights)} must not be 0, got 0 for all")


def _single_input(model: keras.Model) -> keras.KerasTensor:
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if len(shapes) != 1 or None in shapes[0][1:]:
        raise ValueError(
            "model must be built and have one input of one size (None, H, W, C),"
            f" got inputs of shapes {shapes}"
        )
    return model.inputs[0]


def visualize_activation_with_losses(
    input_tensor: keras.KerasTensor,
    losses: Sequence[tuple[Loss, float]],
    seed_input: np.ndarray | None = None,
    input_range: tuple[float, float] = (0, 255),
    **optimizer_params,
) -> np.ndarray:
    """Call keras-vis's own function of that name: the picture that minimises weighted losses.

    Args:
        input_tensor: the model's input, `model.inputs[0]`.
        losses: (loss, weight) pairs; a loss of weight 0 is left out.
        seed_input: (H, W, C) to start from; None: uniform noise of mean (lo + hi) / 2.
        input_range: (lo, hi) that the result is brought to.
        **optimizer_params: `max_iter` (200), `input_modifiers`, `grad_modifier`, `callbacks`,
            `verbose` (False). `grad_modifier="negate"` turns the regularizers round as well.

    Returns:
        The picture (H, W, C) in `input_range`; uint8 where that is two ints.

    Raises:
        ValueError: all weights are 0, or one is not a finite number.
    """
    _check_weights(**{f"weight of {loss}": weight for loss, weight in losses})
    with _graph_left_alone(input_tensor):
        return _visualization.visualize_activation_with_losses(
            input_tensor, losses, seed_input, input_range, **_own_callbacks(optimizer_params)
        )


def visualize_activation(
    model: keras.Model,
    layer_idx: int,
    filter_indices: int | Sequence[int] | None = None,
    seed_input: np.ndarray | None = None,
    input_range: tuple[float, float] = (0, 255),
    backprop_modifier: None = None,
    grad_modifier: str | Callable[[np.ndarray], np.ndarray] | None = None,
    act_max_weight: float = 1,
    lp_norm_weight: float = 10,
    tv_weight: float = 10,
    **optimizer_params,
) -> np.ndarray:
    """Call keras-vis's own function of that name: the picture that maximises units of a layer.

    Args:
        model: channels_last, Functional or built Sequential, with one input (None, H, W, C).
        layer_idx: index into `model.layers`.
        filter_indices: a unit, or several whose sum is maximised; None: the mean of all units.
        seed_input, input_range: as `visualize_activation_with_losses`.
        backprop_modifier: None is the only legal value.
        grad_modifier: "negate", "absolute", "invert", "relu", "small_values" or a function of the
            gradient array (1, H, W, C).
        act_max_weight, lp_norm_weight, tv_weight: of the activation, LP norm and total variation.
        **optimizer_params: `max_iter`, `input_modifiers`, `callbacks`, `verbose`.

    Returns:
        The picture (H, W, C) in `input_range`; uint8 where that is two ints.

    Raises:
        ValueError: an argument is not legal; the message names it and says what is.
    """
    if backprop_modifier is not None:
        raise ValueError(
            "backprop_modifier must be None: it rewrites the graphs of TensorFlow 1;"
            f" got {backprop_modifier!r}"
        )
    _check_weights(
        act_max_weight=act_max_weight, lp_norm_weight=lp_norm_weight, tv_weight=tv_weight
    )
    input_tensor = _single_input(model)
    if not -len(model.layers) <= layer_idx < len(model.layers):
        raise ValueError(
            f"layer_idx must be {-len(model.layers)} to {len(model.layers) - 1}, got {layer_idx!r}"
        )
    if filter_indices is not None:
        filter_indices = _units(filter_indices, model.layers[layer_idx].output.shape[-1])
    with _graph_left_alone(input_tensor):
        return _visualization.visualize_activation(
            SimpleNamespace(input=input_tensor, layers=model.layers),
            layer_idx,
            filter_indices,
            seed_input,
            input_range,
            None,
            grad_modifier,
            act_max_weight,
            lp_norm_weight,
            tv_weight,
            **_own_callbacks(optimizer_params),
        )


def _units(filter_indices: int | Sequence[int], count: int) -> list[int]:
    units = np.atleast_1d(filter_indices).tolist()
    if not units or not all(unit in range(count) for unit in units):
        raise ValueError(f"filter_indices must be 0 to {count - 1}, got {filter_indices!r}")
    return units


def _own_callbacks(optimizer_params: dict) -> dict:
    """Give keras-vis a list of its own: it appends to the one that it gets."""
    return optimizer_params | {"callbacks": list(optimizer_params.get("callbacks") or ())}


@dataclass(frozen=True)
class ActivationMap:
    """One map that keras-vis found.

    Attributes:
        raw: (H, W, C) float32, the picture after the step whose loss was the lowest.
        display: (H, W, C) uint8, what `visualize_activation` returned.
        loss: (steps,) float32, the weighted sum before each step.
        parts: (steps,) float32 each, weighted: "activation" (minus the unit's mean), "lp_norm",
            "tv"; zeros where the weight is 0.
    """

    raw: np.ndarray
    display: np.ndarray
    loss: np.ndarray
    parts: dict[str, np.ndarray]


def activation_map(
    model: keras.Model,
    layer_idx: int,
    unit: int,
    seed_input: np.ndarray,
    *,
    act_weight: float = 1.0,
    lp_weight: float = 10.0,
    tv_weight: float = 10.0,
    steps: int = 200,
    on_step: Callable[[int, np.ndarray], None] | None = None,
) -> ActivationMap:
    """Search one map of pixels 0..255 with `visualize_activation`, and keep what it drops.

    Args:
        model: takes pixels 0..255, (None, H, W, C).
        layer_idx: index into `model.layers`.
        unit: output or channel of that layer.
        seed_input: (H, W, C), left as it is.
        act_weight: weight of the activation; below 0 it is minimised.
        lp_weight: weight of the LP norm.
        tv_weight: weight of the total variation.
        steps: gradient steps, 1 or more.
        on_step: called with the step and the picture (H, W, C) after it; may raise to stop.

    Raises:
        ValueError: an argument is not legal, or NaN or infinity leaves no map.
    """
    _check_weights(act_weight=act_weight, lp_weight=lp_weight, tv_weight=tv_weight)
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, got {steps!r}")
    shape = tuple(_single_input(model).shape[1:])
    if np.shape(seed_input) != shape:
        raise ValueError(
            f"seed_input must have shape {shape} (H, W, C), got {np.shape(seed_input)}"
        )
    recorder = _Recorder(on_step)
    display = visualize_activation(
        model,
        layer_idx,
        unit,
        seed_input=np.asarray(seed_input),
        act_max_weight=act_weight,
        lp_norm_weight=lp_weight,
        tv_weight=tv_weight,
        max_iter=steps,
        callbacks=[recorder],
        input_modifiers=[recorder],
    )
    parts = {part: np.zeros(steps, "float32") for part in PARTS.values()}
    for name, values in recorder.parts.items():
        parts[PARTS[name]] = np.array(values)
    return ActivationMap(recorder.raw, display, np.array(recorder.losses), parts)


class _Recorder(OptimizerCallback, InputModifier):
    """Sees each loss as a callback, and the picture after each step as an input modifier."""

    def __init__(self, on_step):
        self.on_step = on_step
        self.losses = []
        self.parts = collections.defaultdict(list)
        self.lowest = np.inf
        self.raw = None

    def callback(self, i, named_losses, overall_loss, grads, wrt_value):
        self.losses.append(overall_loss)
        for name, value in named_losses:
            self.parts[name].append(value)

    def post(self, inp):
        if self.losses[-1] < self.lowest:
            self.lowest = self.losses[-1]
            self.raw = inp[0].copy()
        if self.on_step:
            self.on_step(len(self.losses) - 1, inp[0].copy())
        return inp

    def on_end(self):
        if self.raw is None or not np.isfinite(self.raw).all():
            raise ValueError(
                f"the search leaves no map: loss {self.losses[0]} at the seed input,"
                " and no step gives a finite picture; weights and seed_input must be finite and"
                " seed_input not all 0 (the LP norm has no gradient there)"
            )
