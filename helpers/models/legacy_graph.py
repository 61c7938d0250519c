"""The saved graph of a Functional model of Keras 2: its calls, and TensorFlow operations in it."""

from collections.abc import Callable, Iterator

import numpy as np
from keras import ops


def plain(value):
    """A value, out of the box that Keras 2 put NumPy numbers in."""
    if isinstance(value, dict) and "value" in value and "type" in value:
        return value["value"]
    return value


def references(node, calls) -> Iterator[tuple[str, int]]:
    """(layer, number of its call) of all tensors that a saved call takes."""
    if isinstance(node, dict):
        for value in node.values():
            yield from references(value, calls)
    elif isinstance(node, list | tuple):
        if _is_reference(node):
            if node[0] != "_CONSTANT_VALUE":
                yield node[0], node[1]
            for part in node[2:]:
                yield from references(part, calls)
        else:
            for part in node:
                yield from references(part, calls)


def _is_reference(value) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )


def _tensors(value, calls):
    """A saved argument with tensors in place of references."""
    if _is_reference(value):
        name, index, which = value[:3]
        return plain(which) if name == "_CONSTANT_VALUE" else calls[name][index][which]
    if isinstance(value, list):
        return [_tensors(part, calls) for part in value]
    return plain(value)


def called(layer: Callable, node, calls):
    """Make a saved call.

    Args:
        layer: takes tensors.
        node: the call's entry in the file.
        calls: layer's name -> for each of its calls the list of its output tensors.
    """
    entries = [node] if _is_reference(node) else node
    options = {}
    for entry in entries:
        options |= entry[3] if len(entry) > 3 else {}
    options = {
        key: _tensors(value, calls)
        for key, value in options.items()
        if key not in ("training", "name") and value is not None
    }
    tensors = [_tensors(entry[:3], calls) for entry in entries]
    single = _is_reference(node) or len(tensors) == 1
    return layer(tensors[0] if single else tensors, **options)


def ends(listed, calls):
    """The tensors that a saved model lists as its inputs or outputs, in their structure."""
    if isinstance(listed, dict):
        return {key: ends(value, calls) for key, value in listed.items()}
    if _is_reference(listed):
        return _tensors(listed, calls)
    tensors = [ends(one, calls) for one in listed]
    return tensors[0] if len(tensors) == 1 else tensors


def _sliced(x, slice_spec):
    parts = []
    for part in slice_spec:
        if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
            parts.append(Ellipsis)
        elif isinstance(part, dict):
            parts.append(slice(*(plain(part[key]) for key in ("start", "stop", "step"))))
        else:
            parts.append(part)
    return x[tuple(parts)]


def _resized(x, size, method="bilinear", antialias=False, **_):
    return ops.image.resize(x, size, interpolation=method, antialias=antialias)


OPERATIONS: dict[str, Callable] = {
    "math.truediv": lambda x, y: ops.true_divide(x, y),
    "math.divide": lambda x, y: ops.true_divide(x, y),
    "math.multiply": lambda x, y: ops.multiply(x, y),
    "__operators__.add": lambda x, y: ops.add(x, y),
    "math.add": lambda x, y: ops.add(x, y),
    "math.subtract": lambda x, y: ops.subtract(x, y),
    "math.pow": lambda x, y: ops.power(x, y),
    "math.maximum": lambda x, y: ops.maximum(x, y),
    "math.minimum": lambda x, y: ops.minimum(x, y),
    "math.negative": ops.negative,
    "math.abs": ops.abs,
    "math.square": ops.square,
    "math.sqrt": ops.sqrt,
    "math.rsqrt": ops.rsqrt,
    "math.exp": ops.exp,
    "math.log": ops.log,
    "math.sigmoid": ops.sigmoid,
    "math.tanh": ops.tanh,
    "math.softplus": ops.softplus,
    "nn.sigmoid": ops.sigmoid,
    "nn.tanh": ops.tanh,
    "nn.softplus": ops.softplus,
    "nn.relu": lambda features: ops.relu(features),
    "nn.relu6": lambda features: ops.relu6(features),
    "nn.elu": lambda features: ops.elu(features),
    "nn.selu": lambda features: ops.selu(features),
    "nn.silu": lambda features, beta=1.0: features * ops.sigmoid(beta * features),
    "nn.swish": lambda features, beta=1.0: features * ops.sigmoid(beta * features),
    "nn.gelu": lambda features, approximate=False: ops.gelu(features, approximate),
    "nn.leaky_relu": lambda features, alpha=0.2: ops.leaky_relu(features, alpha),
    "nn.softmax": lambda logits, axis=-1: ops.softmax(logits, axis),
    "nn.bias_add": lambda x, bias, data_format="NHWC": ops.add(x, np.asarray(bias, "float32")),
    "nn.l2_normalize": lambda x, axis=None, epsilon=1e-12: (
        x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis, keepdims=True), epsilon))
    ),
    "math.reduce_mean": lambda x, axis=None, keepdims=False: ops.mean(x, axis, keepdims),
    "math.reduce_sum": lambda x, axis=None, keepdims=False: ops.sum(x, axis, keepdims),
    "math.reduce_max": lambda x, axis=None, keepdims=False: ops.max(x, axis, keepdims),
    "math.reduce_min": lambda x, axis=None, keepdims=False: ops.min(x, axis, keepdims),
    "clip_by_value": lambda t, clip_value_min, clip_value_max: ops.clip(
        t, clip_value_min, clip_value_max
    ),
    "cast": lambda x, dtype: ops.cast(x, dtype),
    "identity": lambda x: x,
    "convert_to_tensor": lambda x, dtype=None, **_: x,
    "reshape": lambda x, shape: ops.reshape(x, shape),
    "transpose": lambda x, perm=None, **_: ops.transpose(x, perm),
    "compat.v1.transpose": lambda x, perm=None, **_: ops.transpose(x, perm),
    "expand_dims": lambda x, axis: ops.expand_dims(x, axis),
    "squeeze": lambda x, axis=None: ops.squeeze(x, axis),
    "compat.v1.squeeze": lambda x, axis=None, **_: ops.squeeze(x, axis),
    "reverse": lambda x, axis: ops.flip(x, axis),
    "tile": lambda x, multiples: ops.tile(x, multiples),
    "concat": lambda values, axis: ops.concatenate(values, axis),
    "stack": lambda values, axis=0: ops.stack(values, axis),
    "unstack": lambda x, num=None, axis=0: ops.unstack(x, num, axis),
    "split": lambda x, num_or_size_splits, axis=0, **_: _split(x, num_or_size_splits, axis),
    "image.resize": _resized,
    "image.rgb_to_grayscale": lambda images: ops.image.rgb_to_grayscale(images),
    "__operators__.getitem": _sliced,
}
"""Operations of TensorFlow in a graph of Keras 2, by their name behind `tf.`."""
OPERATIONS["math.l2_normalize"] = OPERATIONS["nn.l2_normalize"]


def _split(x, parts, axis: int):
    return ops.split(x, parts if isinstance(parts, int) else np.cumsum(parts)[:-1].tolist(), axis)
