import numpy as np
import pytest

from experiments.experiment6 import figures, judged, recipes
from helpers.faces.dataset import POSES
from helpers.faces.training import build_model
from helpers.models import at_layer

SEEDS = 2


@pytest.fixture(scope="module")
def model():
    return build_model((64, 64, 3), len(POSES), judged.POST, seed=0)


@pytest.fixture(scope="module")
def pixels():
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (len(POSES), SEEDS, 8, 8, 3))
    return coarse.repeat(8, 2).repeat(8, 3).astype("uint8")


@pytest.fixture(scope="module")
def measured(model, pixels):
    flat = pixels.reshape(-1, 64, 64, 3).astype("float32")
    other = build_model((64, 64, 3), len(POSES), judged.OTHER_ARCHITECTURE, seed=0)
    return judged.measure(pixels, model, [model], other, flat)


def test_the_measures_are_those_of_the_logits(model, pixels, measured):
    flat = pixels.reshape(-1, 64, 64, 3).astype("float32")
    logits = np.asarray(at_layer(model, recipes.LAST, pre_activation=True)(flat))
    labels = np.repeat(range(len(POSES)), SEEDS)
    own = logits[range(len(flat)), labels]
    margin = own - (logits.sum(1) - own) / 3
    np.testing.assert_allclose(measured["own_margin"].values.ravel(), margin, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(measured["own_margin"], measured["judges_margin"])
    np.testing.assert_array_equal(measured["transfer"].values.ravel(), logits.argmax(1) == labels)
    np.testing.assert_allclose(measured["distance"], 0, atol=1e-5)


def test_tables_and_figure_show_every_recipe(pixels, measured):
    shown = ("recipe", "label", "seed", "height", "width", "channel")
    by_recipe = [
        measured.expand_dims(recipe=["robust", "MaCo"]).assign(
            display=(shown, np.stack([pixels, 255 - pixels]))
        )
        for _ in range(3)
    ]
    by_recipe[1] = by_recipe[1].assign(transfer=by_recipe[1]["transfer"] * 0)
    joined = judged.join(by_recipe)
    transfer = float(measured["transfer"].mean())
    assert judged.table(joined).loc["MaCo", "transfer, other trainings"] == pytest.approx(
        transfer * 2 / 3
    )
    by_model = judged.by_model(joined, "transfer")
    assert by_model.loc["robust"].tolist() == pytest.approx([transfer, 0, transfer])
    assert list(judged.by_label(joined, "transfer").columns) == list(POSES)
    figure = figures.of_faces(joined, title="Faces")
    assert len(figure.axes) == 2 * len(POSES)
    assert "straight: robust" in figure.alt
