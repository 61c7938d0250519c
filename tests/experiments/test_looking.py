import keras
import numpy as np
import pytest
import xarray as xr

from experiments.experiment7 import looking
from helpers import attribution
from helpers.maps import Unit


def says_left_when_bright():
    x = keras.Input((64, 64, 3))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))
    model = keras.Model(x, keras.layers.Dense(2, activation="softmax", name="dense_3")(y))
    model.layers[-1].set_weights([np.array([[-5.0, 5]] * 3), np.array([2.5 * 3, -2.5 * 3])])
    return model


MODEL = says_left_when_bright()
FACES = looking.rendered(MODEL, 2, 4, seed=3)


def test_faces_are_grouped_by_pose_and_answer_and_the_head_is_found():
    assert FACES.pixels.shape == (8, 64, 64, 3)
    np.testing.assert_array_equal(FACES.says_left, FACES.pixels.mean((1, 2, 3)) > 127.5)
    for pose, says_left, group in zip(FACES.pose, FACES.says_left, FACES.group, strict=True):
        correct = {"left": looking.GROUPS[0], "right": looking.GROUPS[1]}.get(
            pose, looking.GROUPS[2]
        )
        assert group == (correct if says_left == (pose == "left") else "wrong")
    assert FACES.head[:, 30, 32].all()
    assert not FACES.head[:, 1, 1].any() and not FACES.head[:, -1, 32].any()
    share = FACES.head.mean((1, 2))
    assert ((share > 0.15) & (share < 0.5)).all()


def test_examples_are_of_as_many_people_as_there_are():
    few = looking.examples(FACES, 2, ["straight or up, says not left"])
    assert len(few.person) == 2 and set(few.person) == {0, 1}
    assert list(looking.examples(FACES, 1).group) == [
        group for group in looking.GROUPS if group in FACES.group
    ]


def test_the_share_of_the_heat_on_the_head_and_the_means_of_groups():
    target = Unit("dense_3", 1, pre_activation=True)
    made = attribution.saliency(MODEL, FACES.pixels, target)
    table = looking.on_the_head({"even": made}, FACES)
    np.testing.assert_allclose(table.loc["even"], table.loc["area"], atol=0.011)
    made.heatmap.values[:] = FACES.head[:, None]
    assert (looking.on_the_head({"all": made}, FACES).loc["all"] == 1).all()
    means = looking.mean_of_groups({"all": made}, FACES)["all"]
    for group in means.image.values:
        members = FACES.head[FACES.group == group]
        np.testing.assert_allclose(means.heatmap.sel(image=group)[0], members.mean(0))


def test_the_same_story_is_the_correlation_of_what_channels_and_places_add():
    """The channels are the colours, so a channel adds its colour times its weight."""
    x = keras.Input((2, 3, 3))
    y = keras.layers.Conv2D(3, 1, name="conv")(keras.layers.Rescaling(1 / 255)(x))
    y = keras.layers.GlobalAveragePooling2D()(y)
    model = keras.Model(x, keras.layers.Dense(2, use_bias=False, name="out")(y))
    model.get_layer("conv").set_weights([np.eye(3)[None, None], np.zeros(3)])
    kernel = np.array([[1.0, 0.5], [-1, 1], [0.2, -1]])
    model.get_layer("out").set_weights([kernel])
    draw = np.random.default_rng(0)
    images = {name: draw.uniform(0, 255, (2, 2, 3, 3)) for name in "ab"}
    happy = {name: draw.uniform(0, 255, (2, 3, 3)) for name in "ab"}
    targets = {"a": Unit("out", 0), "b": Unit("out", 1)}
    story = looking.same_story(model, images, happy, targets, "conv")
    for unit, name in enumerate("ab"):
        added = images[name].mean(0) * kernel[:, unit]
        for other in "ab":
            of_map = happy[other] * kernel[:, unit]
            cell = story.sel(images_of=name, map_of=other)
            channels = np.corrcoef(added.sum((0, 1)), of_map.sum((0, 1)))[0, 1]
            places = np.corrcoef(added.sum(-1).ravel(), of_map.sum(-1).ravel())[0, 1]
            assert float(cell.channels) == pytest.approx(channels, abs=1e-4)
            assert float(cell.places) == pytest.approx(places, abs=1e-4)


def as_story(values):
    dims = ("images_of", "map_of")
    return xr.Dataset({part: (dims, np.array(values)) for part in looking.PARTS})


def test_own_maps_against_others_by_hand():
    values = np.full((6, 6), 0.2)
    np.fill_diagonal(values, 0.8)
    table = looking.own_against_others({"robust": as_story(values)})
    for part in looking.PARTS:
        row = table.loc[("robust", part)]
        assert row["own"] == pytest.approx(0.8) and row["others"] == pytest.approx(0.2)
        assert row["gap"] == pytest.approx(0.6) and row["highest"] == "6 of 6"
        assert row["p"] < 0.005  # 1 in 720 deals
        assert row["verdict"] == "own map more"


def test_what_random_weights_do_as_well_is_inconclusive():
    draw = np.random.default_rng(1)
    values = np.full((8, 8), 0.2) + draw.normal(0, 0.01, (8, 8))
    values[np.diag_indices(8)] += 0.6
    story = as_story(values)
    table = looking.own_against_others({"robust": story}, {"robust": story})
    assert (table["p"] < 0.01).all() and (table["p of control"] > 0.9).all()
    assert (table["verdict"] == "inconclusive").all()
    even = as_story(np.full((8, 8), 0.7))
    table = looking.own_against_others({"robust": story}, {"robust": even})
    assert (table["verdict"] == "own map more").all()
    assert looking.own_against_others({"robust": even})["p"].min() == 1


def test_each_image_for_its_own_and_for_another_target():
    heat = np.arange(9, dtype="float32").reshape(3, 3, 1, 1) + np.zeros((3, 3, 2, 2), "float32")
    made = xr.Dataset(
        {"heatmap": (("image", "target", "height", "width"), heat)},
        {"image": list("abc"), "target": list("xyz")},
    )
    columns = looking.own_and_other(made)
    assert columns["for its class"].heatmap[:, 0, 0, 0].values.tolist() == [0, 4, 8]
    assert columns["for another class"].heatmap[:, 0, 0, 0].values.tolist() == [1, 5, 6]
