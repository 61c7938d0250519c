import keras
import numpy as np
import pytest

from experiments.experiment7 import looking
from helpers import attribution
from helpers.maps import Unit


def says_left_when_bright():
    x = keras.Input((64, 64, 3))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))
    model = keras.Model(x, keras.layers.Dense(2, activation="softmax", name="out")(y))
    model.layers[-1].set_weights([np.array([[-5.0, 5]] * 3), np.array([2.5 * 3, -2.5 * 3])])
    return model


def test_faces_are_grouped_by_answer_and_the_person_is_found():
    model = says_left_when_bright()
    seen = looking.rendered(model, 2, 4, seed=3)
    assert seen.pixels.shape == (8, 64, 64, 3) and seen.is_left.sum() == 2
    np.testing.assert_array_equal(seen.says_left, seen.pixels.mean((1, 2, 3)) > 127.5)
    for face, group in enumerate(seen.group):
        right = seen.says_left[face] == seen.is_left[face]
        said = looking.GROUPS[0] if seen.says_left[face] else looking.GROUPS[1]
        assert group == (said if right else looking.GROUPS[2])
    share = seen.person.mean((1, 2))
    assert ((share > 0.2) & (share < 0.6)).all()
    assert seen.person[:, 30, 32].all() and not seen.person[:, 1, 1].any()
    few = looking.examples(seen, 1)
    assert len(few.group) == len(set(seen.group))


def test_the_share_of_the_heat_on_the_person():
    model = says_left_when_bright()
    seen = looking.rendered(model, 1, 4, seed=3)
    made = attribution.saliency(model, seen.pixels, Unit("out", 1, pre_activation=True))
    table = looking.on_the_person({"even": made}, seen)
    np.testing.assert_allclose(table.loc["even"], table.loc["area"], atol=0.011)
    made.heatmap.values[:] = seen.person[:, None]
    assert (looking.on_the_person({"all": made}, seen).loc["all"] == 1).all()


def test_the_same_story_is_the_correlation_of_what_channels_add():
    """The channels are the colours, so a channel adds its colour times its weight."""
    x = keras.Input((4, 4, 3))
    y = keras.layers.Conv2D(3, 1, name="conv")(keras.layers.Rescaling(1 / 255)(x))
    y = keras.layers.GlobalAveragePooling2D()(y)
    model = keras.Model(x, keras.layers.Dense(2, use_bias=False, name="out")(y))
    model.get_layer("conv").set_weights([np.eye(3)[None, None], np.zeros(3)])
    kernel = np.array([[1.0, 0.5], [-1, 1], [0.2, -1]])
    model.get_layer("out").set_weights([kernel])
    colours = {"a": np.array([200.0, 10, 30]), "b": np.array([20.0, 180, 90])}
    of_maps = {"a": np.array([250.0, 20, 0]), "b": np.array([60.0, 90, 10])}
    images = {name: np.broadcast_to(colour, (2, 4, 4, 3)) for name, colour in colours.items()}
    happy = {name: np.broadcast_to(colour, (4, 4, 3)) for name, colour in of_maps.items()}
    targets = {"a": Unit("out", 0), "b": Unit("out", 1)}
    story = looking.same_story(model, images, happy, targets, "conv")
    for unit, name in enumerate("ab"):
        for other in "ab":
            shares = [kernel[:, unit] * colour for colour in (colours[name], of_maps[other])]
            expected = np.corrcoef(*shares)[0, 1]
            value = float(story.sel(image_class=name, map_class=other))
            assert value == pytest.approx(expected, abs=1e-4)
    assert "own HappyMap correlate by" in looking.summary(story)
