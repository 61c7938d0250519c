"""The genuine keras-vis 0.4.1 on Keras 3: the only module that knows that package.

The package was written for Keras 2. It is imported while `sys.modules` holds a small facade of the
Keras 2 names that it uses; then everything is put back as it was.
"""

import collections
import collections.abc
import importlib
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import scipy.ndimage
import tensorflow as tf

PARTS = {"ActivationMax Loss": "activation", "L-6.0 Norm Loss": "lp_norm", "TV(2.0) Loss": "tv"}


def _gradients(loss: keras.KerasTensor, wrt: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Keras 2's `K.gradients`: a stand-in that `_function` fills from its tape."""
    loss.gradient = keras.Input(batch_shape=wrt.shape, dtype=wrt.dtype)
    return [loss.gradient]


def _function(inputs: list, outputs: list) -> Callable[[list], list[np.ndarray]]:
    """Keras 2's `K.function`, as keras-vis's Optimizer calls it: one forward, one backward pass."""
    *parts, loss, gradient, wrt = outputs
    if wrt is not inputs[0]:
        raise ValueError("wrt_tensor must be the model's input, got another tensor")
    forward = keras.Function(wrt, [*parts, loss])
    modify = keras.Function(loss.gradient, gradient)

    @tf.function(reduce_retracing=True)
    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            losses = forward(x)
        return [*losses, modify(tape.gradient(losses[-1], x)), x]

    def call(values: list) -> list[np.ndarray]:
        return [value.numpy() for value in compute(tf.constant(values[0], wrt.dtype))]

    return call


def _modules() -> dict[str, types.ModuleType]:
    ops = keras.ops
    backend = {
        "abs": ops.abs,
        "backend": lambda: "tensorflow",
        "epsilon": keras.config.epsilon,
        "floatx": keras.config.floatx,
        "function": _function,
        "gradients": _gradients,
        "image_data_format": lambda: "channels_last",
        "int_shape": lambda x: tuple(x.shape),
        "learning_phase": lambda: 0,
        "max": ops.max,
        "mean": ops.mean,
        "ndim": lambda x: len(x.shape),
        "pow": ops.power,
        "sqrt": ops.sqrt,
        "square": ops.square,
        "sum": ops.sum,
    }
    layers = {"_Conv": (), "_Pooling1D": (), "_Pooling2D": (), "_Pooling3D": (), "Wrapper": ()}
    contents = {
        "keras.backend": backend,
        "keras.models": {"load_model": keras.models.load_model},
        "keras.layers": layers,
        "keras.layers.convolutional": layers,
        "keras.layers.pooling": layers,
        "keras.layers.wrappers": layers,
        "scipy.misc": {"imresize": None},
        "scipy.ndimage.interpolation": {"shift": scipy.ndimage.shift},
    }
    modules = {name: types.ModuleType(name) for name in ("keras", *contents)}
    for name, values in contents.items():
        vars(modules[name]).update(values)
    modules["keras"].backend = modules["keras.backend"]
    return modules


@contextmanager
def _keras_2() -> Iterator[None]:
    """Let `import` see Keras 2's names, and nothing of it afterwards."""

    def is_ours(name: str) -> bool:
        return name.split(".")[0] in ("keras", "vis") or name in facade

    facade = _modules()
    before = {name: module for name, module in sys.modules.items() if is_ours(name)}
    for name in before:
        del sys.modules[name]
    sys.modules.update(facade)
    collections.Iterable = collections.abc.Iterable
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        del collections.Iterable
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)


with _keras_2():
    _visualization = importlib.import_module("vis.visualization")
    _callbacks = importlib.import_module("vis.callbacks")
    _input_modifiers = importlib.import_module("vis.input_modifiers")
    _losses = importlib.import_module("vis.losses")
    _regularizers = importlib.import_module("vis.regularizers")

visualize_activation_with_losses = _visualization.visualize_activation_with_losses
ActivationMaximization, Loss = _losses.ActivationMaximization, _losses.Loss
LPNorm, TotalVariation = _regularizers.LPNorm, _regularizers.TotalVariation
InputModifier, Jitter = _input_modifiers.InputModifier, _input_modifiers.Jitter
OptimizerCallback = _callbacks.OptimizerCallback


def visualize_activation(model: keras.Model, layer_idx: int, filter_indices=None, **arguments):
    """keras-vis's own `visualize_activation`, with its own arguments.

    Args:
        model: channels_last, Functional or built Sequential.
        layer_idx: index into `model.layers`.
        filter_indices: a unit or several; None for all units of the layer at once.
        **arguments: `seed_input`, `input_range`, `grad_modifier`, `act_max_weight`,
            `lp_norm_weight`, `tv_weight`, `input_modifiers`, `callbacks`, `verbose`, `max_iter`.

    Returns:
        The picture (H, W, C), in `input_range`; uint8 where that is two integers.

    Raises:
        ValueError: `backprop_modifier` is given; it rewrites TensorFlow 1 graphs.
    """
    if arguments.get("backprop_modifier") is not None:
        raise ValueError(
            "backprop_modifier must be None: it rewrites the graphs of TensorFlow 1;"
            f" got {arguments['backprop_modifier']!r}"
        )
    if filter_indices is None:
        filter_indices = range(model.layers[layer_idx].output.shape[-1])
    if arguments.get("callbacks"):
        arguments["callbacks"] = list(arguments["callbacks"])
    return _visualization.visualize_activation(model, layer_idx, filter_indices, **arguments)


@dataclass(frozen=True)
class ActivationMap:
    """One map that keras-vis found.

    Attributes:
        raw: (H, W, C) float32, the picture after the step whose loss was the lowest.
        display: (H, W, C) uint8, what `visualize_activation` returned.
        loss: (steps,) weighted sum before each step.
        parts: (steps,) each, weighted: "activation" (negative), "lp_norm", "tv".
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
        model: takes pixels 0..255, (N, H, W, C).
        layer_idx: index into `model.layers`.
        unit: output or channel of that layer.
        seed_input: (H, W, C), left as it is.
        act_weight: weight of the activation; below 0 it is minimised.
        lp_weight: weight of the LP norm.
        tv_weight: weight of the total variation.
        steps: gradient steps.
        on_step: called with the step and the picture (H, W, C) after it; may raise to stop.

    Raises:
        ValueError: the loss is NaN from the first step on.
    """
    recorder = _Recorder(on_step)
    display = _visualization.visualize_activation(
        model,
        layer_idx,
        unit,
        seed_input=np.array(seed_input, "float32"),
        input_range=(0, 255),
        act_max_weight=act_weight,
        lp_norm_weight=lp_weight,
        tv_weight=tv_weight,
        max_iter=steps,
        callbacks=[recorder],
        input_modifiers=[recorder],
    )
    parts = {PARTS[name]: np.array(values) for name, values in recorder.parts.items()}
    return ActivationMap(recorder.raw, display, np.array(recorder.losses), parts)


class _Recorder(OptimizerCallback, InputModifier):
    """Sees each loss as a callback, and the picture after each step as an input modifier."""

    def __init__(self, on_step):
        self.on_step = on_step
        self.losses: list[float] = []
        self.parts: dict[str, list[float]] = collections.defaultdict(list)
        self.lowest = np.inf
        self.raw = None

    def callback(self, i, named_losses, overall_loss, grads, wrt_value):
        if i == 0 and np.isnan(overall_loss):
            raise ValueError("loss must be a number, got NaN at the seed input: no map follows")
        self.losses.append(float(overall_loss))
        for name, value in named_losses:
            self.parts[name].append(float(value))

    def post(self, inp):
        if self.losses[-1] < self.lowest:
            self.lowest = self.losses[-1]
            self.raw = inp[0].copy()
        if self.on_step:
            self.on_step(len(self.losses) - 1, inp[0])
        return inp
