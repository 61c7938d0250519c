import numpy as np
import pytest
import xarray as xr
from planted import as_maps
from scipy.stats import beta

from experiments.experiment3 import survival
from experiments.experiment3.survival import IMAGE, NO_MAP, NO_REPEAT, NOISE, TEXTURE

SEEDS = 12
RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.normal(size=(*shape, 24, 24, 1))


def same_texture(count):
    """Pictures of one amplitude spectrum and random phases."""
    amplitude = np.abs(np.fft.fft2(noise()[..., 0]))
    amplitude = np.where(amplitude > np.median(amplitude), 1, 0.3)
    phases = np.exp(1j * np.angle(np.fft.fft2(noise(count)[..., 0])))
    planes = np.fft.ifft2(amplitude * phases).real
    return ((planes - planes.mean()) / planes.std())[..., None]


def planted():
    """Unit 0 is one picture elsewhere, unit 1 one texture, 7 nothing, the others are noise."""
    planes = noise(8, SEEDS)
    plane = noise()
    planes[0] = np.stack([np.roll(plane, shift, (0, 1)) for shift in RNG.integers(0, 24, SEEDS)])
    planes[1] = same_texture(SEEDS)
    raised = np.ones((8, SEEDS))
    raised[7] = 0
    return as_maps(planes, raised)


PLANTED = planted()
JUDGED = survival.judge(PLANTED, progress=False)


def outcomes(*values):
    return xr.Dataset({"outcome": ("unit", list(values))}, {"unit": range(len(values))})


def test_outcomes_of_planted_units():
    assert JUDGED["outcome"].values.tolist() == [IMAGE, TEXTURE, *[NOISE] * 5, NO_MAP]
    assert JUDGED["raised"].values.tolist() == [1] * 7 + [0]
    assert float(JUDGED["high_frequency_share"].sel(unit=3)) == pytest.approx(0.8, abs=0.03)
    assert JUDGED.attrs["tv_weight"] == 1
    similarity, level, null = (JUDGED[name].sel(unit=0) for name in ("similarity", "level", "null"))
    assert similarity > level > null


def test_what_is_coarse_and_does_not_repeat_is_no_noise():
    blocks = noise(8, 4)[:, :, ::4, ::4]
    judged = survival.judge(as_maps(blocks.repeat(4, 2).repeat(4, 3)), progress=False)
    assert (judged["outcome"] == NO_REPEAT).sum() >= 7


def test_in_place_an_image_that_moves_does_not_repeat():
    judged = survival.judge(PLANTED, shifts=False, progress=False)
    assert judged["outcome"].values[0] == NOISE
    assert "texture_similarity" not in judged


def test_what_is_left_of_the_start_is_the_correlation_with_it():
    starts = RNG.uniform(0, 255, (SEEDS, 24, 24, 1))
    planes = noise(3, SEEDS)
    planes[1] = (starts - starts.mean()) / starts.std()
    judged = survival.judge(as_maps(planes), starts=starts, progress=False)
    assert float(judged["start_similarity"].sel(unit=1)) > 0.99
    assert abs(float(judged["start_similarity"].sel(unit=0))) < 0.05


def test_shares_and_counts_by_hand():
    judged = {"a": outcomes(IMAGE, IMAGE, NO_MAP, NO_REPEAT)}
    table = survival.shares(judged)
    assert table.loc["a"].to_dict() == {
        **{IMAGE: 0.5, TEXTURE: 0, NOISE: 0, NO_REPEAT: 0.25, NO_MAP: 0.25}
    }
    low, high = beta.ppf(0.025, 2, 3), beta.ppf(0.975, 3, 2)
    expected = f"2 of 4 (50 %, 95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
    assert survival.in_words(judged["a"], IMAGE) == expected


def test_changes_are_judged_unit_by_unit_where_the_units_are_the_same():
    before = {"a": outcomes(*[IMAGE] * 10, *[NO_REPEAT] * 10)}
    after = {"a": outcomes(*[NO_MAP] * 9, *[TEXTURE] * 3, *[NOISE] * 8)}
    same = survival.change(before, after, paired=True).loc["a"]
    assert same[["before", "after", "gained", "lost"]].tolist() == [10, 3, 2, 9]
    assert (
        same["p"] == pytest.approx(2 * (1 + 11 + 55) / 2**11) and same["verdict"] == "inconclusive"
    )
    others = survival.change(before, after, paired=False).loc["a"]
    assert others["p"] == pytest.approx(0.0407, abs=2e-4) and others["verdict"] == "fewer"
    twice = survival.change(before | {"b": before["a"]}, after | {"b": before["a"]}, paired=False)
    assert twice["verdict"].tolist() == ["inconclusive", "inconclusive"]


def test_units_are_ranked_by_similarity_within_their_outcome():
    judged = outcomes(IMAGE, NO_REPEAT, IMAGE, NO_MAP)
    judged["similarity"] = ("unit", [0.5, 0.9, 0.7, np.nan])
    assert survival.ranked(judged, IMAGE) == [2, 0]
    assert survival.ranked(judged, IMAGE, NO_REPEAT, NO_MAP) == [1, 2, 0]


def test_the_summary_is_of_medians():
    table = survival.summary({"all": JUDGED})
    assert table.loc["all", "similarity"] == pytest.approx(float(JUDGED["similarity"].median()))
    assert table.loc["all", "level"] == pytest.approx(float(JUDGED["level"].median()))


def test_numbers_are_what_two_nets_are_compared_by():
    assert list(survival.numbers(JUDGED)) == [
        *("similarity", "texture_similarity", "activation_spread", "high_frequency_share")
    ]
