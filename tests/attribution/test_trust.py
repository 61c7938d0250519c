import keras
import numpy as np
import pytest
import xarray as xr
from scipy import stats
from tiny import state

from helpers import attribution
from helpers.maps import Unit

SHAPE = (8, 10, 1)
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype("float32")


def trained_net(where=np.s_[:, :5]):
    """Its logit is the mean brightness of a part of the image, through two layers."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(2, 1, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="out"),
        ]
    )
    weights = np.zeros((8, 10, 2, 2), "float32")
    weights[*where, 0, 1] = 1 + np.arange(weights[*where, 0, 1].size).reshape(
        weights[*where, 0, 1].shape
    )
    model.get_layer("conv").set_weights([np.ones((1, 1, 1, 2)), np.zeros(2)])
    model.get_layer("out").set_weights([weights.reshape(-1, 2), np.zeros(2)])
    return model


def test_similarity_is_spearmans_of_the_absolute_values():
    a, b = np.random.default_rng(1).normal(size=(2, 3, 4, 5))
    expected = [
        stats.spearmanr(np.abs(x).ravel(), np.abs(y).ravel()).statistic
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(attribution.similarity(a, b), expected)
    np.testing.assert_allclose(attribution.similarity(a, -3 * a), 1)
    assert np.isnan(attribution.similarity(a[0], np.ones((4, 5))))
    with pytest.raises(ValueError, match="heatmaps must have one shape"):
        attribution.similarity(a, b[:2])


def test_similarity_between_methods():
    model, target = trained_net(), Unit("out", 1)
    made = {
        "gradient": attribution.saliency(model, IMAGES, target),
        "same": attribution.smooth_grad(model, IMAGES, target, samples=2),
        "occlusion": attribution.occlusion(model, IMAGES, target, patch=2, stride=2),
    }
    together = attribution.between_methods(made)
    assert together.dims == ("method_a", "method_b", "image", "target")
    np.testing.assert_allclose(together.sel(method_a="gradient", method_b="same"), 1, atol=0.05)
    np.testing.assert_array_equal(together.values, together.transpose("method_b", "method_a", ...))
    assert float(together.sel(method_a="gradient", method_b="occlusion").max()) < 0.99


def test_weights_are_randomised_from_the_top_and_a_gradient_changes_with_them():
    model, target = trained_net(), Unit("out", 1)
    before = state(model)
    made = attribution.sanity_check(
        attribution.Saliency(), model, IMAGES, target, seeds=(0, 1, 2), names=["a", "b"]
    )
    assert list(made.stage.values) == ["out", "conv"]
    assert made.similarity.dims == ("image", "target", "stage")
    assert (np.abs(made.similarity) < 0.4).all() and not made.random_too.any()
    plain = attribution.saliency(model, IMAGES, target)
    np.testing.assert_array_equal(made.heatmap, plain.heatmap)
    assert state(model) == before


def test_each_stage_is_the_model_with_the_layers_above_random():
    """With the top layer alone random, the gradient is that layer's fresh weights."""
    model, target = trained_net(), Unit("out", 1)
    made = attribution.sanity_check(attribution.Saliency(), model, IMAGES, target, seeds=[4])
    from helpers import models

    fresh = models.reinitialised(model, seed=4)
    mixed = trained_net()
    mixed.layers[-1].set_weights(fresh.layers[-1].get_weights())
    for stage, other in (("out", mixed), ("conv", fresh)):
        expected = attribution.similarity(
            made.heatmap.values, attribution.saliency(other, IMAGES, target).heatmap.values
        )
        np.testing.assert_allclose(made.similarity.sel(stage=stage), expected, atol=1e-6)


def test_a_heatmap_that_random_weights_give_as_well_is_marked():
    """Image times something even: integrated gradients of a mean show the image itself."""
    x = keras.Input(SHAPE)
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 1, name="conv")(x))
    model = keras.Model(x, keras.layers.Dense(1, name="out")(y))
    arguments = {"targets": Unit("out", 0), "preprocessing": "0..255"}
    method = attribution.IntegratedGradients(steps=3)
    made = attribution.sanity_check(method, model, IMAGES, seeds=[0, 1], **arguments)
    np.testing.assert_allclose(made.similarity, 1, atol=1e-6)
    assert made.random_too.all() and made.attrs["same_above"] == 0.5
    strict = attribution.sanity_check(method, model, IMAGES, same_above=1.1, **arguments)
    assert not strict.random_too.any()


def test_an_even_heatmap_is_marked():
    model = trained_net()
    model.layers[-1].set_weights([np.zeros((160, 2)), np.zeros(2)])
    made = attribution.sanity_check(attribution.Saliency(), model, IMAGES, Unit("out", 1))
    assert made.random_too.all()


def test_stages_can_be_fewer():
    made = attribution.sanity_check(
        attribution.Saliency(), trained_net(), IMAGES, Unit("out", 1), stages=1
    )
    assert list(made.stage.values) == ["conv"]


def test_deletion_and_insertion_by_hand():
    """S is the mean of four pixels over 255; the heatmap ranks the brightest first."""
    x = keras.Input((2, 2, 1))
    y = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(x))
    model = keras.Model(x, keras.layers.Dense(1, name="out")(y))
    model.layers[-1].set_weights([np.full((4, 1), 0.25), np.zeros(1)])
    image = np.array([[255.0, 0], [102, 51]]).reshape(1, 2, 2, 1).astype("float32")
    made = attribution.integrated_gradients(model, image, Unit("out", 0))
    curves = attribution.deletion_and_insertion(
        made, model, Unit("out", 0), steps=4, value=0.0, blur=1e-6
    )
    cell = curves.isel(image=0, target=0).sel(order="heatmap")
    np.testing.assert_allclose(cell.deletion, [0.4, 0.15, 0.05, 0, 0], atol=1e-6)
    np.testing.assert_allclose(cell.insertion, 0.4, atol=1e-6)  # the blur is none
    np.testing.assert_allclose(cell.deletion_area, (0.2 + 0.15 + 0.05) / 4, atol=1e-6)
    np.testing.assert_allclose(curves.share, [0, 0.25, 0.5, 0.75, 1])
    random = curves.isel(image=0, target=0).sel(order="random").deletion
    assert float(random[0]) == pytest.approx(0.4) and float(random[-1]) == pytest.approx(0)


def test_a_good_heatmap_beats_a_random_order():
    model, target = trained_net(np.s_[2:5, 2:6]), Unit("out", 1)
    images = np.random.default_rng(5).choice([0.0, 255.0], IMAGES.shape).astype("float32")
    made = attribution.integrated_gradients(model, images, target)
    curves = attribution.deletion_and_insertion(made, model, target, value=0.0)
    own, random = (curves.sel(order=order) for order in ("heatmap", "random"))
    assert (own.deletion_area < 0.5 * random.deletion_area).all()
    assert (own.insertion_area > 1.1 * random.insertion_area).all()


def test_bad_input():
    model, target = trained_net(), Unit("out", 1)
    kept = attribution.saliency(model, IMAGES, target, channels="none")
    with pytest.raises(ValueError, match="made must hold heatmaps"):
        attribution.deletion_and_insertion(kept, model, target)
    with pytest.raises(ValueError, match="method must give heatmaps without channels"):
        attribution.sanity_check(attribution.Saliency(channels="none"), model, IMAGES, target)
    made = attribution.saliency(model, IMAGES, target)
    with pytest.raises(ValueError, match="targets must be those of made"):
        attribution.deletion_and_insertion(made, model, Unit("out", 0))
    assert isinstance(made, xr.Dataset)
