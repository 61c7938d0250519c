"""Faces drawn by a small ray caster: ellipsoids in 3-D, one parallel ray a sample.

The head, as `helpers.faces.head` makes it, is turned by yaw, pitch and roll; neck and shoulders
stay. Each sample takes the nearest surface, shaded by Lambert's law with ambient light.
"""

from collections.abc import Callable, Sequence

import numpy as np
from tqdm.auto import tqdm

from helpers.faces.head import Ellipsoid, Person, Scene, draw_person, draw_scene, parts

SIZE = 64
SUPERSAMPLING = 2
HALF_WIDTH = 1.5
"""Half the image's width, in head units."""


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Matrix (3, 3) that turns a head: roll about z, pitch (nose up), then yaw (nose right)."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]]
    about_z = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    return np.array(about_y) @ np.array(about_x) @ np.array(about_z)


def quadric(radii: Sequence[float], turn: np.ndarray) -> np.ndarray:
    """Matrix M (3, 3) with p' M p = 1 on the surface of an ellipsoid turned by `turn`."""
    return turn @ np.diag(1 / np.square(radii)) @ turn.T


def hit(m: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Height z over the centre where rays along -z first meet the quadric; NaN where they miss.

    The larger root of `m33 z^2 + 2 (m13 dx + m23 dy) z + (m11 dx^2 + 2 m12 dx dy + m22 dy^2 - 1)`.
    """
    half_b = m[0, 2] * dx + m[1, 2] * dy
    c = m[0, 0] * dx**2 + 2 * m[0, 1] * dx * dy + m[1, 1] * dy**2 - 1
    under_root = half_b**2 - m[2, 2] * c
    with np.errstate(invalid="ignore"):
        return (np.sqrt(under_root) - half_b) / m[2, 2]


def render(person: Person, scene: Scene) -> np.ndarray:
    """One image (64, 64, 3) float32 in [0, 1]."""
    samples = SIZE * SUPERSAMPLING
    axis = (np.arange(samples, dtype="float32") + 0.5) / samples * 2 - 1
    xs, ys = axis * HALF_WIDTH, -axis * HALF_WIDTH - 0.2
    mix = np.linspace(0, 1, samples, dtype="float32")[:, None, None]
    image = np.broadcast_to(
        scene.background[0] * (1 - mix) + scene.background[1] * mix, (samples, samples, 3)
    ).astype("float32")
    depth = np.full((samples, samples), -np.inf, "float32")
    head = rotation(scene.yaw, scene.pitch, scene.roll)
    for part in parts(person, scene):
        turn = (head if part.turns else np.eye(3)) @ rotation(0, 0, part.roll)
        centre = (head if part.turns else np.eye(3)) @ np.array(part.centre) * scene.scale
        centre[:2] += scene.shift
        _draw(image, depth, xs, ys, centre, np.array(part.radii) * scene.scale, turn, part, scene)
    blocks = image.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING, 3)
    return np.clip(blocks.mean((1, 3)), 0, 1).astype("float32")


def render_people(
    people: int,
    per_person: int,
    poses: Sequence[str],
    *,
    seed: int,
    name: str = "person",
    change_scene: Callable[[Scene], Scene] = lambda scene: scene,
    change_image: Callable[[np.ndarray], np.ndarray] = lambda image: image,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw every person equally often in every pose; the same seed gives the same images.

    Args:
        people: how many different people.
        per_person: images of each; the poses take turns.
        poses: names of `YAW`.
        seed: at least 0.
        name: what each person's name begins with; their number follows.
        change_scene: changes each scene before it is drawn.
        change_image: changes each image, (64, 64, 3) in 0..1, after it was drawn.

    Returns:
        Images (N, 64, 64, 3) float32 in 0..1, people (N,) str and poses (N,) str.

    Raises:
        ValueError: `people` or `per_person` below 1, or `seed` below 0.
    """
    for argument, value, least in (
        ("people", people, 1),
        ("per_person", per_person, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ValueError(f"{argument} must be at least {least}, got {value}")
    images, names, pose_of_each = [], [], []
    for number in tqdm(range(people), desc="rendered people"):
        person = draw_person(np.random.default_rng([seed, number]))
        for k in range(per_person):
            pose = poses[k % len(poses)]
            scene = draw_scene(pose, np.random.default_rng([seed, number, k]))
            images.append(change_image(render(person, change_scene(scene))))
            names.append(f"{name}{number:02d}")
            pose_of_each.append(pose)
    return np.stack(images).astype("float32"), np.array(names), np.array(pose_of_each)


def _draw(image, depth, xs, ys, centre, radii, turn, part: Ellipsoid, scene: Scene) -> None:
    reach = np.sqrt((turn**2) @ np.square(radii))
    columns = slice(*np.searchsorted(xs, (centre[0] - reach[0], centre[0] + reach[0])))
    rows = slice(*np.searchsorted(-ys, (-centre[1] - reach[1], -centre[1] + reach[1])))
    dx = (xs[columns] - centre[0]).astype("float32")[None, :]
    dy = (ys[rows] - centre[1]).astype("float32")[:, None]
    m = quadric(radii, turn).astype("float32")
    z = hit(m, dx, dy)
    front = z + np.float32(centre[2]) > depth[rows, columns]
    if not front.any():
        return
    z = z[front]
    dx, dy = np.broadcast_to(dx, front.shape)[front], np.broadcast_to(dy, front.shape)[front]
    normal = m @ np.stack([dx, dy, z])
    normal /= np.linalg.norm(normal, axis=0)
    lambert = np.clip(scene.light.astype("float32") @ normal, 0, None)
    shade = scene.ambient + (1.15 - scene.ambient) * lambert
    image[rows, columns][front] = shade[:, None] * part.colour.astype("float32")
    depth[rows, columns][front] = z + np.float32(centre[2])
