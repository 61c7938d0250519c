from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from helpers import maps
from helpers.maps import batches, fused
from helpers.maps.fused import Job, optimize


def small_net(channels, seed=0):
    keras.utils.set_random_seed(seed)
    x = pixels = keras.Input((14, 12, channels))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.Conv2D(8, 3, activation="relu", name="conv2d_1")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(6, 3, activation="relu", name="conv2d_2")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(5, activation="relu", bias_initializer="ones", name="dense_1")(x)
    return keras.Model(pixels, layers.Dense(3, activation="softmax", name="dense_2")(x))


def target(net, layer):
    return keras.Model(net.inputs, net.get_layer(layer).output)


def jobs_of(unit, count, shape=(14, 12, 1), tv=1e-2):
    return [Job(unit, tv, 10.0, maps.start_noise(seed, shape)) for seed in range(count)]


def found_by(net, jobs, **options):
    options = {"activation_weight": 1.0, "steps": 30} | options
    found = dict(optimize(net, jobs, **options))
    return [found[i] for i in range(len(jobs))]


@pytest.mark.parametrize("layer", ["conv2d_1", "conv2d_2", "dense_1"])
def test_each_maps_own_unit_is_what_it_is_of_all_units(layer):
    net = target(small_net(1), layer)
    all_units = keras.Model(net.inputs, layers.Identity()(net.output))
    jobs = [replace(job, unit=i % 3) for i, job in enumerate(jobs_of(2, 5))]
    for a, b in zip(found_by(net, jobs), found_by(all_units, jobs), strict=True):
        np.testing.assert_allclose(a.loss[:10], b.loss[:10], rtol=1e-4, atol=1e-6)


def test_a_map_does_not_follow_from_the_others_in_its_batch():
    net = target(small_net(1), "dense_2")
    mine = jobs_of(0, 16)
    others = jobs_of(1, 16, tv=5.0)
    for own in (0, 7):
        mixed = [*others[:own], mine[own], *others[own + 1 :]]
        a, b = found_by(net, mine)[own], found_by(net, mixed)[own]
        np.testing.assert_array_equal(a.raw, b.raw)
        np.testing.assert_array_equal(a.loss, b.loss)


def test_the_order_of_the_jobs_is_kept_over_batches(monkeypatch):
    monkeypatch.setattr(fused, "MOST_MAPS", 3)
    net = target(small_net(1), "conv2d_2")
    jobs = [Job(i % 4, 10.0**-i, 10.0, maps.start_noise(i, (14, 12, 1))) for i in range(7)]
    found = found_by(net, jobs, steps=1)
    for job, one in zip(jobs, found, strict=True):
        x = job.seed_input[None]
        down, right = x[:, 1:, :-1] - x[:, :-1, :-1], x[:, :-1, 1:] - x[:, :-1, :-1]
        tv = job.tv_weight * (down**2 + right**2).sum() / x.size
        assert one.parts["tv"][0] == pytest.approx(tv, rel=1e-4)
        activation = np.asarray(net(x))[..., job.unit].mean()
        assert one.parts["activation"][0] == pytest.approx(-activation, rel=1e-4, abs=1e-7)


def test_the_kept_picture_is_the_one_after_the_step_of_the_lowest_loss():
    net = target(small_net(1), "dense_1")
    pictures = []
    job = [Job(0, 0.0, 2e3, np.full((14, 12, 1), 2.0, "float32"))]
    whole = found_by(net, job, steps=12)[0]
    for steps in range(1, 13):
        found_by(net, job, steps=steps, on_step=lambda _, picture: pictures.append(picture))
        pictures[steps - 1 :] = pictures[-1:]
    lowest = int(whole.loss.argmin())
    assert lowest < 11
    np.testing.assert_allclose(whole.raw, pictures[lowest], atol=1e-4)


def test_a_picture_is_reported_after_the_first_step_and_every_twenty():
    steps = []
    found_by(
        target(small_net(1), "conv2d_1"),
        jobs_of(0, 2),
        steps=50,
        on_step=lambda step, picture: steps.append((step, picture.shape)),
    )
    assert steps == [(step, (14, 12, 1)) for step in (0, 20, 40, 49)]


def test_a_search_may_be_stopped_by_its_listener():
    def stop(step, picture):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        found_by(target(small_net(1), "conv2d_1"), jobs_of(0, 2), on_step=stop)


def test_a_loss_that_is_no_number_is_named():
    bad = [Job(0, 1.0, 10.0, np.full((14, 12, 1), np.nan, "float32"))]
    with pytest.raises(ValueError, match="NaN at the seed input"):
        found_by(target(small_net(1), "conv2d_1"), bad)


def net_with_silent_units():
    """Unit 0 is active where images are bright, 1 nowhere, and 2 below pixel values of 120."""
    pixels = keras.Input((6, 6, 1))
    net = keras.Model(pixels, layers.Conv2D(3, 1, activation="relu", name="conv")(pixels))
    net.layers[-1].set_weights([np.float32([[[[1, -1, -1]]]]), np.float32([0, 0, 120])])
    return net


def silent_jobs(*units):
    start = 125 + np.random.default_rng(0).random((6, 6, 1)).astype("float32")
    return [Job(unit, 0.0, 1e4, start, is_silent=unit > 0) for unit in units]


@pytest.mark.parametrize("unit", [1, 2])
def test_a_step_without_any_gradient_is_what_it_is_beside_a_unit_with_one(unit):
    net = net_with_silent_units()
    beside_active = found_by(net, silent_jobs(unit, 0), steps=20)[0]
    beside_silent = found_by(net, silent_jobs(unit, 1), steps=20)[0]
    np.testing.assert_array_equal(beside_active.loss, beside_silent.loss)
    np.testing.assert_array_equal(beside_active.raw, beside_silent.raw)
    activation = -beside_silent.parts["activation"]
    assert activation[0] == 0 and (activation[-1] > 0) == (unit == 2)


def test_silent_maps_share_batches():
    jobs = silent_jobs(1, 0, 2, 0)
    order = [i for i, _ in optimize(net_with_silent_units(), jobs, activation_weight=1.0, steps=1)]
    assert order == [1, 3, 0, 2]


def test_maps_of_large_activations_run_in_small_batches(monkeypatch):
    net = target(small_net(1), "conv2d_2")
    floats = 14 * 12 + 14 * 12 + 12 * 10 * 8 + 6 * 5 * 8 + 4 * 3 * 6
    monkeypatch.setattr(batches, "MOST_BYTES", 4 * floats * 3)
    assert [batches.images_at_once(net, count, 16) for count in (1, 2, 7)] == [1, 3, 3]
    assert batches.images_at_once(net, 7, 2) == 2
    by_three = found_by(net, jobs_of(1, 4), steps=10)
    monkeypatch.setattr(batches, "MOST_BYTES", 1)
    assert batches.images_at_once(net, 7, 16) == 1
    for a, b in zip(by_three, found_by(net, jobs_of(1, 4), steps=10), strict=True):
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-4, atol=1e-6)
