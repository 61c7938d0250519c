import numpy as np
import pytest

from helpers import renderer
from helpers.faces import POSES


def test_a_ray_hits_an_ellipsoid_where_worked_by_hand():
    m = renderer.quadric((2.0, 3.0, 4.0), np.eye(3))
    assert renderer.hit(m, np.array(0.0), np.array(0.0)) == pytest.approx(4)
    # (1/2)^2 + (1.5/3)^2 + (z/4)^2 = 1  ->  z = 4 sqrt(1/2)
    assert renderer.hit(m, np.array(1.0), np.array(1.5)) == pytest.approx(4 * np.sqrt(0.5))
    assert np.isnan(renderer.hit(m, np.array(2.1), np.array(0.0)))


def test_a_turned_ellipsoid_is_hit_on_its_surface():
    turn = renderer.rotation(30, 20, 10)
    m = renderer.quadric((0.5, 1.0, 2.0), turn)
    dx, dy = np.array([0.1, -0.3]), np.array([0.2, 0.4])
    z = renderer.hit(m, dx, dy)
    local = turn.T @ np.stack([dx, dy, z])
    np.testing.assert_allclose((local.T**2 / [0.25, 1.0, 4.0]).sum(-1), 1)


def test_rotations_move_the_nose_as_named():
    nose = np.array([0, 0, 1.0])
    right, up = renderer.rotation(90, 0, 0) @ nose, renderer.rotation(0, 90, 0) @ nose
    np.testing.assert_allclose(right, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(up, [0, 1, 0], atol=1e-12)
    turn = renderer.rotation(10, 20, 30)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_same_seed_same_pictures_other_seed_others():
    first = renderer.render_people(2, 4, POSES, seed=3)[0]
    np.testing.assert_array_equal(first, renderer.render_people(2, 4, POSES, seed=3)[0])
    assert (first != renderer.render_people(2, 4, POSES, seed=4)[0]).any()


def test_a_picture_does_not_depend_on_how_many_are_drawn():
    few = renderer.render_people(1, 4, POSES, seed=3)[0]
    many = renderer.render_people(2, 8, POSES, seed=3)[0]
    np.testing.assert_array_equal(many[:4], few)


def test_pictures_are_colours_and_differ():
    pictures, people, poses = renderer.render_people(2, 4, POSES, seed=0)
    assert pictures.shape == (8, 64, 64, 3) and pictures.dtype == np.float32
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert len({p.tobytes() for p in pictures}) == 8
    assert people.tolist() == ["person00"] * 4 + ["person01"] * 4
    assert poses.tolist() == list(POSES) * 2


def test_left_shows_the_nose_on_the_right_hand_side():
    for number in range(5):
        person = renderer.draw_person(np.random.default_rng(number))
        tips = {}
        for pose in POSES:
            scene = renderer.draw_scene(pose, np.random.default_rng([number, 1]))
            head = renderer.rotation(scene.yaw, scene.pitch, scene.roll)
            nose = max(renderer.parts(person, scene)[:8], key=lambda part: part.centre[2])
            tips[pose] = head @ nose.centre
        assert tips["left"][0] > 0.3 > abs(tips["straight"][0])
        assert tips["right"][0] < -0.3
        assert tips["up"][1] > tips["straight"][1] + 0.15
