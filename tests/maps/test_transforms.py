import numpy as np
import pytest
import tensorflow as tf

from helpers import maps
from helpers.maps import transforms

GEOMETRIC = [
    (maps.Pad(3),),
    (maps.Jitter(4),),
    (maps.RandomScale(0.8, 1.3),),
    (maps.RandomRotate(20),),
    (maps.RandomCrop(3),),
    (maps.Pad(12), maps.RandomScale(0.9, 1.1), maps.RandomRotate(10), maps.Jitter(8)),
]
ALL = [*GEOMETRIC, (maps.Blur(1.2),), (maps.Jitter(2), maps.Blur(0.8), maps.RandomRotate(9))]
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 11, 9, 3)).astype("float32")


def applied(chosen, images, seeds=(0, 1)):
    draws = np.stack([transforms.draw(chosen, seed, 1)[0] for seed in seeds])
    return transforms.apply(chosen, tf.constant(images), tf.constant(draws)).numpy()


@pytest.mark.parametrize("chosen", ALL, ids=lambda chosen: "-".join(map(str, chosen)))
def test_a_constant_image_stays_constant(chosen):
    images = np.full((2, 11, 9, 3), [10.0, 128.0, 250.0], "float32")
    np.testing.assert_allclose(applied(chosen, images), images, rtol=1e-5)


def test_a_gray_pad_brings_gray_in_from_outside():
    black = np.zeros((2, 11, 9, 3), "float32")
    seen = applied((maps.Pad(3, "gray"), maps.RandomScale(0.5, 0.5)), black)
    np.testing.assert_allclose(seen[:, 0, 0], 127.5)
    np.testing.assert_allclose(seen[:, 5, 4], 0)
    gray = np.full_like(black, 127.5)
    np.testing.assert_allclose(applied(maps.ROBUST[1:], gray), gray, rtol=1e-5)


@pytest.mark.parametrize(
    "chosen", [*ALL, maps.ROBUST], ids=lambda chosen: "-".join(map(str, chosen))
)
def test_gradients_are_those_of_finite_differences(chosen):
    rng = np.random.default_rng(1)
    images = tf.constant(IMAGES)
    draws = tf.constant(np.stack([transforms.draw(chosen, seed, 1)[0] for seed in (3, 4)]))
    weights = tf.constant(rng.normal(size=IMAGES.shape).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(weights * transforms.apply(chosen, images, draws))
    gradient = tape.gradient(value, images).numpy()
    step = rng.normal(size=IMAGES.shape).astype("float32")
    ends = [transforms.apply(chosen, images + sign * step, draws) for sign in (1, -1)]
    difference = float(tf.reduce_sum(weights * (ends[0] - ends[1]))) / 2
    assert (gradient * step).sum() == pytest.approx(difference, rel=1e-3, abs=1e-2)


def test_a_shift_is_by_whole_pixels_and_mirrored_at_the_border():
    draws = np.array([[0.999, 0.0]], "float32")  # shifts by +2 and -2
    moved = transforms.apply((maps.Jitter(2),), tf.constant(IMAGES[:1]), tf.constant(draws))
    padded = np.pad(IMAGES[0], [(2, 2), (2, 2), (0, 0)], "reflect")
    np.testing.assert_allclose(moved[0], padded[0:11, 4:13], atol=1e-3)


def test_a_rotation_by_a_right_angle_is_numpys():
    image = tf.constant(IMAGES[:1, :9, :9])
    turned = transforms.apply((maps.RandomRotate(90),), image, tf.constant([[1.0]]))
    np.testing.assert_allclose(turned[0], np.rot90(image[0], 1), atol=0.01)


def test_enlarging_twofold_puts_every_second_pixel_where_it_was():
    image = IMAGES[:1, :9, :9]
    large = transforms.apply(
        (maps.RandomScale(2.0, 2.0),), tf.constant(image), tf.constant([[0.5]])
    )
    np.testing.assert_allclose(large[0, ::2, ::2], image[0, 2:7, 2:7], atol=1e-3)


def test_neighbouring_transforms_are_one_resampling():
    """Two half-pixel shifts, each interpolated, would blur."""
    pair = (maps.RandomScale(2.0, 2.0), maps.RandomScale(0.5, 0.5))
    image = IMAGES[:1, :9, :9]
    np.testing.assert_allclose(applied(pair, image, [0]), image, atol=0.01)


def test_the_noise_has_its_sd_and_follows_the_maps_own_draws():
    images = np.full((3, 40, 40, 3), 100.0, "float32")
    noise = applied((maps.GaussianNoise(5.0),), images, [7, 8, 7]) - images
    assert noise.std() == pytest.approx(5, rel=0.05)
    np.testing.assert_array_equal(noise[0], noise[2])
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1


def test_a_blur_is_scipys():
    ndimage = pytest.importorskip("scipy.ndimage")
    blurred = applied((maps.Blur(1.0),), IMAGES)
    expected = ndimage.gaussian_filter(IMAGES[0], (1, 1, 0), mode="reflect", truncate=3)
    np.testing.assert_allclose(blurred[0], expected, rtol=1e-4)


def test_draws_follow_the_seed():
    first = transforms.draw(maps.ROBUST, 3, 10)
    assert first.shape == (10, sum(transform.draws for transform in maps.ROBUST))
    np.testing.assert_array_equal(first, transforms.draw(maps.ROBUST, 3, 10))
    assert (first != transforms.draw(maps.ROBUST, 4, 10)).all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: maps.RandomScale(1.1, 0.9), "low and high"),
        (lambda: maps.Blur(0.0), "sd of Blur"),
        (lambda: maps.Jitter("2"), "pixels of Jitter"),
        (lambda: applied((maps.RandomCrop(9),), IMAGES), "pixels of RandomCrop must be below 9"),
    ],
)
def test_bad_values_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()
