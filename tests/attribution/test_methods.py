"""Each method against the genuine keras-vis, NumPy, or a property that its definition has."""

from dataclasses import replace

import keras
import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import state

from helpers import attribution
from helpers.maps import Direction, Diversity, Neuron, Unit, keras_vis

SHAPE = (12, 10, 3)
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, *SHAPE)).astype("float32")
LOGITS = [Unit("out", unit, pre_activation=True) for unit in (0, 1)]
METHODS = (
    attribution.Saliency(),
    attribution.GuidedBackprop(),
    attribution.GradCam(),
    attribution.GradCamPlusPlus(),
    attribution.IntegratedGradients(steps=4),
    attribution.SmoothGrad(samples=3),
    attribution.Occlusion(patch=4, stride=3),
)


def looking_net(activation="relu", seed=1, out="linear", pool=keras.layers.MaxPooling2D):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(6, 3, activation=activation, name="first"),
            pool(2, name="pool"),
            keras.layers.Conv2D(5, 3, activation=activation, name="last"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(3, activation=out, name="out"),
        ]
    )


def linear_net():
    """S(x) = sum of w x, w as `weights_of`."""
    keras.utils.set_random_seed(2)
    layers = [keras.layers.Flatten(), keras.layers.Dense(1, name="out")]
    return keras.Sequential([keras.Input((6, 8, 2)), *layers])


def weights_of(model):
    return model.layers[-1].get_weights()[0].reshape(6, 8, 2)


LINEAR_IMAGES = np.random.default_rng(3).uniform(0, 255, (2, 6, 8, 2)).astype("float32")
LINEAR = {"targets": Unit("out", 0), "preprocessing": "0..255"}


def gradient_of_keras_vis(call, *arguments):
    seen = []
    coloured = call(*arguments, grad_modifier=lambda g: seen.append(g[0].copy()) or np.abs(g))
    return seen[0], coloured


def stretched(values):
    return (values - values.min()) / (values.max() - values.min() + 1e-7)


def jet(heat):
    return (matplotlib.colormaps["jet"](heat)[..., :3] * 255).astype("int")


def test_saliency_is_the_genuine_packages():
    model = looking_net()
    made = attribution.saliency(model, IMAGES, [Unit("out", 0), Unit("out", 2), Unit("last", 3)])
    signed = attribution.saliency(
        model, IMAGES, Unit("out", 2), absolute=False, channels="none"
    ).heatmap
    for i, image in enumerate(IMAGES):
        for t, (layer, unit) in enumerate([(5, 0), (5, 2), (3, 3)]):
            gradient, coloured = gradient_of_keras_vis(
                keras_vis.visualize_saliency, model, layer, unit, image
            )
            heat = made.heatmap[i, t].values
            np.testing.assert_allclose(heat, np.abs(gradient).max(-1), rtol=1e-4, atol=1e-9)
            assert np.abs(jet(stretched(heat)) - coloured.astype("int")).max() <= 5
            if t == 1:
                np.testing.assert_allclose(signed[i, 0], gradient, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("modifier", ["guided", "rectified"])
def test_guided_backprop_is_the_genuine_packages(modifier):
    model = looking_net(out="relu")  # the genuine package makes a ReLU of it anyway
    made = attribution.guided_backprop(
        model, IMAGES, Unit("out", 1), relu_gradient=modifier, absolute=False, channels="none"
    )
    assert np.abs(made.heatmap).max() > 1e-5
    for i, image in enumerate(IMAGES):
        gradient, _ = gradient_of_keras_vis(
            keras_vis.visualize_saliency, model, 5, 1, image, modifier
        )
        np.testing.assert_allclose(made.heatmap[i, 0], gradient, rtol=1e-4, atol=1e-9)


def test_grad_cam_is_the_genuine_packages():
    model = looking_net()
    small = attribution.grad_cam(model, IMAGES, LOGITS[1], layer="last", resize="none").heatmap
    assert small.dims == ("image", "target", "row", "column")
    for i, image in enumerate(IMAGES):
        seen = []
        coloured = keras_vis.visualize_cam(
            model,
            5,
            1,
            image,
            3,
            grad_modifier=lambda g: seen.append(g.copy()) or g,  # noqa: B023
        )
        maps = keras.Model(model.inputs, model.get_layer("last").output)(image[None])[0]
        expected = np.maximum(np.asarray(maps) @ seen[0].mean((0, 1, 2)), 0)
        np.testing.assert_allclose(small[i, 0], expected, rtol=1e-4, atol=1e-6)
        resized = np.asarray(Image.fromarray(small[i, 0].values).resize((10, 12), 3))
        assert np.abs(jet(stretched(resized)) - coloured.astype("int")).max() <= 5


def test_grad_cam_plus_plus_is_its_formula():
    model = looking_net()
    made = attribution.grad_cam_plus_plus(model, IMAGES, LOGITS[0], layer="last", resize="none")
    tail = keras.Sequential(model.layers[-2:])
    maps = np.asarray(keras.Model(model.inputs, model.get_layer("last").output)(IMAGES), "float64")
    kernel = tail.layers[-1].get_weights()[0][:, 0].reshape(maps.shape[1:]).astype("float64")
    for i in range(len(IMAGES)):
        weights = np.zeros(5)
        for k in range(5):
            for g in kernel[..., k].ravel():
                share = g**2 / (2 * g**2 + g**3 * maps[i, ..., k].sum())
                weights[k] += share * max(g, 0)
        expected = np.maximum(maps[i] @ weights, 0)
        np.testing.assert_allclose(made.heatmap[i, 0], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("resize", ["bilinear", "bicubic"])
def test_a_resized_heatmap_is_the_small_one_resized(resize):
    model = looking_net()
    small = attribution.grad_cam(model, IMAGES, LOGITS, layer="last", resize="none").heatmap
    large = attribution.grad_cam(model, IMAGES, LOGITS, layer="last", resize=resize).heatmap
    assert large.dims == ("image", "target", "height", "width") and large.shape == (3, 2, 12, 10)
    expected = tf.image.resize(small.values.reshape(6, 3, 2, 1), (12, 10), resize)
    np.testing.assert_allclose(large.values.reshape(6, 12, 10, 1), expected, atol=1e-6)


def test_the_default_layer_is_the_last_before_the_target_that_is_image_like_and_no_pooling():
    model = looking_net()
    for target, layer in (
        (LOGITS[0], "last"),
        (Unit("last", 2), "first"),
        (Unit("pool", 2), "first"),
    ):
        default = attribution.grad_cam(model, IMAGES, target)
        named = attribution.grad_cam(model, IMAGES, target, layer=layer)
        np.testing.assert_array_equal(default.heatmap, named.heatmap)
        assert f"layer={layer}" in default.attrs["method"]


def test_integrated_gradients_are_complete():
    model = looking_net(activation="tanh", pool=keras.layers.AveragePooling2D)
    made = attribution.integrated_gradients(model, IMAGES, LOGITS, steps=200, baseline=60.0)
    total = made.heatmap.sum(("height", "width"))
    np.testing.assert_allclose(total, made.score - made.score_baseline, rtol=1e-3, atol=1e-4)
    logits = keras.Model(model.inputs, model.outputs)(np.full_like(IMAGES, 60.0))
    np.testing.assert_allclose(made.score_baseline, logits[:, :2], rtol=1e-4)


def test_integrated_gradients_of_a_square_are_the_trapezoidal_rule():
    x = keras.Input((2, 2, 1))
    y = keras.layers.Flatten()(keras.layers.Lambda(lambda v: v**3)(x))
    model = keras.Model(x, keras.layers.Dense(1, kernel_initializer="ones", name="out")(y))
    image = np.array([[2.0, 1], [3, 0]])[..., None]
    made = attribution.integrated_gradients(
        model, image, Unit("out", 0), steps=3, preprocessing="0..255"
    )
    gradients = [3 * (t * image) ** 2 for t in (0, 0.5, 1)]
    expected = image * (gradients[0] / 4 + gradients[1] / 2 + gradients[2] / 4)
    np.testing.assert_allclose(made.heatmap[0, 0], expected[..., 0], rtol=1e-6)


def test_smooth_grad_without_noise_is_saliency():
    model = looking_net()
    plain = attribution.saliency(model, IMAGES, LOGITS)
    smooth = attribution.smooth_grad(model, IMAGES, LOGITS, samples=3, noise=0.0)
    np.testing.assert_allclose(smooth.heatmap, plain.heatmap, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(smooth.score, plain.score, rtol=1e-5)


def test_smooth_grad_of_a_square_has_the_mean_of_its_noise():
    """S = sum x^2 / 2, dS/dx = x: the heatmap is the image plus the mean of the noise."""
    x = keras.Input((6, 8, 2))
    y = keras.layers.Flatten()(keras.layers.Lambda(lambda v: v**2 / 2)(x))
    model = keras.Model(x, keras.layers.Dense(1, kernel_initializer="ones", name="out")(y))
    arguments = {"noise": 0.1, "absolute": False, "channels": "none", **LINEAR}
    one = attribution.smooth_grad(model, LINEAR_IMAGES, samples=1, **arguments).heatmap
    spread = np.ptp(LINEAR_IMAGES, axis=(1, 2, 3)) * 0.1
    draws = (one[:, 0].values - LINEAR_IMAGES) / spread[:, None, None, None]
    np.testing.assert_allclose(draws[0], draws[1], atol=1e-3)
    assert 0.7 < draws.std() < 1.3 and abs(draws.mean()) < 0.3
    many = attribution.smooth_grad(model, LINEAR_IMAGES, samples=400, **arguments).heatmap
    assert np.abs(many[:, 0] - LINEAR_IMAGES).max() < 0.3 * spread.max()
    other = attribution.smooth_grad(model, LINEAR_IMAGES, samples=1, seed=1, **arguments).heatmap
    assert np.abs(other - one).mean() > 0.1 * spread.mean()


def test_occlusion_of_a_linear_model_by_hand():
    model, value = linear_net(), 100.0
    made = attribution.occlusion(model, LINEAR_IMAGES, patch=4, stride=3, value=value, **LINEAR)
    effect = (weights_of(model) * (LINEAR_IMAGES - value)).sum(-1)
    total, times = np.zeros_like(effect), np.zeros((6, 8))
    for row in (0, 2):
        for column in (0, 3, 4):
            here = np.s_[row : row + 4, column : column + 4]
            total[:, *here] += effect[:, *here].sum((1, 2), keepdims=True)
            times[here] += 1
    np.testing.assert_allclose(made.heatmap[:, 0], total / times, rtol=1e-3, atol=0.01)


def test_gradient_methods_of_a_linear_model_are_its_weights():
    model = linear_net()
    w, signed = weights_of(model), {"absolute": False, "channels": "none", **LINEAR}
    for made, expected in (
        (attribution.saliency(model, LINEAR_IMAGES, **signed), w),
        (attribution.smooth_grad(model, LINEAR_IMAGES, samples=2, **signed), w),
        (attribution.guided_backprop(model, LINEAR_IMAGES, **signed), w),
        (attribution.integrated_gradients(model, LINEAR_IMAGES, **signed), w * LINEAR_IMAGES),
        (attribution.saliency(model, LINEAR_IMAGES, **LINEAR), np.abs(w).max(-1)),
        (attribution.saliency(model, LINEAR_IMAGES, channels="mean", **LINEAR), np.abs(w).mean(-1)),
    ):
        for heatmap in made.heatmap[:, 0]:
            assert made.heatmap.dims[2:] == ("height", "width", "channel")[: w.ndim][: heatmap.ndim]
        expected = np.broadcast_to(expected, made.heatmap[:, 0].shape)
        np.testing.assert_allclose(made.heatmap[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_guided_backprop_passes_the_relus_of_every_form():
    x = keras.Input((1, 1, 4))
    relus = [
        keras.layers.ReLU(),
        keras.layers.Activation("relu"),
        keras.layers.ReLU(6.0),
        keras.layers.Activation("relu6"),
        keras.layers.Lambda(tf.nn.relu),
        keras.layers.Conv2D(4, 1, activation="relu"),
        keras.Sequential([keras.Input((1, 1, 4)), keras.layers.ReLU()]),
    ]
    for relu in relus:
        flat = keras.layers.Flatten()(relu(x))
        model = keras.Model(x, keras.layers.Dense(1, name="out")(flat))
        model.layers[-1].set_weights([np.array([[1.0], [-1], [1], [2]]), np.zeros(1)])
        if isinstance(relu, keras.layers.Conv2D):
            relu.set_weights([np.eye(4)[None, None], np.zeros(4)])
        image = np.array([1.0, 1, -1, 2]).reshape(1, 1, 4)
        arguments = {"targets": Unit("out", 0), "preprocessing": "0..255", "channels": "none"}
        guided = attribution.guided_backprop(model, image, absolute=False, **arguments)
        np.testing.assert_allclose(guided.heatmap.values.ravel(), [1, 0, 0, 2])
        plain = attribution.saliency(model, image, absolute=False, **arguments)
        np.testing.assert_allclose(plain.heatmap.values.ravel(), [1, -1, 0, 2])


def test_guided_backprop_passes_nothing_where_relu6_is_full():
    x = keras.Input((1, 1, 2))
    flat = keras.layers.Flatten()(keras.layers.ReLU(6.0)(x))
    model = keras.Model(x, keras.layers.Dense(1, kernel_initializer="ones", name="out")(flat))
    made = attribution.guided_backprop(
        model,
        np.array([5.0, 7]).reshape(1, 1, 2),
        Unit("out", 0),
        preprocessing="0..255",
        channels="none",
    )
    np.testing.assert_allclose(made.heatmap.values.ravel(), [1, 0])


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_a_heatmap_does_not_depend_on_its_batch_and_the_model_stays_as_it_is(method):
    """Two targets of one form, so that each method is compiled once for both."""
    model = looking_net()
    before = state(model)
    targets = [
        LOGITS[unit]
        + weight * Unit("last", 2 * unit)
        - Neuron("last", 1 + unit, (unit, 1))
        + 0.5 * Direction("last", (weight, 0, -1, 0, 2))
        for unit, weight in ((0, 1.0), (1, -0.5))
    ]
    together = attribution.attribute(method, model, IMAGES, targets, names=["a", "b", "c"])
    assert together.heatmap.shape[:2] == (3, 2) and np.isfinite(together.heatmap).all()
    alone = attribution.attribute(method, model, IMAGES[1], targets[1], batch_size=1)
    chosen = together.sel(image="b").isel(target=1)
    np.testing.assert_allclose(alone.heatmap[0, 0], chosen.heatmap, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(alone.score[0, 0], chosen.score, rtol=1e-4, atol=1e-6)
    assert np.abs(chosen.heatmap - together.sel(image="c").isel(target=1).heatmap).max() > 1e-5
    assert state(model) == before


def test_targets_of_different_forms_are_those_of_single_calls():
    model = looking_net()
    targets = [
        LOGITS[0],
        Unit("last", 2),
        Neuron("last", 1, (0, 1)),
        Direction("last", (1.0, 0, -1, 0, 2)),
        LOGITS[1] - 0.5 * LOGITS[0],
    ]
    together = attribution.saliency(model, IMAGES, targets)
    for t, target in enumerate(targets):
        alone = attribution.saliency(model, IMAGES, target)
        np.testing.assert_array_equal(together.heatmap[:, t], alone.heatmap[:, 0])
        np.testing.assert_array_equal(together.score[:, t], alone.score[:, 0])


def test_scores_are_the_objectives():
    model = looking_net(out="softmax")
    made = attribution.saliency(model, IMAGES, [Unit("out", 2), Unit("last", 1)])
    np.testing.assert_allclose(made.score[:, 0], model.predict(IMAGES, verbose=0)[:, 2], rtol=1e-5)
    last = keras.Model(model.inputs, model.get_layer("last").output)(IMAGES)
    np.testing.assert_allclose(made.score[:, 1], np.mean(last, (1, 2))[:, 1], rtol=1e-4)
    assert list(made.target.values) == ["out 2", "last 1"]
    np.testing.assert_array_equal(made.pixels, IMAGES)


def test_what_made_it_is_said():
    made = attribution.smooth_grad(looking_net(), IMAGES, LOGITS, samples=2, noise=0.2)
    assert made.attrs["method"] == "SmoothGrad(samples=2, noise=0.2)"
    assert made.attrs["layer"] == "out"
    assert {"model", "weight_digest", "versions", "created", "git_commit"} <= set(made.attrs)


def test_a_change_of_weights_is_seen():
    model = looking_net()
    before = attribution.saliency(model, IMAGES, LOGITS[0])
    model.layers[-1].set_weights([2 * w for w in model.layers[-1].get_weights()])
    after = attribution.saliency(model, IMAGES, LOGITS[0])
    np.testing.assert_allclose(after.heatmap, 2 * before.heatmap, rtol=1e-4)


def test_small_gradients_survive_float16():
    """dS/dx of a mean over 64 x 64 positions is 1e-6, below what float16 resolves."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        x = keras.Input((64, 64, 1))
        y = keras.layers.Conv2D(1, 1, name="conv")(keras.layers.Rescaling(1 / 255)(x))
        model = keras.Model(x, y)
    finally:
        keras.config.set_dtype_policy("float32")
    model.get_layer("conv").set_weights([np.full((1, 1, 1, 1), 0.7), np.zeros(1)])
    image = np.full((64, 64, 1), 100.0)
    for method in (attribution.Saliency(), attribution.IntegratedGradients(steps=2)):
        made = attribution.attribute(method, model, image, Unit("conv", 0))
        expected = 0.7 / 255 / 64**2 * (100 if "Integrated" in str(method) else 1)
        np.testing.assert_allclose(made.heatmap[0, 0], expected, rtol=3e-3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_another_dtype_policy_gives_about_the_same_in_float32(policy):
    exact = looking_net()
    keras.config.set_dtype_policy(policy)
    try:
        model = looking_net()
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(exact.get_weights())
    for method in METHODS[:3]:
        made = attribution.attribute(method, model, IMAGES, LOGITS)
        wanted = attribution.attribute(method, exact, IMAGES, LOGITS)
        assert made.heatmap.dtype == "float32" and made.score.dtype == "float32"
        rough = np.corrcoef(made.heatmap.values.ravel(), wanted.heatmap.values.ravel())[0, 1]
        assert rough > 0.98


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_nested_models_and_several_heads_give_what_the_plain_model_gives(method):
    plain = looking_net()
    inner = keras.Sequential([keras.Input(SHAPE), *looking_net().layers[:-2]], name="inner")
    x = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(inner(x))
    heads = [keras.layers.Dense(3, name=name)(flat) for name in ("other", "out")]
    model = keras.Model(x, heads)
    inner.set_weights(plain.get_weights()[:-2])
    model.get_layer("out").set_weights(plain.layers[-1].get_weights())
    layer = {"layer": "inner/last"} if isinstance(method, attribution.GradCam) else {}
    made = attribution.attribute(replace(method, **layer), model, IMAGES, LOGITS)
    wanted = attribution.attribute(method, plain, IMAGES, LOGITS)
    np.testing.assert_allclose(made.heatmap, wanted.heatmap, rtol=1e-3, atol=1e-6)
    inside = attribution.attribute(method, model, IMAGES, Unit("inner/last", 1))
    wanted = attribution.attribute(method, plain, IMAGES, Unit("last", 1))
    np.testing.assert_allclose(inside.heatmap, wanted.heatmap, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (attribution.Saliency(channels="all"), "channels of Saliency must be one of .*'all'"),
        (attribution.GuidedBackprop(relu_gradient="gated"), "relu_gradient of GuidedBackprop"),
        (attribution.GradCam(resize="nearest"), "resize of GradCam must be one of"),
        (attribution.GradCam(layer="out"), r"layer of GradCam must be one of \['first', 'last'\]"),
        (attribution.IntegratedGradients(steps=1), "steps of IntegratedGradients must be 2 or"),
        (attribution.SmoothGrad(samples=0), "samples of SmoothGrad must be 1 or more, got 0"),
        (attribution.SmoothGrad(noise=-0.1), "noise of SmoothGrad must be 0 or more, got -0.1"),
        (attribution.Occlusion(patch=0), "patch of Occlusion must be 1 or more, got 0"),
        (attribution.Occlusion(patch=2), "stride of Occlusion must be 1 to the patch, 2, got 4"),
        (attribution.Occlusion(patch=11), "patch of Occlusion must be at most 10, got 11"),
    ],
)
def test_bad_parameters(method, message):
    with pytest.raises(ValueError, match=message):
        attribution.attribute(method, looking_net(), IMAGES, LOGITS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": IMAGES[:, :5]}, r"images must be \(N, 12, 10, 3\), pixels 0..255, got"),
        ({"images": IMAGES * np.nan}, "images must be finite"),
        ({"targets": "out"}, "targets must be objectives such as"),
        ({"targets": []}, "targets must be an objective, or one or more, got none"),
        ({"targets": Unit("out", 3)}, "unit of out must be 0 to 2, got 3"),
        ({"targets": Diversity("last")}, "targets must be scores of single images"),
        ({"names": ["a"]}, "names must be 3, one for each image, got 1"),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
    ],
)
def test_bad_input(arguments, message):
    legal = {"images": IMAGES, "targets": LOGITS}
    with pytest.raises(ValueError, match=message):
        attribution.saliency(looking_net(), **legal | arguments)


def test_a_target_before_the_layer_of_grad_cam():
    with pytest.raises(ValueError, match="must depend on the image and on the method's layer"):
        attribution.grad_cam(looking_net(), IMAGES, Unit("first", 0), layer="last")
    with pytest.raises(ValueError, match="layer must be named: none before"):
        attribution.grad_cam(looking_net(), IMAGES, Unit("first", 0))
