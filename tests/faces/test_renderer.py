from dataclasses import replace

import numpy as np
import pytest

from helpers.faces import head, renderer
from helpers.faces.dataset import POSES

RED, GREEN = np.array([0.8, 0.0, 0.0]), np.array([0.0, 0.8, 0.0])
MIDDLE = (0.0, -0.2, 0.0)
"""What the middle of the picture shows, in head units."""


def draw(monkeypatch, made, pose="straight", **circumstances):
    """These ellipsoids alone before black, the scene plain but for `circumstances`."""
    plain = {"yaw": 0, "pitch": 0, "roll": 0, "shift": (0, 0), "scale": 1.0, "ambient": 0.4}
    plain |= {"light": np.array([0.0, 0.0, 1.0]), "background": np.zeros((2, 3))}
    scene = head.draw_scene(pose, np.random.default_rng(0))
    monkeypatch.setattr(renderer, "parts", lambda person, scene: made)
    return renderer.render(None, replace(scene, **plain | circumstances))


def sphere(colour, z=0.0, radius=0.75):
    return head.Ellipsoid((*MIDDLE[:2], z), (radius,) * 3, colour)


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
        person = head.draw_person(np.random.default_rng(number))
        tips = {}
        for pose in POSES:
            scene = head.draw_scene(pose, np.random.default_rng([number, 1]))
            turn = renderer.rotation(scene.yaw, scene.pitch, scene.roll)
            nose = max(head.parts(person, scene)[:8], key=lambda part: part.centre[2])
            tips[pose] = turn @ nose.centre
        assert tips["left"][0] > 0.3 > abs(tips["straight"][0])
        assert tips["right"][0] < -0.3
        assert tips["up"][1] > tips["straight"][1] + 0.15


def test_a_sphere_covers_the_pixels_worked_by_hand(monkeypatch):
    red = draw(monkeypatch, [sphere(RED)])[..., 0]
    # The picture is 3 head units wide: a diameter of 1.5 is 32 of 64 pixels, columns 16 to 47.
    assert np.flatnonzero(red[32]).tolist() == list(range(16, 48))
    assert np.flatnonzero(red[:, 32]).tolist() == list(range(16, 48))
    # Of the square around it a disc covers pi / 4.
    assert (red > 0).sum() == pytest.approx(np.pi / 4 * 32**2, rel=0.06)


def test_light_is_ambient_and_lambert(monkeypatch):
    red = draw(monkeypatch, [sphere(RED)])[..., 0]
    # Straight at the viewer: 0.4 + (1.15 - 0.4) cos 0. Half way out the cosine is sqrt(3) / 2.
    assert red[32, 32] == pytest.approx(1.15 * 0.8, rel=0.01)
    assert red[32, 24] == pytest.approx((0.4 + 0.75 * np.sqrt(0.75)) * 0.8, rel=0.02)
    from_behind = draw(monkeypatch, [sphere(RED)], light=np.array([0.0, 0.0, -1.0]))[..., 0]
    assert from_behind[32, 32] == pytest.approx(0.4 * 0.8)


def test_the_lit_side_faces_the_light(monkeypatch):
    right = draw(monkeypatch, [sphere(RED)], light=np.array([1.0, 0.0, 0.0]))[..., 0]
    assert right[:, 32:].sum() > 1.5 * right[:, :32].sum()
    above = draw(monkeypatch, [sphere(RED)], light=np.array([0.0, 1.0, 0.0]))[..., 0]
    assert above[:32].sum() > 1.5 * above[32:].sum()


@pytest.mark.parametrize("red_first", [True, False])
def test_the_nearer_surface_is_seen_in_any_order(monkeypatch, red_first):
    both = [sphere(RED, z=1.0, radius=0.3), sphere(GREEN)]
    picture = draw(monkeypatch, both if red_first else both[::-1])
    assert picture[32, 32, 0] > 0.5 and picture[32, 32, 1] == 0
    assert picture[32, 20, 1] > 0.3 and picture[32, 20, 0] == 0


def test_the_nose_is_on_the_side_of_the_picture_that_the_pose_says(monkeypatch):
    person = head.draw_person(np.random.default_rng(0))
    where = {}
    for pose in POSES:
        scene = head.draw_scene(pose, np.random.default_rng(1))
        nose = max(head.parts(person, scene)[:8], key=lambda part: part.centre[2])
        with monkeypatch.context() as patch:
            turned = {"yaw": scene.yaw, "pitch": scene.pitch}
            rows, columns = draw(patch, [nose], **turned).sum(-1).nonzero()
        where[pose] = rows.mean(), columns.mean()
    assert where["left"][1] > 38 and where["right"][1] < 26
    assert 26 < where["straight"][1] < 38
    assert where["up"][0] < where["straight"][0] - 3


def test_a_turned_person_is_the_mirror_image_turned_the_other_way():
    person = head.draw_person(np.random.default_rng(0))
    front = np.array([0.0, 0.0, 1.0])
    scene = head.draw_scene("left", np.random.default_rng(1))
    left = replace(scene, yaw=50, roll=0, shift=(0, 0.0), light=front)
    turned = [renderer.render(person, replace(left, yaw=yaw)) for yaw in (50, -50)]
    np.testing.assert_allclose(turned[0], turned[1][:, ::-1], atol=0.15)
    assert np.abs(turned[0] - turned[1]).max() > 0.3


def test_sunglasses_expression_and_hair_show():
    person = head.draw_person(np.random.default_rng(0))
    scene = head.draw_scene("straight", np.random.default_rng(1))
    pictures = [
        renderer.render(replace(person, style=style), replace(scene, expression=e, sunglasses=s))
        for style, e, s in [
            ("short", "happy", False),
            ("short", "sad", False),
            ("short", "happy", True),
            ("long", "happy", False),
        ]
    ]
    for other in pictures[1:]:
        assert (np.abs(other - pictures[0]).max(-1) > 0.1).sum() >= 10
    dark = [(picture.max(-1) < 0.1).sum() for picture in pictures]
    assert dark[2] > dark[0] + 20


def test_scenes_vary_around_their_pose():
    rng = np.random.default_rng(0)
    scenes = {pose: [head.draw_scene(pose, rng) for _ in range(200)] for pose in POSES}
    yaw = {pose: np.array([scene.yaw for scene in scenes[pose]]) for pose in POSES}
    assert yaw["left"].mean() == pytest.approx(50, abs=2) and yaw["left"].std() > 5
    assert yaw["right"].mean() == pytest.approx(-50, abs=2) and abs(yaw["straight"]).max() < 40
    assert {scene.expression for scene in scenes["up"]} == set(head.EXPRESSIONS)
    assert 0.2 < np.mean([scene.sunglasses for scene in scenes["left"]]) < 0.4
