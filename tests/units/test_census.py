import numpy as np
import pytest
import xarray as xr
from planted import ALWAYS_ON, DEAD, EDGE, LIGHT, RANDOM, SIZE, TWIN, bank, images
from scipy.stats import mannwhitneyu

from helpers.models import cutting
from helpers.units import census, redundancy
from helpers.units.responses import measure_responses

IMAGES, MODEL = images(), bank()
RESPONSES = measure_responses(MODEL, IMAGES, "bank", progress=False)
CENSUS = census.unit_census(RESPONSES, selective_for="left")


def test_responses_of_an_edge_by_hand():
    left = RESPONSES.isel(image=1, unit=EDGE)
    step, side = 4 * 0.3, SIZE - 2
    assert float(left["max"]) == pytest.approx(step, rel=1e-4)
    assert float(left["activation"]) == pytest.approx(2 * step / side, rel=1e-4)
    assert int(left["max_column"]) == SIZE // 2 - 2 and int(left["max_row"]) == 0
    always = RESPONSES.isel(image=1, unit=ALWAYS_ON)
    assert float(always["min"]) == pytest.approx(2 - step / 100, rel=1e-5)
    assert int(always["min_column"]) == SIZE // 2 - 2 and int(always["min_row"]) == 0
    assert str(left["label"].values) == "left" and str(left["group"].values) == "person0"
    brightness = float(IMAGES.images[1].mean()) * 255
    assert float(left["brightness"]) == pytest.approx(brightness, rel=1e-5)


def test_responses_before_the_activation_and_of_a_dense_layer():
    before = measure_responses(MODEL, IMAGES, "bank", objective="pre-activation", progress=False)
    assert float(before["activation"].sel(unit=DEAD).max()) < -90
    dense = measure_responses(MODEL, IMAGES, "decide", progress=False, batch=5)
    np.testing.assert_allclose(dense["activation"].sum("unit"), 1, rtol=1e-5)
    np.testing.assert_array_equal(dense["max"], dense["activation"])
    assert int(dense["max_row"].max()) == int(dense["max_column"].max()) == 0


def test_responses_of_a_unit_less_the_others():
    logits, contrast = (
        measure_responses(MODEL, IMAGES, "decide", objective=name, progress=False)["activation"]
        for name in ("pre-activation", "pre-activation minus others")
    )
    np.testing.assert_allclose(
        contrast.sel(unit=1), logits.sel(unit=1) - logits.sel(unit=0), rtol=1e-5
    )


def test_each_planted_unit_is_what_it_was_planted_as():
    assert CENSUS["dead"].values.tolist() == [u == DEAD for u in range(6)]
    assert set(np.flatnonzero(CENSUS["always_on"])) == {ALWAYS_ON, LIGHT, TWIN}
    assert float(CENSUS["brightness_correlation"].sel(unit=LIGHT)) == pytest.approx(1, abs=1e-3)
    assert np.isnan(CENSUS["brightness_correlation"].sel(unit=DEAD))
    assert float(CENSUS["selectivity"].sel(unit=EDGE)) == 1
    assert float(CENSUS["selectivity"].sel(unit=DEAD)) == 0.5
    assert float(CENSUS["class_selectivity"].sel(unit=EDGE)) > 0.99
    assert abs(float(CENSUS["brightness_correlation"].sel(unit=EDGE))) < 0.9


def test_apoz_by_hand():
    positive = xr.DataArray([[0.5, 0.0], [0.25, 0.0]], dims=("image", "unit"))
    found = census.unit_census(
        RESPONSES.isel(image=slice(2), unit=slice(2)).assign(positive=positive),
        selective_for="left",
    )
    assert found["apoz"].values.tolist() == [0.625, 1.0]


def test_selectivity_is_mann_whitneys_u():
    values = RESPONSES["activation"].sel(unit=RANDOM).values
    left = RESPONSES["label"].values == "left"
    test = mannwhitneyu(values[left], values[~left])
    expected = test.statistic / (left.sum() * (~left).sum())
    assert float(CENSUS["selectivity"].sel(unit=RANDOM)) == pytest.approx(expected)


def test_selective_for_a_class_that_is_not_there():
    with pytest.raises(ValueError, match="selective_for .*'left', 'not left'.*'up'"):
        census.unit_census(RESPONSES, selective_for="up")


def test_activation_correlation_against_numpy():
    found = redundancy.activation_correlation(MODEL, IMAGES, "bank", batch=7, progress=False)
    outputs = cutting.at_layer(MODEL, "bank").predict(IMAGES.images * 255, verbose=0).reshape(-1, 6)
    with np.errstate(invalid="ignore"):
        expected = np.corrcoef(outputs.T.astype("float64"))
    alive = [u for u in range(6) if u != DEAD]
    np.testing.assert_allclose(
        found.values[np.ix_(alive, alive)], expected[np.ix_(alive, alive)], atol=1e-5
    )
    assert np.isnan(found.sel(unit=DEAD)).all()
    assert float(found.sel(unit=LIGHT, other_unit=TWIN)) == pytest.approx(1)
    groups = redundancy.clusters(found)
    assert np.flatnonzero(groups == 1).tolist() == [LIGHT, TWIN]
    assert int(groups.sel(unit=DEAD)) == 0


def square(values):
    labels = range(len(values))
    return xr.DataArray(values, {"unit": labels, "other_unit": labels}, ("unit", "other_unit"))


def test_effective_rank_by_hand():
    assert redundancy.effective_rank(square(np.eye(4))) == pytest.approx(4)
    assert redundancy.effective_rank(square(np.ones((4, 4)))) == pytest.approx(1)
    two = square([[1, 0.6], [0.6, 1]])
    p = np.sqrt([1.6, 0.4]) / np.sqrt([1.6, 0.4]).sum()
    assert redundancy.effective_rank(two) == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    with_dead = square([[1, 0.6, np.nan], [0.6, 1, np.nan], [np.nan] * 3])
    assert redundancy.effective_rank(with_dead) == pytest.approx(redundancy.effective_rank(two))


def test_effective_rank_is_that_of_the_standardised_activations():
    rng = np.random.default_rng(0)
    activations = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 5))
    standard = (activations - activations.mean(0)) / activations.std(0)
    s = np.linalg.svd(standard, compute_uv=False)
    p = s / s.sum()
    found = redundancy.effective_rank(square(np.corrcoef(activations.T)))
    assert found == pytest.approx(np.exp(-(p * np.log(p)).sum()))


def test_clusters_by_hand():
    found = redundancy.clusters(square([[1, 0.2, 0.95], [0.2, 1, 0.1], [0.95, 0.1, 1]]))
    assert found.values.tolist() == [1, 2, 1]
    assert redundancy.clusters(square([[1.0]])).values.tolist() == [1]


def test_the_most_correlated_unit_by_hand():
    nan = np.nan
    found = redundancy.most_correlated_unit(
        square([[1, 0.2, 0.9, nan], [0.2, 1, 0.1, nan], [0.9, 0.1, 1, nan], [nan] * 4])
    )
    assert found["most_correlated_unit"].values.tolist() == [2, 0, 0, -1]
    np.testing.assert_array_equal(found["max_correlation"], [0.9, 0.2, 0.9, nan])
