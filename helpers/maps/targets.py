"""A model resolved once for a call: its weights known, its layers cut, its units measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf

from helpers import models
from helpers.maps import given
from helpers.maps.batches import images_at_once
from helpers.maps.objectives import at_units, over_positions
from helpers.maps.spec import MINUS_OTHERS, MapSpec
from helpers.models import cutting
from helpers.models.cutting import Tap

MOST_IMAGES = 64
"""Images measured at once, where memory allows."""


@dataclass(frozen=True)
class LayerTarget:
    """A layer of a model as it is now, ready to be maximised and measured.

    Attributes:
        model: the user's model.
        digest: `models.weight_digest` of it.
        network: pixels (N, *shape) to each unit's objective (N, ..., units).
        spec: layer, units, objective and preprocessing.
    """

    model: keras.Model
    digest: str
    network: keras.Model
    spec: MapSpec

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one map: (H, W, C), (T, C) for signals, (D, H, W, C) for volumes."""
        return tuple(self.network.input_shape[1:])


def checked_model(model: keras.Model | str | Path) -> keras.Model:
    """`models.load_model`, but what it has checked is not checked again until a weight changes."""
    if isinstance(model, keras.Model) and (known := _known(model)) and known.is_checked:
        return model
    model = models.load_model(model)
    digest_of(model)
    _KNOWN[model] = replace(_KNOWN[model], is_checked=True)
    return model


def digest_of(model: keras.Model) -> str:
    """`models.weight_digest`, computed once for a model and again where a weight has changed.

    A weight's values lie in a buffer. It is held here together with its address, so TensorFlow
    must write a change elsewhere: an assignment brings a new buffer, and an update in place first
    copies a buffer that others hold (`PrepareToUpdateVariable`). Equal addresses are equal values.
    Of weights that are not in the CPU's memory the digest is computed at each call.
    """
    known = _known(model)
    if known is None:
        known = _Known(_structure(model), _buffers(model), models.weight_digest(model))
        _KNOWN[model] = known
    return known.digest


def resolve(model: keras.Model, spec: MapSpec) -> LayerTarget:
    """Cut and extend a model for a spec, once; everything on the way takes the result.

    Raises:
        ValueError: the layer has no units, or too few for the objective.
    """
    digest = digest_of(model)
    return LayerTarget(model, digest, target_of(model, spec, digest), spec)


def target_of(model: keras.Model, spec: MapSpec, digest: str | None = None) -> keras.Model:
    """Cut and extend a model: pixels (N, H, W, C) in, each unit's objective (N, ..., units) out.

    The same model with the same weights gives the same target, so that what was compiled for it is
    found again.

    Args:
        model: Functional or Sequential.
        spec: says layer, objective and preprocessing.
        digest: `models.weight_digest` of the model as it is now, where it is known.

    Raises:
        ValueError: the layer has no units, or too few for the objective.
    """
    given.checked_preprocessing(spec.preprocessing)
    net = _Net(model, digest or digest_of(model))
    return _network(net, spec.layer, spec.objective, spec.preprocessing, spec.size, spec.held)


def cut_of(
    model: keras.Model, taps: tuple[Tap, ...], preprocessing=None, size=None, held=None
) -> keras.Model:
    """`cutting.cut_at`; the same model with the same weights gives the same object."""
    given.checked_preprocessing(preprocessing)
    return _cut(_Net(model, digest_of(model)), taps, preprocessing, size, held)


@lru_cache(maxsize=8)
def check_gradient(cut: keras.Model) -> None:
    """`cutting.check_gradient`, once for a cut model."""
    cutting.check_gradient(cut)


def scores(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Mean over positions of each unit's objective, (..., units) float32.

    Args:
        network: as `target_of` returns it.
        images: (..., *image shape), pixels 0..255.
    """
    shape = network.input_shape[1:]
    flat = images.reshape(-1, *shape).astype("float32", copy=False)
    most = images_at_once(network, len(flat), MOST_IMAGES)
    parts = [flat[i : i + most] for i in range(0, len(flat), most)]
    measure = _measuring(network)[0]
    measured = np.concatenate([measure(tf.constant(part)) for part in parts])
    return measured.reshape(*images.shape[: -len(shape)], -1)


def scores_and_gradients(
    network: keras.Model, images: np.ndarray, units: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of some units, and the RMS over pixels of each score's gradient.

    Args:
        network: as `target_of` returns it.
        images: (N, *image shape), pixels 0..255.
        units: numbers of the units.

    Returns:
        Both (units, N) float32.

    Raises:
        ValueError: there is no gradient from the layer to the image, as `models.check_gradient`.
    """
    measure = _measuring(network)[1]
    pairs = [(unit, i) for unit in units for i in range(len(images))]
    measured = []
    most = images_at_once(network, len(pairs), MOST_IMAGES)
    for first in range(0, len(pairs), most):
        unit, chosen = np.array(pairs[first : first + most]).T
        x = tf.constant(images[chosen], tf.float32)
        measured.append(np.stack(measure(x, tf.constant(unit, tf.int32))))
    activation, gradient = np.concatenate(measured, 1).reshape(2, len(units), len(images))
    return activation, gradient


@lru_cache(maxsize=8)
def _measuring(network: keras.Model) -> tuple[Callable, Callable]:
    """Traced once, whatever the number of images and units."""
    images = tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)

    def scores_of(images):
        return over_positions(network(images, training=False))

    @tf.function(autograph=False, input_signature=[images])
    def measure(images):
        return scores_of(images)

    @tf.function(autograph=False, input_signature=[images, tf.TensorSpec((None,), tf.int32)])
    def measure_with_gradient(images, units):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            own = at_units(scores_of(images), units)
        gradient = tape.gradient(own, images)
        if gradient is None:
            raise cutting.no_gradient(network)
        axes = list(range(1, len(gradient.shape)))
        return own, tf.sqrt(tf.reduce_mean(gradient**2, axis=axes))

    return measure.get_concrete_function(), measure_with_gradient.get_concrete_function()


@dataclass(frozen=True)
class _Net:
    """A model as it is now: equal to another only when object and weights are the same."""

    model: keras.Model
    digest: str


@lru_cache(maxsize=8)
def _network(net: _Net, layer: str, objective: str, preprocessing, size, held) -> keras.Model:
    tap = Tap(layer, pre_activation=objective != "activation")
    cut = _cut(net, (tap,), preprocessing, size, held)
    if objective == MINUS_OTHERS:
        cut = keras.Model(cut.inputs[0], _minus_others(cut.outputs[0]))
    return cut


@lru_cache(maxsize=8)
def _cut(net: _Net, taps: tuple[Tap, ...], preprocessing, size, held) -> keras.Model:
    held = dict(held or ())
    return cutting.cut_at(net.model, taps, preprocessing=preprocessing, size=size, held=held)


def _minus_others(z: keras.KerasTensor) -> keras.KerasTensor:
    units = z.shape[-1]
    if units == 1:
        raise ValueError(f"objective {MINUS_OTHERS!r} needs a layer of at least 2 units, got 1")
    total = keras.ops.sum(z, axis=-1, keepdims=True)
    return z - (total - z) / (units - 1)


@dataclass(frozen=True, eq=False)
class _Known:
    """What is known of a model: as long as structure and buffers are the same, the digest is."""

    structure: tuple
    buffers: list[tf.Tensor]
    digest: str
    is_checked: bool = False


_KNOWN: WeakKeyDictionary[keras.Model, _Known] = WeakKeyDictionary()


def _known(model: keras.Model) -> _Known | None:
    known = _KNOWN.get(model)
    if known is None or known.structure != _structure(model):
        return None
    now = _buffers(model)
    is_on_cpu = all("CPU" in buffer.device for buffer in now)
    return known if is_on_cpu and _addresses(now) == _addresses(known.buffers) else None


def _structure(model: keras.Model) -> tuple:
    """What `models.weight_digest` reads beside the weights."""
    return tuple(
        (layer.name, type(layer), getattr(layer, "activation", None))
        + (_structure(layer) if isinstance(layer, keras.Model) else ())
        for layer in model.layers
    )


def _buffers(model: keras.Model) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(weight.value) for weight in model.weights]


def _addresses(buffers: list[tf.Tensor]) -> list[int]:
    return [
        np.frombuffer(memoryview(tf.bitcast(buffer, tf.uint8)), "uint8").ctypes.data
        for buffer in buffers
        if buffer.shape.num_elements()
    ]
