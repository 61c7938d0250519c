"""The genuine keras-vis 0.4.1 on Keras 3: the only module that knows that package."""

import collections
import importlib
from collections.abc import Callable, Sequence
from numbers import Real
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

from helpers.maps.dataset import ActivationMap
from helpers.maps.keras_2 import keras_2_names
from helpers.models.graph import graph_left_alone, output_in
from helpers.models.relu_gradients import with_activation

PARTS = {"ActivationMax Loss": "activation", "L-6.0 Norm Loss": "lp_norm", "TV(2.0) Loss": "tv"}

with keras_2_names():
    _visualization = importlib.import_module("vis.visualization")
    _backend = importlib.import_module("vis.backend")
    _backprop_modifiers = importlib.import_module("vis.backprop_modifiers")
    _callbacks = importlib.import_module("vis.callbacks")
    _input_modifiers = importlib.import_module("vis.input_modifiers")
    _losses = importlib.import_module("vis.losses")
    _optimizer = importlib.import_module("vis.optimizer")
    _regularizers = importlib.import_module("vis.regularizers")
    _utils = importlib.import_module("vis.utils.utils")

# Python 2's zip: callbacks are promised a list, and each of them reads it.
_optimizer.zip = lambda *columns: list(zip(*columns, strict=True))


def _modify_model_backprop(model: SimpleNamespace, backprop_modifier: str) -> SimpleNamespace:
    """Keras-vis's function of that name: every activation becomes a ReLU of another gradient.

    It sets the activations of all layers but the first, saves the model, and loads it again where
    the ReLUs' gradients are overridden; here the graph is rebuilt around the same weights.
    """
    rebuilt, layers = with_activation(model.whole, tf.nn.relu, model.whole.layers[1:])
    rebuilt.inputs[0].relu_gradient = backprop_modifier
    return SimpleNamespace(input=rebuilt.inputs[0], layers=_as_called(rebuilt, layers))


_backend.modify_model_backprop = _modify_model_backprop

ActivationMaximization, Loss = _losses.ActivationMaximization, _losses.Loss
LPNorm, TotalVariation = _regularizers.LPNorm, _regularizers.TotalVariation
InputModifier, Jitter = _input_modifiers.InputModifier, _input_modifiers.Jitter
OptimizerCallback = _callbacks.OptimizerCallback

BACKPROP_MODIFIERS = (None, "guided", "rectified", "relu", "deconv")
"""Gradients of the ReLUs, as `models.relu_gradients`; the last three are one."""
GradModifier = str | Callable[[np.ndarray], np.ndarray] | None


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
    with graph_left_alone(input_tensor):
        return _visualization.visualize_activation_with_losses(
            input_tensor, losses, seed_input, input_range, **_own_callbacks(optimizer_params)
        )


def visualize_activation(
    model: keras.Model,
    layer_idx: int,
    filter_indices: int | Sequence[int] | None = None,
    seed_input: np.ndarray | None = None,
    input_range: tuple[float, float] = (0, 255),
    backprop_modifier: str | None = None,
    grad_modifier: GradModifier = None,
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
        backprop_modifier: one of `BACKPROP_MODIFIERS`; but for None it makes a ReLU of every
            activation function but the first layer's, softmax included.
        grad_modifier: "negate", "absolute", "invert", "relu", "small_values" or a function of the
            gradient array (1, H, W, C).
        act_max_weight, lp_norm_weight, tv_weight: of the activation, LP norm and total variation.
        **optimizer_params: `max_iter`, `input_modifiers`, `callbacks`, `verbose`.

    Returns:
        The picture (H, W, C) in `input_range`; uint8 where that is two ints.

    Raises:
        ValueError: an argument is not legal; the message names it and says what is.
    """
    _check_weights(
        act_max_weight=act_max_weight, lp_norm_weight=lp_norm_weight, tv_weight=tv_weight
    )
    filter_indices = _check_target(model, layer_idx, filter_indices, backprop_modifier)
    with graph_left_alone(model.inputs[0]):
        return _visualization.visualize_activation(
            _for_keras_vis(model),
            layer_idx,
            filter_indices,
            seed_input,
            input_range,
            backprop_modifier,
            grad_modifier,
            act_max_weight,
            lp_norm_weight,
            tv_weight,
            **_own_callbacks(optimizer_params),
        )


def visualize_saliency_with_losses(
    input_tensor: keras.KerasTensor,
    losses: Sequence[tuple[Loss, float]],
    seed_input: np.ndarray,
    grad_modifier: GradModifier = "absolute",
    keepdims: bool = False,
) -> np.ndarray:
    """Call keras-vis's own function of that name: the gradient of weighted losses, as a heatmap.

    Args:
        input_tensor: the model's input, `model.inputs[0]`.
        losses: (loss, weight) pairs; a loss of weight 0 is left out.
        seed_input: (H, W, C), the image that is looked at, in what the model expects.
        grad_modifier: as `visualize_activation`; applied before the maximum over channels.
        keepdims: keep the channels and do not colour, as keras-vis after 0.4.1.

    Returns:
        (H, W, 3) uint8, the largest of each pixel's channels, stretched to 0..1, in the colours of
        jet; with `keepdims` (H, W, C) float32 in 0..1.

    Raises:
        ValueError: all weights are 0, or one is not a finite number.
    """
    _check_weights(**{f"weight of {loss}": weight for loss, weight in losses})
    with graph_left_alone(input_tensor):
        if not keepdims:
            return _visualization.visualize_saliency_with_losses(
                input_tensor, losses, seed_input, grad_modifier
            )
        optimizer = _optimizer.Optimizer(input_tensor, losses, norm_grads=False)
        _, gradient, _ = optimizer.minimize(
            seed_input, max_iter=1, grad_modifier=grad_modifier, verbose=False
        )
        return _utils.normalize(gradient)[0]


def visualize_saliency(
    model: keras.Model,
    layer_idx: int,
    filter_indices: int | Sequence[int] | None,
    seed_input: np.ndarray,
    backprop_modifier: str | None = None,
    grad_modifier: GradModifier = "absolute",
    keepdims: bool = False,
) -> np.ndarray:
    """Call keras-vis's own function of that name: where a change would raise units of a layer.

    Args:
        model, layer_idx, filter_indices, backprop_modifier: as `visualize_activation`.
        seed_input, grad_modifier, keepdims: as `visualize_saliency_with_losses`.

    Returns:
        As `visualize_saliency_with_losses`.

    Raises:
        ValueError: an argument is not legal; the message names it and says what is.
    """
    filter_indices = _check_target(model, layer_idx, filter_indices, backprop_modifier)
    _check_image(model, seed_input)
    with graph_left_alone(model.inputs[0]):
        asked = _for_keras_vis(model)
        if not keepdims:
            return _visualization.visualize_saliency(
                asked, layer_idx, filter_indices, seed_input, backprop_modifier, grad_modifier
            )
        if backprop_modifier is not None:
            asked = _backprop_modifiers.get(backprop_modifier)(asked)
        losses = [(ActivationMaximization(asked.layers[layer_idx], filter_indices), -1)]
        return visualize_saliency_with_losses(
            asked.input, losses, seed_input, grad_modifier, keepdims
        )


def visualize_cam_with_losses(
    input_tensor: keras.KerasTensor,
    losses: Sequence[tuple[Loss, float]],
    seed_input: np.ndarray,
    penultimate_layer: keras.Layer,
    grad_modifier: GradModifier = None,
) -> np.ndarray:
    """Call keras-vis's own function of that name: Grad-CAM of weighted losses.

    Args:
        input_tensor, losses, seed_input: as `visualize_saliency_with_losses`.
        penultimate_layer: the layer (None, h, w, channels) whose maps are weighted and summed.
        grad_modifier: as `visualize_activation`, of the gradient by that layer.

    Returns:
        (H, W, 3) uint8, the heatmap resized (bicubic), stretched to 0..1, in the colours of jet.

    Raises:
        ValueError: all weights are 0, or one is not a finite number; the layer is not image-like,
            or the losses do not depend on it.
    """
    _check_weights(**{f"weight of {loss}": weight for loss, weight in losses})
    _check_image_like(penultimate_layer)
    with graph_left_alone(input_tensor):
        return _visualization.visualize_cam_with_losses(
            input_tensor, losses, seed_input, penultimate_layer, grad_modifier
        )


def visualize_cam(
    model: keras.Model,
    layer_idx: int,
    filter_indices: int | Sequence[int] | None,
    seed_input: np.ndarray,
    penultimate_layer_idx: int | None = None,
    backprop_modifier: str | None = None,
    grad_modifier: GradModifier = None,
) -> np.ndarray:
    """Call keras-vis's own function of that name: Grad-CAM of units of a layer.

    Args:
        model, layer_idx, filter_indices, backprop_modifier: as `visualize_activation`.
        seed_input, grad_modifier: as `visualize_cam_with_losses`.
        penultimate_layer_idx: index of the layer whose maps are weighted and summed; None: the
            last convolution or pooling in `model.layers[:layer_idx - 1]` (so the layer right
            before `layer_idx` is never taken).

    Returns:
        As `visualize_cam_with_losses`.

    Raises:
        ValueError: an argument is not legal, or there is no such convolution or pooling.
    """
    filter_indices = _check_target(model, layer_idx, filter_indices, backprop_modifier)
    _check_image(model, seed_input)
    if penultimate_layer_idx is not None:
        _check_index(model, penultimate_layer_idx=penultimate_layer_idx)
        _check_image_like(model.layers[penultimate_layer_idx])
    with graph_left_alone(model.inputs[0]):
        return _visualization.visualize_cam(
            _for_keras_vis(model),
            layer_idx,
            filter_indices,
            seed_input,
            penultimate_layer_idx,
            backprop_modifier,
            grad_modifier,
        )


def _for_keras_vis(model: keras.Model) -> SimpleNamespace:
    """What keras-vis asks of a model; `whole` is for `_modify_model_backprop`."""
    layers = _as_called(model, model.layers)
    return SimpleNamespace(input=model.inputs[0], layers=layers, whole=model)


def _as_called(
    model: keras.Model, layers: list[keras.Layer]
) -> list[keras.Layer | SimpleNamespace]:
    """The layers; a nested model with its output in `model`, not that in its own graph."""
    return [
        SimpleNamespace(name=layer.name, output=output_in(model, layer))
        if isinstance(layer, keras.Model)
        else layer
        for layer in layers
    ]


def _check_target(model, layer_idx, filter_indices, backprop_modifier) -> list[int] | None:
    _single_input(model)
    _check_index(model, layer_idx=layer_idx)
    if backprop_modifier not in BACKPROP_MODIFIERS:
        raise ValueError(
            f"backprop_modifier must be one of {BACKPROP_MODIFIERS}, got {backprop_modifier!r}"
        )
    if filter_indices is None:
        return None
    return _units(filter_indices, model.layers[layer_idx].output.shape[-1])


def _check_index(model: keras.Model, **index: int) -> None:
    ((name, value),) = index.items()
    count = len(model.layers)
    if not -count <= value < count:
        raise ValueError(f"{name} must be {-count} to {count - 1}, got {value!r}")


def _check_image(model: keras.Model, seed_input: np.ndarray) -> None:
    shape = tuple(model.inputs[0].shape[1:])
    if np.shape(seed_input) not in (shape, (1, *shape)) or not np.isfinite(seed_input).all():
        raise ValueError(
            f"seed_input must be a finite image of shape {shape} (H, W, C),"
            f" got shape {np.shape(seed_input)}"
        )


def _check_image_like(layer: keras.Layer) -> None:
    shape = tuple(layer.output.shape)
    if len(shape) != 4:
        raise ValueError(
            f"the penultimate layer must give (None, h, w, channels), {layer.name!r} gives {shape}"
        )


def _units(filter_indices: int | Sequence[int], count: int) -> list[int]:
    units = np.atleast_1d(filter_indices).tolist()
    if not units or not all(unit in range(count) for unit in units):
        raise ValueError(f"filter_indices must be 0 to {count - 1}, got {filter_indices!r}")
    return units


def _own_callbacks(optimizer_params: dict) -> dict:
    """Give keras-vis a list of its own: it appends to the one that it gets."""
    return optimizer_params | {"callbacks": list(optimizer_params.get("callbacks") or ())}


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
