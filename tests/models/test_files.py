"""Files of Keras 1 and 2: outputs against what Keras 2 gave; and files that do not open."""

import json
import sys
import types
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from helpers import models
from helpers.models.lambdas import arithmetic

ARCHIVE = Path(__file__).parent / "files" / "keras_2.zip"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


READ = [
    "arithmetic_lambda.h5", "arithmetic_lambda.keras", "keras_1.h5", "mixed.h5", "mixed.keras",
    "nested.h5", "nested.keras", "normalization.h5", "normalization.keras", "old_activations.h5",
    "old_activations.keras", "operations.h5", "separable.h5", "separable.keras",
]  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_loaded_model_gives_what_keras_2_gave(files, name):
    model = models.load_model(files / name)
    with np.load((files / name).with_suffix(".npz")) as arrays:
        inputs = [arrays[f"x{i}"] for i in range(len(model.inputs))]
        expected = [arrays[f"y{i}"] for i in range(len(model.outputs))]
    given = keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=False))
    tolerance = 2e-3 if name.startswith("mixed") else 1e-5
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_allclose(
            np.asarray(a, "float32"), b, rtol=tolerance, atol=tolerance * np.abs(b).max()
        )


def test_what_opens_can_be_cut(files):
    model = models.load_model(files / "nested.h5")
    names = [info.name for info in models.layers(model)]
    (second,) = (name for name in names if name.startswith("base/block#2/conv2d"))
    assert {"base/stem.conv", second.replace("#2", ""), "kind", "age"} <= set(names)
    cut = models.cut_at(model, [models.Tap(second), models.Tap("kind", True)])
    assert [tuple(x.shape) for x in cut.outputs] == [(None, 10, 10, 4), (None, 3)]


def test_arithmetic_before_the_first_layer_tells_the_preprocessing(files):
    model = models.load_model(files / "keras_1.h5")
    assert models.resolve_preprocessing(model) == "0..255"
    assert models.layers(model)[0].name == "convolution2d_1"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("code_lambda.h5", "cannot be read.*Lambda.*load_model.path, trusted=True"),
        ("unknown_class.h5", "'Twice'.*register_keras_serializable"),
        ("unknown_class.keras", "'Twice'.*register_keras_serializable"),
        ("only.weights.h5", "weights only.*load_weights"),
    ],
)
def test_what_does_not_open_says_in_one_line_what_to_do(files, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        models.load_model(files / name)
    assert len(str(caught.value)) <= 300 and "\n" not in str(caught.value)


class Twice(layers.Layer):
    def call(self, x):
        return 2 * x


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_class_that_is_made_known_is_read(files, suffix):
    with keras.saving.custom_object_scope({"Twice": Twice}):
        model = models.load_model(files / f"unknown_class{suffix}")
    with np.load(files / "unknown_class.npz") as arrays:
        np.testing.assert_allclose(model(arrays["x0"]), arrays["y0"], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_of_a_trusted_file_runs(tmp_path, suffix):
    pixels = keras.Input((6, 7, 3))
    model = keras.Model(pixels, layers.Lambda(lambda x: x * 2)(pixels))
    path = tmp_path / f"code{suffix}"
    model.save(path)
    with pytest.raises(ValueError, match="Lambda.*trusted=True") as caught:
        models.load_model(path)
    assert len(str(caught.value)) <= 300
    x = np.ones((1, 6, 7, 3), "float32")
    np.testing.assert_array_equal(models.load_model(path, trusted=True)(x), 2 * x)


def test_an_unknown_class_of_keras_3_is_named(tmp_path):
    model = keras.Sequential([keras.Input((6, 7, 3)), *(layers.Conv2D(2, 1) for _ in range(60)),
                              Twice(name="twice")])  # fmt: skip
    model.save(tmp_path / "own.keras")
    with pytest.raises(ValueError, match="'Twice'.*register_keras_serializable") as caught:
        models.load_model(tmp_path / "own.keras")
    assert len(str(caught.value)) <= 300


def test_other_things_than_models_say_what_they_are(tmp_path):
    model = keras.Sequential([keras.Input((6, 7, 3)), layers.Conv2D(2, 1)])
    (tmp_path / "net.json").write_text(model.to_json())
    model.save_weights(tmp_path / "net.weights.h5")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    for name, message in {
        "net.json": "JSON.*no weights.*model_from_json",
        "net.weights.h5": "weights only",
        "saved": "SavedModel folder.*tf_keras.*save",
        ".": "folder",
        "net.tflite": r"\.keras",
    }.items():
        with pytest.raises(ValueError, match=message) as caught:
            models.load_model(tmp_path / name)
        assert len(str(caught.value)) <= 300


def test_a_live_model_of_keras_2_says_to_save_it():
    old = type("Functional", (), {"__module__": "tf_keras.src.engine.functional"})()
    with pytest.raises(ValueError, match="tf_keras.*save.*h5"):
        models.load_model(old)


@pytest.mark.parametrize(
    ("function", "program"),
    [
        (lambda x: x / 127.5 - 1.0, ["x", 127.5, "/", 1.0, "-"]),
        (lambda x: (x - 3) * 2, ["x", 3.0, "-", 2.0, "*"]),
        (lambda x: 1 - x**2, [1.0, "x", 2.0, "**", "-"]),
        (lambda x: x.mean(), None),
        (lambda x: x[0] * 2, None),
        (lambda x: 3, None),
        (lambda x, y: x + y, None),
    ],
)
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="opcodes are those up to Python 3.12")
def test_plain_arithmetic_is_read_from_bytecode(function, program):
    import base64
    import marshal

    code = marshal.dumps(function.__code__)
    for text in (base64.b64encode(code).decode(), code.decode("latin1")):
        assert arithmetic([text, None, None]) == program
        config = {"class_name": "__lambda__", "config": {"code": text}}
        assert arithmetic(config) == program
    assert arithmetic([text, None, [1]]) is None
    assert arithmetic(["no code", None, None]) is None
    assert arithmetic(types.SimpleNamespace()) is None


def test_a_model_of_keras_2_is_saved_and_read_again(files, tmp_path):
    for name in ("keras_1.h5", "arithmetic_lambda.keras"):
        model = models.load_model(files / name)
        model.save(tmp_path / "again.keras")
        again = models.load_model(tmp_path / "again.keras")
        x = np.random.default_rng(0).uniform(0, 255, (1, *model.input_shape[1:]))
        np.testing.assert_array_equal(again(x), model(x))
        assert json.loads(again.to_json())
