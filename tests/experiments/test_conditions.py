import keras
import numpy as np
import pytest

from experiments.experiment3 import conditions
from helpers import maps
from helpers.sweeps.study import Study

EXPERIMENT = """
[nets.tiny]
main = "tiny.keras"

[grids.conv]
layer = "conv"
steps = 2
seeds = [0, 1]
"""
SHAPE = (20, 16, 1)


@pytest.fixture
def study(tmp_path):
    keras.utils.set_random_seed(0)
    pixels = keras.Input(SHAPE)
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(3, 3, activation="relu", bias_initializer="ones", name="conv")(x)
    keras.Model(pixels, x).save(tmp_path / "tiny.keras")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    return Study(tmp_path / "experiment.toml", "tiny", results=tmp_path / "results")


def test_starts_are_noise_faces_or_noise_around_the_mean_face():
    noise, faces, mean, random = (
        conditions.starts(condition, SHAPE, (0, 3)) for condition in conditions.CONDITIONS
    )
    np.testing.assert_array_equal(noise[1], maps.start_noise(3, SHAPE))
    np.testing.assert_array_equal(random, noise)
    np.testing.assert_allclose(mean[1] - mean[0], noise[1] - noise[0], atol=1e-3)
    average = mean[0] - noise[0] + 127.5
    assert np.abs(average - average[:, ::-1]).mean() < np.abs(faces[0] - faces[0][:, ::-1]).mean()
    assert faces.min() >= 0 and faces.max() <= 255 and faces.std() > 2 * noise.std()
    assert np.abs(faces[0] - faces[1]).mean() > 5


def test_an_unknown_condition_is_named():
    with pytest.raises(ValueError, match="condition must be one of"):
        conditions.starts("rain", SHAPE, (0,))


def test_maps_under_a_condition_start_there_and_are_stored(study):
    found = conditions.maps_under(study, "conv", conditions.FACES, progress=False)
    starts = conditions.starts(conditions.FACES, SHAPE, (0, 1))
    direct = maps.happy_maps(
        study.model(), "conv", seeds=[0, 1], steps=2, seed_input=starts, progress=False
    )
    np.testing.assert_allclose(found["raw"], direct["raw"], rtol=1e-4)
    assert len(list(study.results.glob("*.nc"))) == 1
    again = conditions.maps_under(study, "conv", conditions.FACES, progress=False)
    assert again.attrs["created"] == found.attrs["created"]


def test_random_weights_are_other_weights_from_the_same_noise(study):
    trained = conditions.maps_under(study, "conv", conditions.NOISE, progress=False)
    random = conditions.maps_under(study, "conv", conditions.RANDOM_WEIGHTS, progress=False)
    assert random.attrs["weight_digest"] != trained.attrs["weight_digest"]
    np.testing.assert_allclose(
        random["loss_lp_norm"].isel(step=0), trained["loss_lp_norm"].isel(step=0), rtol=1e-5
    )
    assert not np.allclose(random["activation_seed"], trained["activation_seed"])
