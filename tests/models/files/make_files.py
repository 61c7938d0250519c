"""Makes keras_2.zip beside it with Keras 2 (in an environment of its own: pip install tf_keras).

Each NAME.h5 or NAME.keras in it has random weights of a fixed seed, and NAME.npz the inputs x0, x1
... and what Keras 2 gives for them, y0, y1 ...
"""

import json
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

HERE = Path(tempfile.mkdtemp())


def separable():
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomContrast(0.1),
            layers.Rescaling(1 / 127.5, -1),
            layers.Conv2D(4, 3, padding="same", groups=1, activation="relu"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.BatchNormalization(),
            layers.LeakyReLU(alpha=0.2),
            layers.SeparableConv2D(4, 3, padding="same", activation="elu"),
            layers.SpatialDropout2D(0.2),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="tanh"),
            layers.LayerNormalization(),
            layers.ReLU(max_value=6.0, negative_slope=0.1, threshold=0.05),
            layers.ThresholdedReLU(theta=0.1),
            layers.AveragePooling2D(2),
            layers.ELU(alpha=0.5),
            layers.PReLU(shared_axes=[1, 2]),
            layers.GaussianNoise(0.1),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(3),
            layers.Softmax(),
        ]
    )


def old_activations():
    """Activation functions that Keras 3 defines otherwise, or has under other names."""
    i = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255)(i)
    x = layers.Conv2D(4, 3, activation="hard_sigmoid")(x)
    x = layers.Activation("swish")(layers.Conv2D(4, 1)(x))
    x = layers.Conv2D(4, 1, activation=layers.LeakyReLU(alpha=0.3))(x)
    x = layers.TimeDistributed(layers.Dense(3, activation="gelu"))(layers.Reshape((36, 4))(x))
    x = layers.Bidirectional(layers.GRU(3, recurrent_activation="hard_sigmoid"))(x)
    shared = layers.Dense(6, activation=tf.nn.relu6)
    return keras.Model(i, layers.Multiply()([shared(x), shared(shared(x))]))


def normalization():
    first = layers.Normalization()
    first.adapt(np.random.default_rng(0).beta(2, 2, (50, 8, 8, 3)).astype("float32"))
    return keras.Sequential([keras.Input((8, 8, 3)), first, layers.Conv2D(2, 3)])


def nested():
    i = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, name="stem/conv")(i)
    x = layers.BatchNormalization(name="stem/bn")(x)
    block = keras.Sequential(
        [layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()],
        name="block",
    )
    x = layers.Add()([block(x), x])
    x = block(x)
    base = keras.Model(i, x, name="base")
    base.trainable = False
    pixels = keras.Input((12, 12, 3), name="image")
    numbers = keras.Input((2,), name="numbers")
    x = base(layers.Rescaling(1 / 255)(pixels), training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Concatenate()([x, layers.Dense(2, name="of_numbers")(numbers)])
    x = layers.Dropout(0.2)(x)
    kind = layers.Dense(3, activation="softmax", name="kind")(x)
    return keras.Model([pixels, numbers], [kind, layers.Dense(1, name="age")(x)])


def mixed():
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="swish"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, dtype="float32", activation="softmax"),
        ]
    )
    keras.mixed_precision.set_global_policy("float32")
    return model


def operations():
    i = keras.Input((8, 8, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(i)
    y = layers.Conv2D(4, 3, padding="same")(x)
    y = tf.nn.relu(y) + 0.5 * y
    y = 1 - y * y / 4
    z = keras.applications.resnet50.preprocess_input(i) / 128
    y = tf.concat([y, z, i[..., :2] / 255], axis=-1)
    y = y - tf.reduce_mean(y, axis=[1, 2], keepdims=True)
    y = tf.math.sigmoid(-y)
    y = tf.reshape(y, (-1, 64, 9))
    y = tf.transpose(y, (0, 2, 1))
    y = tf.expand_dims(tf.reduce_max(y, axis=-1), 1)
    y = tf.squeeze(y, axis=1)
    return keras.Model(i, tf.nn.softmax(layers.Dense(3)(y)))


def arithmetic_lambda():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Lambda(lambda x: x / 127.5 - 1),
            layers.Conv2D(2, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(2, name="out"),
        ]
    )


def code_lambda():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Lambda(lambda x: tf.image.rgb_to_grayscale(x), name="gray"),
            layers.Conv2D(2, 3, name="conv"),
        ]
    )


class Twice(layers.Layer):
    def call(self, x):
        return 2 * x


def unknown_class():
    return keras.Sequential([keras.Input((8, 8, 3)), Twice(name="twice"), layers.Conv2D(2, 3)])


MODELS = {
    "separable": separable, "old_activations": old_activations, "normalization": normalization,
    "nested": nested, "mixed": mixed, "operations": operations,
    "arithmetic_lambda": arithmetic_lambda, "code_lambda": code_lambda,
    "unknown_class": unknown_class,
}  # fmt: skip


def randomised(model):
    draw = np.random.default_rng(0)
    model.set_weights(
        [
            draw.uniform(0.5, 1.5, w.shape) if "variance" in v.name or "gamma" in v.name
            else draw.normal(0, 0.3, w.shape) if w.dtype.kind == "f" and v.name != "mean:0" else w
            for v, w in zip(model.weights, model.get_weights(), strict=True)
        ]
    )  # fmt: skip
    return model


def store(name, model):
    draw = np.random.default_rng(1)
    xs = [draw.uniform(0, 255, (2, *x.shape[1:])).astype("float32") for x in model.inputs]
    ys = model(xs if len(xs) > 1 else xs[0], training=False)
    ys = [np.asarray(y, "float32") for y in (ys if isinstance(ys, (list, tuple)) else [ys])]
    arrays = {f"x{i}": x for i, x in enumerate(xs)} | {f"y{i}": y for i, y in enumerate(ys)}
    np.savez_compressed(HERE / f"{name}.npz", **arrays)


def keras_1():
    """What Keras 1.2 wrote: its names of layers, options and weights (no Keras 1 runs any more)."""
    old_code = (  # `lambda x: x / 127.5 - 1.0` as Python 3.5 compiled it
        b"\xe3\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00S\x00\x00\x00s\x0c"
        b"\x00\x00\x00|\x00\x00d\x01\x00\x1bd\x02\x00\x18S)\x03N\xe7\x00\x00\x00\x00\x00\xe0_@\xe7"
        b"\x00\x00\x00\x00\x00\x00\xf0?\xa9\x00)\x01\xda\x01xr\x03\x00\x00\x00r\x03\x00\x00\x00\xfa"
        b'\x08model.py\xda\x08<lambda>"\x00\x00\x00s\x00\x00\x00\x00'
    ).decode("latin1")
    model = randomised(
        keras.Sequential(
            [
                keras.Input((12, 12, 3)),
                layers.Rescaling(1 / 127.5, -1),
                layers.ZeroPadding2D(1),
                layers.Conv2D(4, (3, 2), strides=2, padding="same", activation="elu"),
                layers.BatchNormalization(epsilon=1e-5),
                layers.ELU(),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(3, activation="softmax"),
            ]
        )
    )
    common = {"trainable": True}
    listed = [
        ("Lambda", "lambda_1", {"function": [old_code, None, None], "function_type": "lambda",
            "arguments": {}, "output_shape": None, "output_shape_type": "raw",
            "input_dtype": "float32", "batch_input_shape": [None, 12, 12, 3]}),
        ("ZeroPadding2D", "zeropadding2d_1", {"padding": [1, 1], "dim_ordering": "tf"}),
        ("Convolution2D", "convolution2d_1", {"nb_filter": 4, "nb_row": 3, "nb_col": 2,
            "subsample": [2, 2], "border_mode": "same", "dim_ordering": "tf", "bias": True,
            "activation": "elu", "init": "glorot_uniform", "W_regularizer": None,
            "b_regularizer": None, "activity_regularizer": None, "W_constraint": None,
            "b_constraint": None}),
        ("BatchNormalization", "batchnormalization_1", {"mode": 0, "axis": -1, "epsilon": 1e-5,
            "momentum": 0.99, "gamma_regularizer": None, "beta_regularizer": None}),
        ("ELU", "elu_1", {"alpha": 1.0}),
        ("MaxPooling2D", "maxpooling2d_1", {"pool_size": [2, 2], "strides": [2, 2],
            "border_mode": "valid", "dim_ordering": "tf"}),
        ("Flatten", "flatten_1", {}),
        ("Dropout", "dropout_1", {"p": 0.5}),
        ("Dense", "dense_1", {"output_dim": 3, "input_dim": 36, "bias": True, "init": "zero",
            "activation": "softmax", "W_regularizer": None, "b_regularizer": None,
            "activity_regularizer": None, "W_constraint": None, "b_constraint": None}),
    ]  # fmt: skip
    config = [
        {"class_name": kind, "config": {"name": name, **common, **options}}
        for kind, name, options in listed
    ]
    weights = {
        "convolution2d_1": ("W", "b"),
        "batchnormalization_1": ("gamma", "beta", "running_mean", "running_std"),
        "dense_1": ("W", "b"),
    }
    with_weights = iter([layer for layer in model.layers if layer.weights])
    with h5py.File(HERE / "keras_1.h5", "w") as file:
        file.attrs["keras_version"] = b"1.2.1"
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": config}
        ).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for _, name, _ in listed]
        for _, name, _ in listed:
            part = group.create_group(name)
            names = [f"{name}_{weight}:0".encode() for weight in weights.get(name, ())]
            part.attrs["weight_names"] = names
            if names:
                for weight, values in zip(names, next(with_weights).get_weights(), strict=True):
                    part[weight] = values
    store("keras_1", model)


def main():
    for name, build in MODELS.items():
        model = randomised(build())
        store(name, model)
        model.save(HERE / f"{name}.h5", include_optimizer=False)
        if name not in ("operations", "code_lambda"):
            model.save(HERE / f"{name}.keras")
    randomised(separable()).save_weights(HERE / "only.weights.h5")
    keras_1()
    with zipfile.ZipFile(
        Path(__file__).with_name("keras_2.zip"), "w", zipfile.ZIP_DEFLATED, compresslevel=9
    ) as archive:
        for path in sorted(HERE.iterdir()):
            archive.write(path, path.name)


if __name__ == "__main__":
    main()
