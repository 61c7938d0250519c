"""Keras 2's names on Keras 3, for as long as the import of a package that needs them lasts."""

import collections
import collections.abc
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import keras
import numpy as np
import scipy.ndimage
import tensorflow as tf
from PIL import Image

from helpers.models.relu_gradients import relu_gradient

CONVOLUTIONS = tuple(
    getattr(keras.layers, f"{kind}{rank}D{suffix}")
    for rank in (1, 2, 3)
    for kind, suffix in (
        ("Conv", ""),
        ("Conv", "Transpose"),
        *([("DepthwiseConv", ""), ("SeparableConv", "")] if rank < 3 else []),
    )
)
"""What was a `_Conv` in Keras 2."""
POOLINGS = {
    f"_Pooling{rank}D": tuple(
        getattr(keras.layers, f"{kind}Pooling{rank}D") for kind in ("Max", "Average")
    )
    for rank in (1, 2, 3)
}


def _gradients(loss: keras.KerasTensor, wrt: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Keras 2's `K.gradients`: a stand-in that `_function` fills from its tape."""
    loss.gradient = keras.Input(batch_shape=wrt.shape, dtype=wrt.dtype)
    return [loss.gradient]


def _function(inputs: list, outputs: list) -> Callable[[list], list[np.ndarray]]:
    """Keras 2's `K.function`, as keras-vis's Optimizer calls it: one forward, one backward pass."""
    x, *parts, loss, gradient, wrt = inputs[0], *outputs
    forward = keras.Function(x, [*parts, loss, wrt])
    modify = keras.Function(loss.gradient, gradient)

    @tf.function(autograph=False)
    def compute(value):
        with relu_gradient(getattr(x, "relu_gradient", None)):
            *losses, wrt_value = forward(value)
        (plain,) = tf.gradients(losses[-1], wrt_value)
        if plain is None:
            raise ValueError(f"the losses must depend on {wrt.name!r}, and do not")
        return [*losses, modify(plain), wrt_value]

    concrete = compute.get_concrete_function(tf.TensorSpec(x.shape, x.dtype))

    def call(values: list) -> list[np.ndarray]:
        return [value.numpy() for value in concrete(tf.constant(values[0], x.dtype))]

    return call


def _imresize(image: np.ndarray, size: tuple[int, int], interp: str, mode: str) -> np.ndarray:
    """SciPy 1.2's `misc.imresize` of one float channel ("F"): Pillow's resize."""
    resample = Image.Resampling[interp.upper()]
    return np.asarray(Image.fromarray(image, mode).resize(size[::-1], resample))


def _modules() -> dict[str, types.ModuleType]:
    """Just what keras-vis 0.4.1 takes from Keras 2 and from an older SciPy."""
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
    layers = {"_Conv": CONVOLUTIONS, **POOLINGS, "Wrapper": keras.layers.Wrapper}
    contents = {
        "keras.backend": backend,
        "keras.models": {"load_model": keras.models.load_model},
        "keras.layers": layers,
        "keras.layers.convolutional": layers,
        "keras.layers.pooling": layers,
        "keras.layers.wrappers": layers,
        "scipy.misc": {"imresize": _imresize},
        "scipy.ndimage.interpolation": {"shift": scipy.ndimage.shift},
    }
    modules = {name: types.ModuleType(name) for name in ("keras", *contents)}
    for name, values in contents.items():
        vars(modules[name]).update(values)
    modules["keras"].backend = modules["keras.backend"]
    return modules


@contextmanager
def keras_2_names() -> Iterator[None]:
    """Let `import` find `keras` as version 2 had it; afterwards `sys.modules` is as it was.

    Of the modules imported inside, `keras` and `vis` and all in them are taken out again: keep what
    `importlib.import_module` returns. Also `collections.Iterable` and what SciPy has moved since
    are there only inside. Warnings are silent.
    """

    def is_ours(name: str) -> bool:
        return name.split(".")[0] in ("keras", "vis") or name in facade

    facade = _modules()
    before = {name: module for name, module in sys.modules.items() if is_ours(name)}
    for name in before:
        del sys.modules[name]
    sys.modules.update(facade)
    iterable = mock.patch.object(collections, "Iterable", collections.abc.Iterable, create=True)
    try:
        with iterable, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)
