"""Files of Keras 1 and 2 as Keras 3 models: the same layers built anew, and their weights.

Keras 3 refuses or misreads many of them: options it does not know, operations of TensorFlow in the
graph, weights of frozen nested models, names with a slash, policies. Nothing here runs code from a
file, unless it is trusted.
"""

import inspect
import io
import json
import zipfile
from collections import defaultdict
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers, ops

from helpers.models.lambdas import Arithmetic, arithmetic
from helpers.models.legacy_graph import OPERATIONS, called, ends, plain, references
from helpers.models.legacy_weights import SavedNames, set_from_archive, set_from_hdf5, text

MODELS = ("Functional", "Model", "Sequential")
RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "CuDNNLSTM": None,
    "CuDNNGRU": None,
}
KERAS_1_OPTIONS = {
    "nb_filter": "filters", "output_dim": "units", "p": "rate", "border_mode": "padding",
    "subsample": "strides", "subsample_length": "strides", "stride": "strides",
    "filter_length": "kernel_size", "pool_length": "pool_size", "bias": "use_bias",
    "sigma": "stddev", "atrous_rate": "dilation_rate",
}  # fmt: skip
MERGES = {
    "concat": "Concatenate", "sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum",
}  # fmt: skip
WITHOUT_MEANING = (
    "activity_regularizer", "adjustment", "auto_cast", "batch_input_shape", "build_config",
    "fused", "implementation", "init", "inner_init", "input_dim", "input_dtype", "input_length",
    "input_shape", "key_shape", "mode", "module", "noise_shape", "optional", "query_shape",
    "ragged", "registered_name", "renorm_clipping", "renorm_momentum", "rng_type", "sparse",
    "synchronized", "time_major", "trainable", "value_shape", "virtual_batch_size",
)  # fmt: skip
"""Options of Keras 1 or 2 that change nothing of what a loaded model computes."""


def is_legacy(path: Path) -> bool:
    """Whether a file is of Keras 1 or 2: what it says of its version, or that it says nothing."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json"))["keras_version"]
    else:
        with h5py.File(path) as file:
            version = text(file.attrs.get("keras_version", "1"))
    return int(version.split(".")[0]) < 3


def read_legacy(path: Path, *, trusted: bool) -> keras.Model:
    """Read a model of Keras 1 or 2.

    Args:
        path: an HDF5 file, or a `.keras` archive of Keras 2.
        trusted: run code that the file holds.

    Raises:
        ValueError: it needs a class, an operation or an option that is not known, or code of a
            file that is not trusted, or its weights do not fit.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            weights = io.BytesIO(archive.read("model.weights.h5"))
        builder = _Builder(trusted, first_version=2)
        model = builder.model(config["class_name"], config["config"])
        with h5py.File(weights) as file:
            set_from_archive(builder.saved, model, file)
        return model
    with h5py.File(path) as file:
        saved = json.loads(text(file.attrs["model_config"]))
        version = int(text(file.attrs.get("keras_version", "1")).split(".")[0])
        builder = _Builder(trusted, first_version=version)
        model = builder.model(saved["class_name"], saved["config"], name=path.stem)
        set_from_hdf5(builder.saved, model, file["model_weights"])
    return model


class _Builder:
    """Makes layers of configurations, and remembers what the file calls them."""

    def __init__(self, trusted: bool, first_version: int):
        self.trusted, self.version = trusted, first_version
        self.saved = SavedNames()

    def model(self, kind: str, config, name: str = "model") -> keras.Model:
        """A model, weights not yet set."""
        if kind == "Sequential":
            model = self._sequential(config, name)
        elif kind in MODELS or "layers" in config:
            model = self._functional(config)
        else:
            raise ValueError(
                f"the model is subclassed ({kind}), and the file does not hold its code: build it"
                " in code, model.load_weights(path), and pass the model"
            )
        return self.saved.add(model, model.name, kind)

    def _sequential(self, config, name: str) -> keras.Model:
        listed = config if isinstance(config, list) else config["layers"]
        options = {} if isinstance(config, list) else config
        first = listed[0]["config"]
        shape = first.get("batch_input_shape") or options.get("build_input_shape")
        if shape is None and first.get("input_dim"):
            shape = [None, first["input_dim"]]
        if listed[0]["class_name"] == "InputLayer":
            shape, listed = first.get("batch_input_shape") or first["batch_shape"], listed[1:]
        stack = [self.layer(one["class_name"], one["config"]) for one in listed]
        dtype = _dtype(first.get("dtype"), "input") or "float32"
        start = [keras.Input(batch_shape=shape, dtype=dtype)] if shape is not None else []
        return keras.Sequential([*start, *stack], name=_legal(options.get("name", name)))

    def _functional(self, config: dict) -> keras.Model:
        calls: dict[str, list] = defaultdict(list)
        made, waiting = {}, []
        for one in config["layers"]:
            name = one.get("name") or one["config"]["name"]
            kind, options = one["class_name"], one["config"]
            if kind == "InputLayer":
                shape = options.get("batch_input_shape") or options.get("batch_shape")
                dtype = _dtype(options.get("dtype"), "input") or "float32"
                x = keras.Input(batch_shape=shape, dtype=dtype, name=_legal(name))
                calls[name].append([x])
                continue
            made[name] = self.layer(kind, options)
            first = 1 if kind in MODELS else 0
            waiting += [
                (name, first + i, node) for i, node in enumerate(one.get("inbound_nodes", []))
            ]
            calls[name] += [None] * first
        while waiting:
            ready = [
                call
                for call in waiting
                if len(calls[call[0]]) == call[1] and self._is_there(call[2], calls)
            ]
            if not ready:
                raise ValueError(f"the graph of the model cannot be followed at {waiting[0][0]!r}")
            for call in ready:
                name, _, node = call
                calls[name].append(keras.tree.flatten(called(made[name], node, calls)))
                waiting.remove(call)
        inputs = keras.tree.map_structure(lambda x: x, ends(config["input_layers"], calls))
        outputs = ends(config["output_layers"], calls)
        return keras.Model(inputs, outputs, name=_legal(config.get("name", "model")))

    def _is_there(self, node, calls) -> bool:
        return all(
            len(calls[name]) > index and calls[name][index] is not None
            for name, index in references(node, calls)
        )

    def layer(self, kind: str, config: dict):
        """A layer, or a function of tensors for an operation of TensorFlow."""
        name = config.get("name", kind)
        if kind in MODELS:
            return self.model(kind, config)
        if kind in ("TFOpLambda", "SlicingOpLambda"):
            function = config["function"]
            if function not in OPERATIONS:
                raise ValueError(
                    f"operation tf.{function} in its graph is none that is read here: save it again"
                    " with a Keras layer instead"
                )
            return OPERATIONS[function]
        if kind == "Lambda":
            layer = self._lambda(config)
        elif kind == "Merge":
            concat = {"axis": config.get("concat_axis", -1)} if config["mode"] == "concat" else {}
            layer = getattr(layers, MERGES[config["mode"]])(name=_legal(name), **concat)
        elif kind == "ThresholdedReLU":
            layer = _ThresholdedReLU(float(np.asarray(plain(config["theta"]))), name=_legal(name))
        else:
            layer = self._of_class(kind, config)
        return self.saved.add(layer, name, kind)

    def _of_class(self, kind: str, config: dict):
        kind_now = RENAMED.get(kind, kind)
        registered = keras.saving.get_registered_object(config.get("registered_name") or kind)
        if registered is None:
            registered = keras.saving.get_custom_objects().get(kind)
        cls = registered or (getattr(layers, kind_now, None) if kind_now else None)
        if cls is None:
            raise ValueError(unknown_class(kind))
        name = config.get("name", kind)
        if registered is not None and registered.__module__.split(".")[0] != "keras":
            return cls.from_config(dict(config))
        options = dict(config)
        inner = options.pop("layer", None)
        if self.version < 2:
            options = _of_keras_1(kind, options)
        options = {
            key: _option(name, key, value) for key, value in options.items() if value is not None
        }
        options = _accepted(cls, name, options)
        wrapped = [] if inner is None else [self.layer(inner["class_name"], inner["config"])]
        layer = cls(*wrapped, **options)
        layer.trainable = config.get("trainable", True)
        return layer

    def _lambda(self, config: dict) -> layers.Layer:
        name = _legal(config["name"])
        program = arithmetic(config["function"])
        if program is not None and not config.get("arguments"):
            return Arithmetic(program, name=name)
        if not self.trusted:
            raise ValueError(f"its Lambda layer {name!r} holds Python code that must be trusted")
        function = config["function"]
        if isinstance(function, list):
            code = dict(zip(("code", "defaults", "closure"), function, strict=True))
            function = {"class_name": "__lambda__", "config": code}
        options = {"name": name, "function": function, "arguments": config.get("arguments", {})}
        with keras.saving.custom_object_scope({}):
            return layers.Lambda.from_config(options, safe_mode=False)


def unknown_class(kind: str) -> str:
    """What to say of a class that is none of Keras's."""
    return (
        f"class or function {kind!r} is not one of Keras: define it, decorated with"
        f" @keras.saving.register_keras_serializable(name={kind!r}), before the file is loaded"
    )


@keras.saving.register_keras_serializable("happymaps")
class _ThresholdedReLU(layers.Layer):
    """Keras 2's layer: x where it is above theta, else 0."""

    def __init__(self, theta: float, **options):
        super().__init__(**options)
        self.theta = theta

    def call(self, x):
        return x * ops.cast(x > self.theta, x.dtype)

    def get_config(self):
        return super().get_config() | {"theta": self.theta}


@keras.saving.register_keras_serializable("happymaps")
def keras_2_hard_sigmoid(x):
    """Keras 2's `hard_sigmoid`, 0.2 x + 0.5 within 0..1; Keras 3 has x / 6 + 0.5."""
    return ops.clip(0.2 * x + 0.5, 0, 1)


def _option(name: str, key: str, value):
    """An option's value as Keras 3 takes it."""
    if key == "dtype":
        return _dtype(value, name)
    if key.endswith(("_regularizer", "_constraint")):
        return None
    if key.endswith("_initializer"):
        return _initializer(value)
    if key == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if key == "name":
        return _legal(value)
    if key in ("activation", "recurrent_activation"):
        return _activation(value)
    return plain(value)


def _activation(value):
    name = value if isinstance(value, str) else value.get("class_name")
    if name == "hard_sigmoid":
        return keras_2_hard_sigmoid
    if isinstance(value, dict):
        inner = value.get("config")
        name = inner if isinstance(inner, str) else name
        if isinstance(inner, dict) and hasattr(layers, name):
            kind = getattr(layers, name)
            options = {k: _option(name, k, v) for k, v in inner.items() if v is not None}
            return kind(**_accepted(kind, name, options))
    try:
        return keras.activations.get(name)
    except (ValueError, TypeError):
        raise ValueError(unknown_class(name)) from None


def _initializer(value):
    try:
        if isinstance(value, dict):
            options = {k: v for k, v in value.get("config", {}).items() if k != "dtype"}
            return getattr(keras.initializers, value["class_name"])(**options)
        return keras.initializers.get(value)
    except (AttributeError, TypeError, ValueError):
        return None


def _dtype(value, name: str):
    """A dtype or a policy's name."""
    if isinstance(value, dict):
        value = value["config"].get("name") or value["config"].get("dtype")
    return value


def _accepted(cls: type, name: str, options: dict) -> dict:
    known = set()
    for base in cls.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            known.update(parameter.name for parameter in parameters)
            if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters):
                break
    if cls is layers.LeakyReLU and "alpha" in options:
        options["negative_slope"] = options.pop("alpha")
    kept = {}
    for key, value in options.items():
        if key in known - {"kwargs", "self"} and key not in ("batch_input_shape", "input_shape"):
            if value is not None:
                kept[key] = value
        elif value and not _is_without_meaning(key, value):
            raise ValueError(f"layer {name!r} ({cls.__name__}) has {key}={value!r}, not in Keras 3")
    return kept


def _is_without_meaning(key: str, value) -> bool:
    is_one_group = key == "groups" and value == 1
    return key in WITHOUT_MEANING or key.endswith("_initializer") or is_one_group


def _of_keras_1(kind: str, config: dict) -> dict:
    options = {KERAS_1_OPTIONS.get(key, key): value for key, value in config.items()}
    if "nb_row" in options:
        options["kernel_size"] = (options.pop("nb_row"), options.pop("nb_col"))
    ordering = options.pop("dim_ordering", None)
    if ordering == "th":
        raise ValueError("its images are channels-first (dim_ordering 'th')")
    if options.get("mode") == 1 and kind == "BatchNormalization":
        raise ValueError(f"layer {options['name']!r} normalises by sample (mode 1), not in Keras 3")
    for key in [key for key in options if key.startswith(("W_", "b_"))]:
        del options[key]
    if kind == "Deconvolution2D":
        options.pop("output_shape", None)
    return options


def _legal(name: str) -> str:
    return name.replace("/", ".")
