import numpy as np
import pytest
import xarray as xr
from planted import bank
from scipy.stats import mannwhitneyu

from helpers.measures import significance
from helpers.models import weights

DRAW = np.random.default_rng(0)


def measures(**values):
    return xr.Dataset({name: ("unit", np.asarray(v, float)) for name, v in values.items()})


def test_auc_by_hand():
    found = significance.tell_apart(measures(a=[1, 2, 3]), measures(a=[2, 0]))
    assert float(found["auc"][0]) == pytest.approx((0.5 + 1 + 1 + 1 + 1) / 6)
    assert float(found["trained"][0]) == 2 and float(found["control"][0]) == 1


def test_a_planted_difference_is_told_and_noise_is_not():
    noise = DRAW.normal(size=(2, 60))
    trained = measures(planted=noise[0] + 3, noise=noise[1])
    control = measures(planted=DRAW.normal(size=60), noise=DRAW.normal(size=60))
    found = significance.tell_apart(trained, control)
    assert found["tells"].values.tolist() == [True, False]
    assert float(found["auc"][0]) > 0.95 and 0.3 < float(found["auc"][1]) < 0.7
    p = mannwhitneyu(trained["planted"], control["planted"]).pvalue
    assert float(found["p"][0]) == pytest.approx(p)


def test_several_measures_are_corrected_for():
    a, b = np.arange(10.0), np.arange(10.0) + 4
    one = significance.tell_apart(measures(a=a), measures(a=b))
    assert 0.005 < float(one["p"][0]) < 0.05 and bool(one["tells"][0])
    many = {f"m{i}": a for i in range(9)}
    other = {f"m{i}": b for i in range(9)}
    assert not significance.tell_apart(measures(**many), measures(**other))["tells"].any()


def test_nan_is_left_out_and_measures_must_match():
    found = significance.tell_apart(measures(a=[1, np.nan, 2]), measures(a=[0, 0]))
    assert float(found["auc"][0]) == 1
    empty = significance.tell_apart(measures(a=[np.nan]), measures(a=[0, 0]))
    assert np.isnan(empty["auc"]).all() and not empty["tells"].any()
    with pytest.raises(ValueError, match="control must hold"):
        significance.tell_apart(measures(a=[1]), measures(b=[1]))


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
