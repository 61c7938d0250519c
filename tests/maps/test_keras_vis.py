import gc
import subprocess
import sys

import keras
import matplotlib
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image
from tensorflow.python.framework.func_graph import FuncGraph

from helpers.maps import keras_vis
from helpers.maps.keras_vis import activation_map, visualize_activation

SHAPES = {"gray": (7, 6, 1), "rgb": (7, 6, 3)}


def pictures(shape, seed=1):
    return np.random.default_rng(seed).uniform(60, 200, shape).astype("float32")


def net(kind="conv", shape=SHAPES["rgb"], form="functional"):
    """One layer with hand-made weights, small enough for a softmax of pixels 0..255."""
    rng = np.random.default_rng(0)
    layers = {
        "conv": [keras.layers.Conv2D(2, 1)],
        "dense": [keras.layers.Flatten(), keras.layers.Dense(2)],
        "softmax": [keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")],
    }[kind]
    if form == "sequential":
        model = keras.Sequential([keras.Input(shape), *layers])
    else:
        x = y = keras.Input(shape)
        for layer in layers:
            y = layer(y)
        model = keras.Model([x] if form == "list" else x, y)
    kernel, bias = layers[-1].get_weights()
    layers[-1].set_weights([rng.normal(0, 0.005, kernel.shape), bias + 0.25])
    return model


def activation_by_hand(kind, model, unit, x):
    """The unit's mean over positions and its gradient, from the weights alone."""
    kernel, bias = (w.astype("float64") for w in model.layers[-1].get_weights())
    if kind == "conv":
        positions = x.shape[0] * x.shape[1]
        value = (x @ kernel[0, 0, :, unit] + bias[unit]).mean()
        return value, np.broadcast_to(kernel[0, 0, :, unit] / positions, x.shape)
    if kind == "dense":
        return x.ravel() @ kernel[:, unit] + bias[unit], kernel[:, unit].reshape(x.shape)
    odds = np.exp(x.ravel() @ kernel + bias)
    p = odds / odds.sum()
    return p[unit], (p[unit] * (kernel[:, unit] - kernel @ p)).reshape(x.shape)


def search_by_hand(kind, model, unit, x, act, lp, tv, steps):
    """keras-vis 0.4.1 in float64 NumPy: optimizer.py, regularizers.py, utils.deprocess_input."""
    x, n = x.astype("float64"), x.size
    cache, traces, images = 0, [], []
    for _ in range(steps):
        value, value_gradient = activation_by_hand(kind, model, unit, x)
        power = (np.abs(x) ** 6).sum()
        down, right = x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]
        parts = [-act * value, lp * power ** (1 / 6) / n, tv * (down**2 + right**2).sum() / n]
        traces.append([*parts, sum(parts)])

        g = -act * value_gradient + lp / n * power ** (1 / 6 - 1) * np.sign(x) * np.abs(x) ** 5
        g[1:, :-1] += tv / n * 2 * down
        g[:-1, 1:] += tv / n * 2 * right
        g[:-1, :-1] -= tv / n * 2 * (down + right)
        g = g / (np.sqrt((g**2).mean()) + 1e-7)
        cache = 0.95 * cache + 0.05 * g**2
        x = x - g / np.sqrt(cache + 1e-7)
        images.append(x)
    traces = np.array(traces)
    return traces, images, images[int(traces[:, -1].argmin())]


def shown(raw):
    return 255 * np.clip((raw - raw.mean()) / raw.std() * 0.1 + 0.5, 0, 1)


class Watch(keras_vis.OptimizerCallback):
    def __init__(self):
        self.losses, self.names, self.inputs, self.ended = [], [], [], 0

    def callback(self, i, named_losses, overall_loss, grads, wrt_value):
        self.losses.append(overall_loss)
        self.names.append([name for name, _ in named_losses])
        self.inputs.append(wrt_value)

    def on_end(self):
        self.ended += 1


@pytest.mark.parametrize(
    ("kind", "colour", "form", "act"),
    [
        ("conv", "rgb", "functional", 1),
        ("conv", "gray", "sequential", -20),
        ("dense", "gray", "functional", 5),
        ("dense", "rgb", "sequential", -3),
        ("softmax", "rgb", "list", 300),
        ("softmax", "gray", "sequential", 300),
    ],
)
def test_losses_and_pictures_are_those_of_the_formulas(kind, colour, form, act):
    model, seed = net(kind, SHAPES[colour], form), pictures(SHAPES[colour])
    weights = {"act": act, "lp": 8, "tv": 0.01}
    traces, images, kept = search_by_hand(kind, model, 1, seed, **weights, steps=6)
    seen = []
    found = activation_map(
        model,
        len(model.layers) - 1,
        1,
        seed,
        **{f"{name}_weight": weight for name, weight in weights.items()},
        steps=6,
        on_step=lambda i, image: seen.append((i, image)),
    )
    parts = [found.parts[name] for name in ("activation", "lp_norm", "tv")]
    np.testing.assert_allclose(np.stack([*parts, found.loss], 1), traces, rtol=2e-4)
    assert [i for i, _ in seen] == list(range(6))
    np.testing.assert_allclose([image for _, image in seen], images, atol=0.02)
    np.testing.assert_allclose(found.raw, kept, atol=0.02)
    np.testing.assert_allclose(found.display, shown(found.raw.astype("float64")), atol=1)
    assert found.raw.dtype == "float32" and found.display.dtype == "uint8"
    assert found.loss.dtype == "float32" and found.loss.shape == (6,)


def test_the_kept_picture_is_the_one_after_the_step_of_the_lowest_loss():
    images = []
    found = activation_map(
        net(),
        1,
        0,
        np.full(SHAPES["rgb"], 2.0),
        act_weight=0,
        tv_weight=0,
        steps=4,
        on_step=lambda i, image: images.append(image),
    )
    assert found.loss.argmin() == 2
    np.testing.assert_array_equal(found.raw, images[2])
    assert not found.parts["activation"].any() and not found.parts["tv"].any()


def test_the_map_is_the_genuine_functions():
    model, seed = net("dense"), pictures(SHAPES["rgb"])
    found = activation_map(model, 2, 1, seed, act_weight=4, lp_weight=2, tv_weight=0.5, steps=5)
    direct = visualize_activation(model, 2, 1, seed, (0, 255), None, None, 4, 2, 0.5, max_iter=5)
    np.testing.assert_array_equal(found.display, direct)


def test_layers_work_as_at_inference():
    x = keras.Input(SHAPES["gray"])
    y = keras.layers.BatchNormalization(moving_mean_initializer="ones")(x)
    y = keras.layers.Dropout(0.9)(keras.layers.Conv2D(2, 3)(y))
    model, seed = keras.Model(x, y), pictures(SHAPES["gray"])
    found = activation_map(model, 3, 1, seed, lp_weight=0, tv_weight=0, steps=1)
    expected = model.predict(seed[None], verbose=0)[..., 1].mean()
    assert found.loss[0] == pytest.approx(-expected, rel=1e-5)


def test_a_layer_in_the_middle_of_a_sequential_built_by_a_call():
    model = keras.Sequential([keras.layers.Conv2D(2, 3), keras.layers.Conv2D(1, 3)])
    seed = pictures(SHAPES["gray"])
    model(seed[None])
    found = activation_map(model, 0, 1, seed, lp_weight=0, tv_weight=0, steps=1)
    assert found.loss[0] == pytest.approx(-np.mean(model.layers[0](seed[None])[..., 1]), rel=1e-5)


@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_filter_indices_sums_units_and_none_is_the_mean_of_all(kind):
    model, seed = net(kind), pictures(SHAPES["rgb"])
    units = [activation_by_hand(kind, model, unit, seed)[0] for unit in (0, 1)]
    index = len(model.layers) - 1
    for filter_indices, expected in (
        (None, np.mean(units)),
        ([0, 1], sum(units)),
        (np.int64(1), units[1]),
    ):
        watch = Watch()
        visualize_activation(
            model, index, filter_indices, seed, callbacks=[watch], max_iter=1, **only_activation()
        )
        assert watch.losses[0] == pytest.approx(-expected, rel=1e-4)


def only_activation():
    return {"lp_norm_weight": 0, "tv_weight": 0}


def test_negate_turns_the_regularizers_round_as_well():
    model, seed = net(), pictures(SHAPES["rgb"])
    weights = {"act_max_weight": 3, "lp_norm_weight": 5, "tv_weight": 0.1}
    negated, opposite, plain = Watch(), Watch(), Watch()
    visualize_activation(
        model, 1, 0, seed, grad_modifier="negate", callbacks=[negated], max_iter=4, **weights
    )
    visualize_activation(model, 1, 0, seed, callbacks=[plain], max_iter=4, **weights)
    weights = {name: -weight for name, weight in weights.items()}
    visualize_activation(model, 1, 0, seed, callbacks=[opposite], max_iter=4, **weights)
    np.testing.assert_array_equal(negated.inputs, opposite.inputs)
    assert negated.losses[0] == plain.losses[0] and negated.losses[3] > plain.losses[3]


def test_jitter_shifts_the_picture_before_each_step():
    seed, watch = pictures(SHAPES["rgb"]), Watch()
    np.random.seed(4)
    jitter = [keras_vis.Jitter(2)]
    visualize_activation(net(), 1, 0, seed, input_modifiers=jitter, callbacks=[watch], max_iter=1)
    down, right = np.random.RandomState(4).randint(-2, 3, 2)
    assert (down, right) != (0, 0)
    shifted = scipy.ndimage.shift(seed, (down, right, 0), mode="wrap", order=0)
    np.testing.assert_array_equal(watch.inputs[0][0], shifted)


def test_verbose_prints_each_loss_and_callbacks_see_them_too(capsys):
    watches = [Watch(), Watch()]
    visualize_activation(net(), 1, 0, callbacks=watches, max_iter=2, verbose=True)
    out = capsys.readouterr().out
    names = ["ActivationMax Loss", "L-6.0 Norm Loss", "TV(2.0) Loss"]
    assert out.count("Iteration: ") == 2 and all(out.count(name) == 2 for name in names)
    assert len(watches) == 2
    assert all(watch.names == [names] * 2 and watch.ended == 1 for watch in watches)
    visualize_activation(net(), 1, 0, max_iter=1)
    assert capsys.readouterr().out == ""


def test_the_seed_input_is_where_the_search_starts_and_stays_as_it_is():
    seed, watch = pictures(SHAPES["gray"]), Watch()
    before = seed.copy()
    model = net("dense", SHAPES["gray"])
    visualize_activation(model, 2, 0, seed, callbacks=[watch], max_iter=3)
    activation_map(model, 2, 0, seed, steps=3)
    np.testing.assert_array_equal(seed, before)
    np.testing.assert_array_equal(watch.inputs[0][0], before)
    assert (watch.inputs[0] != watch.inputs[1]).any()


def test_without_a_seed_input_the_search_starts_from_noise_in_the_range():
    watch = Watch()
    found = visualize_activation(
        net(), 1, 0, input_range=(-1.0, 1.0), callbacks=[watch], max_iter=1
    )
    assert watch.inputs[0].mean() == pytest.approx(0, abs=1e-5)
    assert watch.inputs[0].std() == pytest.approx(0.1, rel=1e-4)
    assert found.dtype != "uint8" and -1 <= found.min() < found.max() <= 1
    assert found.mean() == pytest.approx(0, abs=0.02)


def test_losses_of_ones_own():
    class Brightness(keras_vis.Loss):
        def __init__(self, x):
            super().__init__()
            self.name, self.x = "brightness", x

        def build_loss(self):
            return keras.ops.mean(self.x)

    model, seed, watch = net(), pictures(SHAPES["rgb"]), Watch()
    x = model.inputs[0]
    found = keras_vis.visualize_activation_with_losses(
        x,
        [
            (Brightness(x), 2),
            (keras_vis.LPNorm(x, p=np.inf), 1),
            (keras_vis.TotalVariation(x), 0),
            (keras_vis.ActivationMaximization(model.layers[1], 0), 1),
        ],
        seed,
        max_iter=1,
        callbacks=[watch],
    )
    assert found.shape == SHAPES["rgb"] and found.dtype == "uint8"
    assert watch.names == [["brightness", "L-inf Norm Loss", "ActivationMax Loss"]]
    expected = 2 * seed.mean() + seed.max() / seed.size
    expected -= activation_by_hand("conv", model, 0, seed)[0]
    assert watch.losses[0] == pytest.approx(expected, rel=1e-5)


NO_TRACE = """
import collections, sys, warnings
import {first}scipy.ndimage
import matplotlib.font_manager, skimage.io, skimage.transform, tensorflow
before = dict(sys.modules)
names = {{module: set(vars(module)) for module in (collections, scipy, scipy.ndimage)}}
sys.pycache_prefix = {cache!r}  # so that keras-vis is compiled, which warns of its escapes
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import helpers.maps.keras_vis
assert not [str(w.message) for w in caught if "/vis/" in w.filename], caught
traces = [name for name in sys.modules if name.split(".")[0] == "vis"]
assert not traces, traces
for name in ("layers.convolutional", "layers.pooling", "layers.wrappers"):
    assert "keras." + name not in sys.modules, name
for name in ("scipy.misc", "scipy.ndimage.interpolation"):
    assert sys.modules.get(name) is before.get(name), name
for name, module in before.items():
    assert sys.modules[name] is module, name
for module, known in names.items():
    assert not {{"Iterable", "misc", "imresize"}} & (set(vars(module)) - known), module
import keras
assert keras.__version__.startswith("3") and sys.modules["keras.backend"] is keras.backend
assert keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).count_params() == 3
keras.layers.Wrapper
print("clean")
"""


@pytest.mark.parametrize("first", ["", "keras, "])
def test_importing_leaves_no_trace(tmp_path, first):
    script = NO_TRACE.format(first=first, cache=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "clean", done.stderr


def alive():
    gc.collect()
    kinds = (FuncGraph, keras.Function, keras.Operation, keras.KerasTensor)
    objects = gc.get_objects()
    return {kind.__name__: sum(isinstance(one, kind) for one in objects) for kind in kinds}


def test_thirty_searches_leave_nothing_behind():
    model, seed = net(form="sequential"), pictures(SHAPES["rgb"])
    x = model.inputs[0]
    before = alive()
    for i in range(15):
        activation_map(model, 0, i % 2, seed, steps=2)
        loss = keras_vis.ActivationMaximization(model.layers[0], 0)
        keras_vis.visualize_activation_with_losses(
            x, [(loss, 1), (keras_vis.LPNorm(x), i + 1)], seed, max_iter=2
        )
    assert alive() == before


def test_on_step_may_stop_the_search():
    class StopError(Exception):
        pass

    def on_step(i, image):
        if i == 2:
            raise StopError

    model = net()
    before = alive()
    with pytest.raises(StopError):
        activation_map(model, 1, 0, pictures(SHAPES["rgb"]), on_step=on_step)
    assert alive() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unit": 2}, "filter_indices must be 0 to 1, got 2"),
        ({"layer_idx": 2}, "layer_idx must be -2 to 1, got 2"),
        ({"steps": 0}, "steps must be 1 or more, got 0"),
        ({"tv_weight": None}, "tv_weight must be a finite number, got None"),
        ({"lp_weight": np.nan}, "lp_weight must be a finite number, got nan"),
        (
            {"act_weight": 0, "lp_weight": 0, "tv_weight": 0},
            "one of act_weight, lp_weight, tv_weight must not be 0",
        ),
        (
            {"seed_input": np.ones((6, 7, 3))},
            r"seed_input must have shape \(7, 6, 3\) \(H, W, C\), got \(6, 7, 3\)",
        ),
        ({"seed_input": np.full((7, 6, 3), np.nan)}, "the search leaves no map: loss nan"),
        ({"seed_input": np.zeros((7, 6, 3))}, "the search leaves no map: loss -0.25"),
    ],
)
def test_bad_input_to_activation_map(arguments, message):
    legal = {"layer_idx": 1, "unit": 0, "seed_input": pictures(SHAPES["rgb"]), "steps": 2}
    with pytest.raises(ValueError, match=message):
        activation_map(net(), **legal | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backprop_modifier": "gated"}, "backprop_modifier must be one of .*got 'gated'"),
        ({"filter_indices": []}, r"filter_indices must be 0 to 1, got \[\]"),
        ({"filter_indices": [0, -1]}, r"filter_indices must be 0 to 1, got \[0, -1\]"),
        ({"act_max_weight": "1"}, "act_max_weight must be a finite number, got '1'"),
    ],
)
def test_bad_input_to_visualize_activation(arguments, message):
    with pytest.raises(ValueError, match=message):
        visualize_activation(net(), 1, **arguments)


def test_a_weight_of_none_among_losses():
    model = net()
    losses = [(keras_vis.LPNorm(model.inputs[0]), None)]
    with pytest.raises(ValueError, match="weight of L-6.0 Norm Loss must be a finite number"):
        keras_vis.visualize_activation_with_losses(model.inputs[0], losses)


def test_models_that_cannot_be_searched():
    one, other = keras.Input((4, 4, 1)), keras.Input((4, 4, 1))
    two_inputs = keras.Model([one, other], keras.layers.Add()([one, other]))
    any_size = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1)])
    unbuilt = keras.Sequential([keras.layers.Conv2D(1, 1)])
    for model in (two_inputs, any_size, unbuilt):
        with pytest.raises(ValueError, match="model must be built and have one input of one size"):
            visualize_activation(model, 0, 0)


def looking_net(form="functional"):
    """1x1 convolutions, ReLU of three kinds, and a softmax that a backprop modifier takes away."""
    rng = np.random.default_rng(3)
    layers = [
        keras.layers.Conv2D(4, 1, activation="relu", name="first"),
        keras.layers.Conv2D(5, 1, name="second"),
        keras.layers.ReLU(name="relu"),
        keras.layers.Conv2D(3, 1, activation="tanh", name="third"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(2, activation="softmax", name="out"),
    ]
    if form == "sequential":
        model = keras.Sequential([keras.Input(SHAPES["rgb"]), *layers])
    else:
        x = y = keras.Input(SHAPES["rgb"])
        for layer in layers:
            y = layer(y)
        model = keras.Model(x, y)
    for layer in layers:
        layer.set_weights([rng.normal(0, w.shape[0] ** -0.5, w.shape) for w in layer.get_weights()])
    layers[-1].bias.assign([2.0, 2.0])  # open, once it is a ReLU
    return model


def looking_by_hand(model, x, unit, modifier):
    """Activations of `relu`, and the gradient of the unit by them and by x, in float64 NumPy.

    A modifier makes ReLUs of tanh, softmax and of the linear `second`; `first` is one anyway.
    """
    w = [layer.get_weights() for layer in model.layers if layer.get_weights()]
    (k1, b1), (k2, b2), (k3, b3), (k4, b4) = [[a.astype("float64") for a in pair] for pair in w]

    def relu_gradient(gradient, output):
        gradient = gradient * (gradient > 0) if modifier else gradient
        return gradient if modifier in ("relu", "rectified") else gradient * (output > 0)

    first = np.maximum(x @ k1[0, 0] + b1, 0)
    second = first @ k2[0, 0] + b2
    second = np.maximum(second, 0)
    third = second @ k3[0, 0] + b3
    third = np.maximum(third, 0) if modifier else np.tanh(third)
    z = third.ravel() @ k4 + b4
    if modifier:
        g = relu_gradient(np.eye(2)[unit], np.maximum(z, 0))
    else:
        p = np.exp(z) / np.exp(z).sum()
        g = p[unit] * (np.eye(2)[unit] - p)
    g = (k4 @ g).reshape(third.shape)
    g = relu_gradient(g, third) if modifier else g * (1 - third**2)
    by_relu = g @ k3[0, 0].T
    g = relu_gradient(by_relu, second)
    g = relu_gradient(g, second) if modifier else g
    g = relu_gradient(g @ k2[0, 0].T, first)
    return second, by_relu, g @ k1[0, 0].T


def stretched(array):
    return (array - array.min()) / (array.max() - array.min() + 1e-7)


def jet(heat):
    return (matplotlib.colormaps["jet"](heat)[..., :3] * 255).astype("int")


MODIFIERS = [None, "guided", "relu", "rectified"]


@pytest.mark.parametrize("form", ["functional", "sequential"])
@pytest.mark.parametrize("modifier", MODIFIERS)
def test_saliency_is_that_of_the_formula(modifier, form):
    model = looking_net(form)
    image, before = pictures(SHAPES["rgb"]) / 100, model.get_weights()
    layer = len(model.layers) - 1
    by_image = looking_by_hand(model, image.astype("float64"), 1, modifier)[2]
    seen = []

    def modify(gradient):
        seen.append(gradient[0])
        return np.abs(gradient)

    colours = keras_vis.visualize_saliency(model, layer, 1, image, modifier, modify)
    np.testing.assert_allclose(seen[0], by_image, rtol=1e-4, atol=1e-6)
    assert colours.dtype == "uint8"
    heat = stretched(np.abs(seen[0]).max(-1))
    assert np.abs(colours.astype("int") - jet(heat)).max() <= 4  # one step of jet
    kept = keras_vis.visualize_saliency(model, layer, 1, image, modifier, keepdims=True)
    np.testing.assert_allclose(kept, stretched(np.abs(by_image)), atol=1e-4)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    activations = [one.activation.__name__ for one in model.layers if hasattr(one, "activation")]
    assert activations == ["relu", "linear", "tanh", "softmax"]


@pytest.mark.parametrize("modifier", MODIFIERS)
def test_cam_is_that_of_the_formula(modifier):
    model = looking_net()
    image = pictures(SHAPES["rgb"]) / 100
    relu, by_relu, _ = looking_by_hand(model, image.astype("float64"), 1, modifier)
    seen = []

    def modify(gradient):
        seen.append(gradient[0])
        return gradient

    colours = keras_vis.visualize_cam(model, 6, 1, image, 3, modifier, modify)
    np.testing.assert_allclose(seen[0], by_relu, rtol=1e-4, atol=1e-6)
    weights = (by_relu / (by_relu.max() + 1e-7)).mean((0, 1))
    heat = np.maximum(relu @ weights, 0).astype("float32")
    resized = np.asarray(Image.fromarray(heat).resize((6, 7), Image.Resampling.BICUBIC))
    assert np.abs(colours.astype("int") - jet(stretched(resized))).max() <= 5


def test_cam_finds_the_convolution_or_pooling_that_the_package_finds():
    layers = [
        keras.layers.Conv2D(2, 1, name="conv"),
        keras.layers.MaxPooling2D(name="pool"),
        keras.layers.Activation("relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2),
    ]
    model, seen = keras.Sequential([keras.Input((8, 8, 1)), *layers]), []
    image = pictures((8, 8, 1))
    for index, shape in ((4, (4, 4)), (2, (8, 8)), (-1, (4, 4))):
        keras_vis.visualize_cam(
            model, index, 0, image, grad_modifier=lambda g: seen.append(g.shape) or g
        )
        assert seen[-1] == (1, *shape, 2)


@pytest.mark.parametrize("modifier", MODIFIERS)
def test_a_nested_model_is_a_layer_like_others(modifier):
    def layers():
        convolutions = [keras.layers.Conv2D(units, 3, activation="relu") for units in (3, 2)]
        return convolutions, [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]

    def nested_in(form):
        (first, second), last = layers()
        x, pixels = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
        base = keras.Model(x, second(first(x)))
        if form == "sequential":
            return keras.Sequential([pixels, base, *last])
        return keras.Model(pixels, last[1](last[0](base(pixels))))

    keras.utils.set_random_seed(0)
    flat = keras.Sequential([keras.Input((8, 8, 1)), *sum(layers(), [])])
    image = pictures((8, 8, 1))
    for form, at in (("functional", 1), ("sequential", 0)):
        model = nested_in(form)
        model.set_weights(flat.get_weights())
        for nested, expected in (
            (
                keras_vis.visualize_cam(model, at + 2, 1, image, at, modifier),
                keras_vis.visualize_cam(flat, 3, 1, image, 1, modifier),
            ),
            (
                keras_vis.visualize_saliency(model, at, 1, image, modifier),
                keras_vis.visualize_saliency(flat, 1, 1, image, modifier),
            ),
        ):
            assert np.ptp(expected) > 0
            np.testing.assert_array_equal(nested, expected)


def test_a_modifier_reaches_the_relus_inside_a_nested_model_and_of_a_lambda():
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4, activation="relu"), keras.layers.ReLU(6)]
    )
    x = keras.Input((2, 2, 1))
    y = inner(keras.layers.Flatten()(x))
    y = keras.layers.Lambda(lambda value: keras.ops.relu(value - 0.1))(y)
    model = keras.Model(x, keras.layers.Dense(1, use_bias=False)(y))
    positive = np.array([[1.0, -1, 1, 1]] * 4)
    inner.set_weights([positive, np.zeros(4)])
    model.layers[-1].set_weights([np.array([[1.0], [1], [-1], [2]])])
    seen = []
    for modifier in ("guided", "rectified"):
        keras_vis.visualize_saliency(
            model, 4, 0, np.ones((2, 2, 1)), modifier, lambda g: seen.append(g.ravel()) or g
        )
    np.testing.assert_allclose(seen[0], np.full(4, 3.0))  # units 0 and 3; 2 pulls down, 1 is off
    np.testing.assert_allclose(seen[1], np.full(4, 2.0))  # 0 and 3, and minus 1 of the closed one


def test_saliency_and_cam_of_losses_of_ones_own():
    class Third(keras_vis.Loss):
        def __init__(self, x):
            super().__init__()
            self.name, self.x = "third", x

        def build_loss(self):
            return keras.ops.sum(self.x[..., 2] ** 2)

    model, image = looking_net(), pictures(SHAPES["rgb"]) / 100
    x = model.inputs[0]
    heat = keras_vis.visualize_saliency_with_losses(x, [(Third(x), 1)], image, keepdims=True)
    expected = np.zeros(SHAPES["rgb"])
    expected[..., 2] = 2 * image[..., 2]
    np.testing.assert_allclose(heat, stretched(expected), atol=1e-5)
    coloured = keras_vis.visualize_saliency_with_losses(x, [(Third(x), 1)], image)
    assert np.abs(coloured.astype("int") - jet(stretched(expected[..., 2]))).max() <= 4
    losses = [(keras_vis.ActivationMaximization(model.layers[6], 1), -1)]
    np.testing.assert_array_equal(
        keras_vis.visualize_cam_with_losses(x, losses, image, model.layers[3]),
        keras_vis.visualize_cam(model, 6, 1, image, 3),
    )
    with pytest.raises(ValueError, match="must depend on"):
        keras_vis.visualize_cam_with_losses(x, [(Third(x), 1)], image, model.layers[3])


def test_looking_leaves_nothing_behind():
    model, image = looking_net(), pictures(SHAPES["rgb"]) / 100
    modules, before = set(sys.modules), None
    for i in range(6):
        for modifier in MODIFIERS:
            keras_vis.visualize_saliency(model, 6, i % 2, image, modifier, keepdims=i % 2 == 0)
            keras_vis.visualize_cam(model, 6, 0, image, 3, modifier)
        before = before or alive()
    assert alive() == before
    assert {name for name in set(sys.modules) - modules if name.startswith("vis")} == set()


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("saliency", {"layer_idx": 7}, "layer_idx must be -7 to 6, got 7"),
        ("saliency", {"backprop_modifier": "gated"}, "backprop_modifier must be one of"),
        ("saliency", {"filter_indices": 2}, "filter_indices must be 0 to 1, got 2"),
        ("saliency", {"seed_input": np.ones((6, 7, 3))}, r"seed_input must be .*\(7, 6, 3\)"),
        ("cam", {"penultimate_layer_idx": 7}, "penultimate_layer_idx must be -7 to 6, got 7"),
        ("cam", {"penultimate_layer_idx": 5}, r"must give \(None, h, w, channels\), 'flat' gives"),
        ("cam", {"layer_idx": 1}, "Unable to determine penultimate"),
    ],
)
def test_bad_input_to_saliency_and_cam(call, arguments, message):
    legal = {"layer_idx": 6, "filter_indices": 0, "seed_input": pictures(SHAPES["rgb"])}
    with pytest.raises(ValueError, match=message):
        getattr(keras_vis, f"visualize_{call}")(looking_net(), **legal | arguments)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_of_low_precision_is_computed_in_float32(policy):
    """On a processor without AVX-512 TensorFlow has no convolution in bfloat16."""
    exact, usual = net("conv"), keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        low = net("conv")
        image = pictures(SHAPES["rgb"])
        maps = [
            keras_vis.visualize_saliency(model, -1, 1, image, None, None, keepdims=True)
            for model in (low, exact)
        ]
    finally:
        keras.config.set_dtype_policy(usual)
    np.testing.assert_allclose(*maps, rtol=1e-5)
    assert low.layers[-1].compute_dtype == policy.removeprefix("mixed_")
