import keras
import numpy as np
import pytest
from keras import layers
from planted import EDGE, LIGHT, SIZE, bank, images

from helpers import attribution
from helpers.images import as_pixels
from helpers.maps import Unit
from helpers.units import measure_responses, top_activating_images, where_in_top_images

IMAGES = images()
PIXELS = as_pixels(IMAGES.images)
RESPONSES = measure_responses(bank(), IMAGES, "bank", progress=False)


def test_the_images_of_both_ends_are_of_different_groups_and_in_order():
    ranked = top_activating_images(RESPONSES, count=3).sel(unit=EDGE)
    activation = RESPONSES["activation"].sel(unit=EDGE).values
    best = {g: activation[IMAGES.groups == g].max() for g in np.unique(IMAGES.groups)}
    expected = sorted(best.values(), reverse=True)[:3]
    np.testing.assert_allclose(ranked["activation"].sel(end="max"), expected)
    for end in ("max", "min"):
        at = ranked.sel(end=end)
        assert len(set(IMAGES.groups[at["image"].values])) == 3
        np.testing.assert_allclose(activation[at["image"].values], at["activation"])
    assert (IMAGES.labels[ranked["image"].sel(end="max").values] == 1).all()


def test_without_groups_every_image_counts_and_there_are_no_more_than_groups():
    ungrouped = RESPONSES.assign_coords(group=("image", np.arange(24).astype(str)))
    assert top_activating_images(ungrouped, count=9).sizes["rank"] == 9
    assert top_activating_images(RESPONSES, count=9).sizes["rank"] == 6


def test_a_count_below_one_is_refused():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        top_activating_images(RESPONSES, count=0)


def test_a_unit_of_a_convolution_sees_what_it_is_active_at():
    chosen = RESPONSES.sel(unit=[EDGE, LIGHT])
    where = where_in_top_images(bank(), PIXELS, chosen, count=2)
    assert where.dims == ("unit", "rank", "height", "width")
    assert where.shape == (2, 2, SIZE, SIZE)
    columns = where.sum("height")
    left, right = np.s_[: SIZE // 2 - 2], np.s_[SIZE // 2 + 2 :]
    edge = columns.sel(unit=EDGE).values
    np.testing.assert_allclose(edge[:, SIZE // 2], SIZE * 4 * 0.3 / 22**2, rtol=1e-4)
    assert edge[:, left].max() < 1e-6 and edge[:, right].max() < 1e-6
    light = columns.sel(unit=LIGHT).values
    assert (light[:, right].min(1) > light[:, left].max(1)).all()


@pytest.mark.parametrize("has_convolution", [True, False])
def test_of_a_dense_unit_it_is_grad_cam_and_saliency_where_no_layer_is_image_like(has_convolution):
    keras.utils.set_random_seed(0)
    x = keras.Input((SIZE, SIZE, 1))
    y = layers.Conv2D(3, 3, activation="relu", name="conv")(x) if has_convolution else x
    model = keras.Model(x, layers.Dense(2, name="out")(layers.Flatten()(y)))
    responses = measure_responses(model, IMAGES, "out", preprocessing="0..255", progress=False)
    where = where_in_top_images(model, PIXELS, responses, count=3, preprocessing="0..255")
    method = attribution.GradCam("conv") if has_convolution else attribution.Saliency()
    images_of_1 = top_activating_images(responses, 3)["image"].sel(end="max", unit=1).values
    made = attribution.attribute(
        method, model, PIXELS[images_of_1], Unit("out", 1, True), preprocessing="0..255"
    )
    np.testing.assert_allclose(where.sel(unit=1), made.heatmap[:, 0], rtol=1e-5)
    assert where.attrs["layer"] == "out"
