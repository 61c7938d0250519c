"""Maps of signals, volumes, many channels, held inputs, own preprocessing and relative weights.

Activations are worked out by NumPy on the map in the model's own input range, `raw`.
"""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from helpers import maps, models
from helpers.maps.parametrizations import start_noise
from helpers.sweeps import Study

QUICK = {"steps": 2, "tv_weights": 1e-3, "lp_weights": 1e-3, "progress": False}


def windows_mean(images, layer):
    """Mean over positions of a valid convolution's linear outputs, (units,), by NumPy."""
    kernel, bias = (np.asarray(ops.cast(w, "float64")) for w in layer.get_weights())
    space = kernel.ndim - 2
    axes = tuple(range(space))
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel.shape[:space], axes)
    letters = "ijk"[:space]
    each = np.einsum(f"...c{letters},{letters}cu->...u", windows.astype("float64"), kernel)
    return (each + bias).reshape(-1, kernel.shape[-1]).mean(0)


def conv_net(shape, kind=layers.Conv2D, **options):
    keras.utils.set_random_seed(0)
    conv = kind(3, 3, bias_initializer="random_normal", name="conv", **options)
    return keras.Sequential([keras.Input(shape), conv])


@pytest.mark.parametrize(
    ("shape", "kind", "dims", "maker"),
    [
        ((20, 2), layers.Conv1D, ("time", "channel"), "happy"),
        ((20, 2), layers.Conv1D, ("time", "channel"), "robust"),
        ((5, 6, 7, 1), layers.Conv3D, ("depth", "height", "width", "channel"), "happy"),
        ((5, 6, 7, 1), layers.Conv3D, ("depth", "height", "width", "channel"), "robust"),
        ((8, 9, 4), layers.Conv2D, ("height", "width", "channel"), "robust"),
        ((8, 9, 7), layers.Conv2D, ("height", "width", "channel"), "happy"),
    ],
)
def test_maps_of_any_rank_and_channels_raise_what_the_model_computes(shape, kind, dims, maker):
    model = conv_net(shape, kind)
    if maker == "happy":
        made = maps.happy_maps(model, "conv", [2], preprocessing="-1..1", **QUICK)
    else:
        made = maps.maximize(
            model,
            maps.Unit("conv", 2),
            steps=4,
            wake_steps=0,
            transforms=(),
            preprocessing="-1..1",
            progress=False,
        )
    for name in ("raw", "display"):
        assert made[name].dims[-len(dims) :] == dims
        assert made[name].shape[-len(shape) :] == shape
    expected = windows_mean(made["raw"].values.reshape(shape), model.get_layer("conv"))[2]
    assert float(made["activation_raw"].squeeze()) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert bool(made["raised"].all())


def test_inputs_that_are_not_the_image_are_held_at_what_is_given():
    image, numbers = keras.Input((6, 6, 1), name="image"), keras.Input((2,), name="numbers")
    mean = layers.GlobalAveragePooling2D()(image)
    model = keras.Model([image, numbers], layers.Dense(1, name="out")(ops.append(mean, numbers, 1)))
    model.layers[-1].set_weights([np.array([[2.0], [30.0], [400.0]]), np.array([1.0])])

    for held, more in (({"numbers": [5, 7]}, 30 * 5 + 400 * 7), (None, 0)):
        made = maps.happy_maps(model, "out", preprocessing="0..1", held=held, **QUICK)
        expected = 2 * float(made["raw"].mean()) + more + 1
        assert float(made["activation_raw"].squeeze()) == pytest.approx(expected, rel=1e-5)


def yuv(pixels):
    """Y of ITU-R BT.601; U and V around 128, as OpenCV has them; then 0..255 to -1..1."""
    red, green, blue = np.moveaxis(pixels.astype("float64"), -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    values = np.stack([y, 0.492 * (blue - y) + 128, 0.877 * (red - y) + 128], -1)
    return values / 127.5 - 1


@pytest.mark.parametrize(
    ("preprocessing", "by_hand"),
    [
        (lambda x: (x - 100) / 50, lambda x: (x - 100) / 50),
        (layers.Rescaling(1 / 50, -2), lambda x: x / 50 - 2),
        (models.Standardized((0.1, 0.2, 0.3), (0.5, 0.4, 0.2)),
         lambda x: (x / 255 - (0.1, 0.2, 0.3)) / (0.5, 0.4, 0.2)),
        ("YUV -1..1", yuv),
        ("BGR 0..1", lambda x: x[..., ::-1] / 255),
    ],
    ids=["function", "layer", "mean and sd", "YUV", "BGR"],
)  # fmt: skip
def test_the_display_is_in_true_colours_and_raw_in_what_the_model_expects(preprocessing, by_hand):
    model = conv_net((6, 7, 3))
    given = {"preprocessing": preprocessing, "pixels": "bounded"}
    made = maps.happy_maps(model, "conv", [1], **QUICK, **given).squeeze()
    raw = by_hand(made["display"].values)
    np.testing.assert_allclose(made["raw"], raw, atol=2e-3)
    expected = windows_mean(raw, model.get_layer("conv"))[1]
    assert float(made["activation_display"]) == pytest.approx(expected, rel=5e-3, abs=1e-4)


def test_a_function_that_cannot_take_pixels_says_so_in_short():
    def flat(x):
        return ops.reshape(x, (-1,))

    def torch_like(x):
        return x.permute(0, 3, 1, 2)

    for function, message in ((flat, "must keep the shape"), (torch_like, "must take pixels")):
        with pytest.raises(ValueError, match=message) as caught:
            maps.happy_maps(conv_net((6, 7, 3)), "conv", preprocessing=function, **QUICK)
        assert len(str(caught.value)) <= 300


def test_means_of_a_float16_layer_neither_overflow_nor_lose_their_gradient():
    """The sum over 400 positions of 3000 is beyond float16, a gradient of 2e-8 below it."""
    keras.utils.set_random_seed(0)
    conv = layers.Conv2D(2, 1, bias_initializer="zeros", name="conv", dtype="float16")
    stack = [conv, layers.GlobalAveragePooling2D(name="mean", dtype="float16")]
    model = keras.Sequential([keras.Input((20, 20, 1)), *stack])
    conv.set_weights([np.full((1, 1, 1, 2), 2e-3), np.full(2, 3000.0)])
    for layer in ("conv", "mean"):
        made = maps.happy_maps(model, layer, [0], preprocessing="0..1", **QUICK).squeeze()
        assert float(made["activation_seed"]) == pytest.approx(3000, rel=1e-3)
        kernel = float(np.float16(2e-3))
        assert float(made["gradient_seed"]) == pytest.approx(kernel / 255 / 400, rel=1e-3)


# --- relative weights


def numerical_gradient_rms(function, image, step=1.0):
    gradient = np.zeros(image.shape)
    for at in np.ndindex(image.shape):
        ahead, behind = image.astype("float64"), image.astype("float64")
        ahead[at] += step
        behind[at] -= step
        gradient[at] = (function(ahead) - function(behind)) / (2 * step)
    return np.sqrt((gradient**2).mean())


def tv(x):
    return ((x[1:, :-1] - x[:-1, :-1]) ** 2 + (x[:-1, 1:] - x[:-1, :-1]) ** 2).sum() / x.size


def lp(x):
    return (x**6).sum() ** (1 / 6) / x.size


def test_a_relative_weight_is_a_ratio_of_gradients_at_the_seed_input():
    model = conv_net((7, 6, 1))
    made = maps.happy_maps(
        model,
        "conv",
        preprocessing="0..1",
        weights="relative",
        tv_weights=[0.1, 0.2],
        lp_weights=[0.5],
        steps=1,
        progress=False,
    )
    x = start_noise(0, (7, 6, 1))
    for unit in range(3):

        def score(x, unit=unit):
            return windows_mean(x / 255, model.get_layer("conv"))[unit]

        objective = numerical_gradient_rms(score, x)
        absolute = made.sel(unit=unit, lp_weight=0.5, seed=0)
        wanted_tv = objective / numerical_gradient_rms(tv, x)
        wanted_lp = objective / numerical_gradient_rms(lp, x, step=1e-2)
        np.testing.assert_allclose(
            absolute["absolute_tv_weight"], np.array([0.1, 0.2]) * wanted_tv, rtol=1e-3
        )
        np.testing.assert_allclose(absolute["absolute_lp_weight"], 0.5 * wanted_lp, rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_one_relative_weight_raises_the_units_of_models_of_any_scale(scale):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((12, 12, 3)), layers.Rescaling(1 / 127.5, -1),
         layers.Conv2D(4, 3, activation="elu", name="first"),
         layers.Conv2D(6, 3, activation="elu", name="conv"),
         layers.Activation(lambda x: scale * x, name="end")]
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = maps.happy_maps(
            model,
            "end",
            weights="relative",
            tv_weights=0.1,
            lp_weights=0.1,
            steps=20,
            progress=False,
        )
    assert bool(made["raised"].all())


# --- in a sweep


STUDY = """
[models.tiny]
main = "tiny.keras"

[grids.end]
layer = "head/out"
steps = 2
weights = "relative"
tv_weights = 0.1
lp_weights = [0.1, 0.2]
size = [9, 10]
preprocessing = { mean = [0.5, 0.4, 0.3], sd = 0.25 }
held = { numbers = [1.0, 2.0] }
"""


def test_a_stored_sweep_takes_all_that_a_call_does(tmp_path: Path):
    keras.utils.set_random_seed(0)
    image, numbers = keras.Input((None, None, 3), name="image"), keras.Input((2,), name="numbers")
    mean = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(image))
    head = keras.Sequential([keras.Input((5,)), layers.Dense(2, name="out")], name="head")
    model = keras.Model([image, numbers], head(layers.Concatenate()([mean, numbers])))
    model.save(tmp_path / "tiny.keras")
    (tmp_path / "study.toml").write_text(STUDY)
    study = Study(tmp_path / "study.toml", "tiny")
    stored = study.maps("end", progress=False)
    direct = maps.happy_maps(
        model,
        "head/out",
        steps=2,
        weights="relative",
        tv_weights=0.1,
        lp_weights=[0.1, 0.2],
        size=(9, 10),
        preprocessing=models.Standardized((0.5, 0.4, 0.3), 0.25),
        held={"numbers": [1, 2]},
        progress=False,
    )
    assert stored["raw"].shape == (2, 1, 2, 1, 9, 10, 3)
    for name in ("raw", "display", "activation_raw", "absolute_tv_weight", "absolute_lp_weight"):
        np.testing.assert_allclose(stored[name], direct[name], rtol=1e-4, atol=1e-5)
    assert study.open("end").sizes == stored.sizes
