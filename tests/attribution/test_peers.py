"""Against keras-vis, tf-keras-vis and xplique on a tiny model: see `benchmarks.attribution`."""

from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks.attribution import deviations, keras_vis, tiny_model
from helpers import attribution
from helpers.maps import Unit

with np.load(Path(__file__).parent / "peers.npz") as stored:
    PEERS = dict(stored)
IMAGES = PEERS["images"]


def heat(method):
    made = attribution.attribute(
        method, tiny_model(PEERS), IMAGES, Unit("out", 0), preprocessing="0..255"
    )
    return made.heatmap[:, 0].values


def close(ours, name):
    theirs = PEERS[name]
    assert np.abs(theirs).max() > 0
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (attribution.Saliency(), ["tf-keras-vis/saliency", "xplique/saliency"]),
        (
            attribution.GuidedBackprop(channels="mean", absolute=False),
            ["tf-keras-vis/guided", "xplique/guided"],
        ),
        (attribution.GuidedBackprop(False, "mean", "rectified"), ["xplique/rectified"]),
        (attribution.GradCam("last", "none"), ["tf-keras-vis/grad_cam"]),
        (attribution.GradCam("last", "bicubic"), ["xplique/grad_cam_bicubic"]),
        (attribution.IntegratedGradients(8), ["xplique/integrated_gradients"]),
        (
            attribution.SmoothGrad(3, noise=0.0),
            ["tf-keras-vis/smooth_grad", "xplique/smooth_grad"],
        ),
        (attribution.Occlusion(2, 2, 20.0), ["xplique/occlusion"]),
    ],
    ids=str,
)
def test_equal_where_the_definitions_are(method, names):
    for name in names:
        close(heat(method), name)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (attribution.Saliency(), "saliency"),
        (attribution.GuidedBackprop(False, "mean", "guided"), "guided"),
        (attribution.GuidedBackprop(False, "mean", "rectified"), "rectified"),
        (attribution.GradCam("last", "none"), "grad_cam"),
    ],
    ids=str,
)
def test_equal_to_the_genuine_package(method, name):
    theirs = keras_vis(tiny_model(PEERS), 0, "last", True)[name](IMAGES)
    np.testing.assert_allclose(heat(method), theirs, atol=1e-5 * np.abs(theirs).max())


def test_the_table_of_deviations_by_hand():
    ours = {"saliency": np.array([1.0, 3]), "grad_cam": np.array([2.0]), "grad_cam_bicubic": 4.0}
    theirs = {"saliency": np.array([1.0, 4]), "grad_cam_bicubic": 2.0}
    assert deviations({"ours": ours, "peer": theirs}).splitlines() == [
        "| method | peer |",
        "|---|---|",
        "| saliency | 2.5e-01 |",
        "| grad_cam | 1.0e+00 |",
    ]


def maps_and_gradient():
    """A of `last`, and dS/dA, which is the weight of the dense layer."""
    model = tiny_model(PEERS)
    maps = keras.Model(model.inputs, model.get_layer("last").output)(IMAGES)
    kernel = model.layers[-1].get_weights()[0][:, 0]
    return np.asarray(maps, "float64"), kernel.reshape(maps.shape[1:]).astype("float64")


def test_grad_cam_plus_plus_of_tf_keras_vis_differs_by_the_sum_of_its_shares_and_by_exp():
    maps, g = maps_and_gradient()
    shares = 1 / (2 + g * maps.sum((1, 2), keepdims=True))
    shares /= shares.sum((1, 2), keepdims=True)
    model = tiny_model(PEERS)
    scale = np.exp(np.asarray(model(IMAGES), "float64")[:, 0])[:, None]
    weights = (shares * np.maximum(g, 0)).sum((1, 2)) * scale
    expected = np.maximum(np.einsum("nhwk,nk->nhw", maps, weights), 0)
    theirs = PEERS["tf-keras-vis/grad_cam_plus_plus"]
    np.testing.assert_allclose(theirs, expected, rtol=1e-3)


def test_grad_cam_plus_plus_of_xplique_differs_by_means():
    maps, g = maps_and_gradient()
    shares = 1 / (2 + g * maps.mean((1, 2), keepdims=True))
    weights = (shares * np.maximum(g, 0)).mean((1, 2))
    expected = np.maximum(np.einsum("nhwk,nk->nhw", maps, weights), 0)
    resized = keras.ops.image.resize(expected[..., None].astype("float32"), (8, 10), "bicubic")
    theirs = PEERS["xplique/grad_cam_plus_plus_bicubic"]
    np.testing.assert_allclose(theirs, resized[..., 0], atol=1e-4 * theirs.max())
