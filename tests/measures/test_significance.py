import numpy as np
import pytest
import xarray as xr
from planted import bank
from scipy.stats import beta, mannwhitneyu, spearmanr

from helpers.measures import INCONCLUSIVE, significance
from helpers.models import weights

RNG = np.random.default_rng(0)


def measures(**values):
    return xr.Dataset({name: ("unit", np.asarray(v, float)) for name, v in values.items()})


def test_auc_by_hand():
    row = significance.separability(measures(a=[1, 2, 3]), measures(a=[2, 0])).loc["a"]
    assert row["auc"] == pytest.approx((0.5 + 1 + 1 + 1 + 1) / 6)
    assert row["trained"] == 2 and row["control"] == 1


def test_a_planted_difference_separates_and_noise_does_not():
    noise = RNG.normal(size=(2, 60))
    trained = measures(planted=noise[0] + 3, noise=noise[1])
    control = measures(planted=RNG.normal(size=60), noise=RNG.normal(size=60))
    table = significance.separability(trained, control)
    assert table["verdict"].tolist() == ["higher", INCONCLUSIVE]
    assert significance.separability(control, trained)["verdict"].iloc[0] == "lower"
    assert table.loc["planted", "auc"] > 0.95 and 0.3 < table.loc["noise", "auc"] < 0.7
    p = mannwhitneyu(trained["planted"], control["planted"]).pvalue
    assert table.loc["planted", "p"] == pytest.approx(p)


def test_several_measures_are_corrected_for():
    a, b = np.arange(10.0), np.arange(10.0) + 4
    single = significance.separability(measures(a=a), measures(a=b)).loc["a"]
    assert 0.005 < single["p"] < 0.05 and single["verdict"] == "lower"
    many, other = ({f"m{i}": values for i in range(9)} for values in (a, b))
    table = significance.separability(measures(**many), measures(**other))
    assert (table["verdict"] == INCONCLUSIVE).all()


def test_nan_is_left_out_and_measures_must_match():
    table = significance.separability(measures(a=[1, np.nan, 2]), measures(a=[0, 0]))
    assert table.loc["a", "auc"] == 1
    empty = significance.separability(measures(a=[np.nan]), measures(a=[0, 0])).loc["a"]
    assert np.isnan(empty["auc"]) and empty["verdict"] == INCONCLUSIVE
    with pytest.raises(ValueError, match="control must hold"):
        significance.separability(measures(a=[1]), measures(b=[1]))


def test_a_verdict_is_bonferronis():
    words = ("up", "down")
    assert significance.verdict(0.04, 1, 1, words) == "up"
    assert significance.verdict(0.04, -1, 1, words) == "down"
    assert significance.verdict(0.04, 1, 2, words) == INCONCLUSIVE
    assert significance.verdict(np.nan, 1, 1, words) == INCONCLUSIVE


def test_rank_agreement_is_spearmans_rho():
    lost = xr.DataArray([0.5, 0.1, 0.2, 0.0], {"unit": range(4)}, ("unit",))
    table = significance.rank_agreement(
        measures(same=[9, 2, 3, 1], turned=[1, 3, 2, 4], constant=[1] * 4, gap=[5, np.nan, 2, 3])
        .assign_coords(unit=range(4)),
        lost,
    )  # fmt: skip
    assert table["rho"].tolist()[:2] == pytest.approx([1, -1])
    assert np.isnan(table.loc["constant", "rho"])
    expected = spearmanr([5, 2, 3], [0.5, 0.2, 0.0]).statistic
    assert table.loc["gap", "rho"] == pytest.approx(expected)
    assert table["units"].tolist() == [4, 4, 4, 3]
    many = xr.DataArray(np.arange(30.0), {"unit": range(30)}, ("unit",))
    words = significance.rank_agreement(xr.Dataset({"a": many, "b": -many}), many)["verdict"]
    assert words.tolist() == ["agrees", "opposes"]


def test_paired_and_changed_units_by_hand():
    a = np.arange(12.0)
    assert significance.paired_p(a + 1, a) == pytest.approx(2 / 2**12)
    assert significance.paired_p(a, a) == 1
    before = np.array([True] * 10 + [False] * 10)
    after = np.array([False] * 9 + [True] * 3 + [False] * 8)
    mcnemar = 2 * (1 + 11 + 55) / 2**11
    assert significance.change_p(before, after, paired=True) == pytest.approx(mcnemar)
    assert significance.change_p(before, before, paired=True) == 1
    assert significance.change_p(before, after, paired=False) == pytest.approx(0.0407, abs=2e-4)


def test_a_proportion_has_its_exact_interval():
    low, high = beta.ppf(0.025, 2, 3), beta.ppf(0.975, 3, 2)
    expected = f"2 of 4 (50 %, 95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
    assert significance.proportion(2, 4) == expected


def test_reinitialised_weights_are_new_the_seeds_and_leave_the_net_alone():
    net = bank()
    before = [w.copy() for w in net.get_weights()]
    one, same, other = (weights.reinitialised(net, seed=seed) for seed in (0, 0, 1))
    for a, b, c, old, now in zip(
        *(m.get_weights() for m in (one, same, other)), before, net.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(old, now)
        assert a.ndim == 1 or (not np.array_equal(a, c) and not np.array_equal(a, old))
    assert [layer.name for layer in one.layers] == [layer.name for layer in net.layers]
