"""The weights in files of Keras 1 and 2, put into layers that were built anew."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import h5py
import keras
import numpy as np
from keras import layers

from helpers.models.graph import snake_case


@dataclass(frozen=True)
class SavedNames:
    """What a file calls the layers that were built of it, by the `id` of each.

    Attributes:
        names: its name there.
        kinds: its class there.
        kept: the layers themselves, alive so that ids stay theirs.
    """

    names: dict[int, str] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    kept: list = field(default_factory=list)

    def add(self, layer, name: str, kind: str):
        """Remember a layer, and return it."""
        self.names[id(layer)], self.kinds[id(layer)] = name, kind
        self.kept.append(layer)
        return layer


def text(value) -> str:
    """Text of a file, where it may be bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def set_from_hdf5(saved: SavedNames, model: keras.Model, group) -> None:
    """Set the weights of an HDF5 file: groups by the layers' names.

    Raises:
        ValueError: some are not there, or do not fit.
    """
    for layer in model.layers:
        name = saved.names.get(id(layer))
        if name is None or not layer.weights:
            continue
        if name not in group:
            raise ValueError(f"the file has no weights of layer {name!r}")
        part = group[name]
        names = [text(one) for one in _attribute(part, "weight_names")]
        arrays = [np.asarray(part[one]) for one in names]
        if isinstance(layer, keras.Model):
            _set_nested(saved, layer, names, arrays)
        else:
            _set(layer, name, arrays)


def _set_nested(saved: SavedNames, model: keras.Model, names: list[str], arrays: list) -> None:
    leaves = list(_leaves(model))
    own = {
        id(leaf): [
            array
            for one, array in zip(names, arrays, strict=True)
            if f"/{one}".find(f"/{saved.names[id(leaf)]}/") >= 0
        ]
        for leaf in leaves
    }
    if all(len(own[id(leaf)]) == len(leaf.weights) for leaf in leaves):
        for leaf in leaves:
            _set(leaf, saved.names[id(leaf)], own[id(leaf)])
        return
    order = [
        (leaf, weight)
        for trainable in (True, False)
        for leaf in leaves
        for weight in (leaf.trainable_weights if trainable else leaf.non_trainable_weights)
    ]
    if len(order) != len(arrays):
        raise ValueError(f"the weights of the nested model {model.name!r} do not fit")
    for (leaf, weight), array in zip(order, arrays, strict=True):
        if tuple(weight.shape) != array.shape:
            raise ValueError(f"the weights of layer {leaf.name!r} do not fit")
        weight.assign(array)


def _leaves(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        elif layer.weights:
            yield layer


def _set(layer: keras.Layer, name: str, arrays: list[np.ndarray]) -> None:
    if isinstance(layer, layers.Normalization):
        arrays = arrays[: len(layer.weights)]  # Keras 2 also counted the images
    shapes = [tuple(weight.shape) for weight in layer.weights]
    if shapes != [array.shape for array in arrays]:
        found = [array.shape for array in arrays]
        raise ValueError(f"the weights of layer {name!r} must be {shapes}, got {found}"[:250])
    layer.set_weights(arrays)
    if isinstance(layer, layers.Normalization):
        layer.finalize_state()


def set_from_archive(saved: SavedNames, model: keras.Model, group) -> None:
    """Set the weights of a `.keras` file: groups by class and number, in the layers' order."""
    holder = next(
        (key for key in ("layers", "_layer_checkpoint_dependencies") if key in group), None
    )
    if holder is None:
        raise ValueError("its weights are stored in a way that is not read here")
    parts = group[holder]
    times = Counter()
    for layer in model.layers:
        if id(layer) not in saved.kinds or not layer.weights:
            continue
        kind = saved.kinds[id(layer)]
        stem = snake_case("Functional" if kind == "Model" else kind)
        stored = [key for key in _of_stem(parts, stem) if _has_arrays(parts[key])]
        if times[stem] >= len(stored):
            raise ValueError(f"the file has no weights of layer {layer.name!r}")
        part = parts[stored[times[stem]]]
        times[stem] += 1
        if isinstance(layer, keras.Model):
            set_from_archive(saved, layer, part)
        elif _set_by_attribute(layer, part, layer.name) != len(layer.weights):
            raise ValueError(f"the weights of layer {layer.name!r} do not fit")
        elif isinstance(layer, layers.Normalization):
            layer.finalize_state()


def _of_stem(group, stem: str) -> list[str]:
    numbers = {}
    for key in group:
        rest = key[len(stem) :]
        if key == stem:
            numbers[key] = 0
        elif key.startswith(stem + "_") and rest[1:].isdigit():
            numbers[key] = int(rest[1:])
    return sorted(numbers, key=numbers.get)


def _has_arrays(group) -> bool:
    found = []
    group.visititems(lambda _, one: found.append(one) if isinstance(one, h5py.Dataset) else None)
    return bool(found)


def _set_by_attribute(layer: keras.Layer, group, name: str) -> int:
    """Set a layer's own arrays and, by the attribute each is, those of layers inside; how many."""
    own = group.get("vars", {})
    arrays = [np.asarray(own[key]) for key in sorted(own, key=int)]
    variables = layer._trainable_variables + layer._non_trainable_variables
    if isinstance(layer, layers.Normalization):
        arrays = arrays[: len(variables)]  # Keras 2 also counted the images
    if [tuple(one.shape) for one in variables][: len(arrays)] != [one.shape for one in arrays]:
        raise ValueError(f"the weights of layer {name!r} do not fit")
    for variable, array in zip(variables, arrays, strict=False):
        variable.assign(array)
    count = len(arrays)
    for key in group:
        inner = getattr(layer, key, getattr(layer, f"_{key}", None))
        if isinstance(inner, keras.Layer):
            count += _set_by_attribute(inner, group[key], name)
    return count


def _attribute(group, name: str) -> list:
    if name in group.attrs:
        return list(group.attrs[name])
    parts, i = [], 0
    while f"{name}{i}" in group.attrs:
        parts += list(group.attrs[f"{name}{i}"])
        i += 1
    return parts
