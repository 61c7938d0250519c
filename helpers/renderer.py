"""Faces drawn by a small ray caster: ellipsoids in 3-D, one parallel ray a sample.

The head is a set of ellipsoids in its own frame, x to the right of the picture, y up, z towards the
viewer, about one unit from its middle to the crown. It is turned by yaw, pitch and roll; neck and
shoulders stay. Each sample takes the nearest surface, shaded by Lambert's law with ambient light.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

SIZE = 64
SUPERSAMPLING = 2
HALF_WIDTH = 1.5
"""Half the picture's width, in head units."""

SKIN = np.array([(0.96, 0.82, 0.72), (0.87, 0.68, 0.54), (0.70, 0.50, 0.36), (0.42, 0.28, 0.20)])
HAIR = np.array(
    [
        (0.08, 0.06, 0.05),
        (0.25, 0.15, 0.09),
        (0.50, 0.31, 0.15),
        (0.85, 0.70, 0.42),
        (0.6, 0.6, 0.6),
    ]
)
EYES = np.array([(0.20, 0.12, 0.07), (0.25, 0.40, 0.60), (0.25, 0.42, 0.25)])
YAW = {"straight": 0.0, "left": 50.0, "right": -50.0, "up": 0.0}
PITCH = {"straight": 0.0, "left": 0.0, "right": 0.0, "up": 32.0}
EXPRESSIONS = ("neutral", "happy", "sad", "angry")


@dataclass(frozen=True)
class Ellipsoid:
    """A part: centre and radii in its frame, colour in [0, 1], roll about z in degrees."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    colour: np.ndarray
    roll: float = 0.0
    turns: bool = True


@dataclass(frozen=True)
class Person:
    """What stays the same in every picture of one person; lengths in head units."""

    skin: np.ndarray
    hair: np.ndarray
    eye: np.ndarray
    width: float
    jaw: float
    nose: float
    eye_distance: float
    brow: float
    mouth: float
    style: str


@dataclass(frozen=True)
class Scene:
    """What changes from picture to picture; angles in degrees."""

    yaw: float
    pitch: float
    roll: float
    shift: tuple[float, float]
    scale: float
    expression: str
    sunglasses: bool
    light: np.ndarray
    ambient: float
    background: np.ndarray
    clothes: np.ndarray


def draw_person(rng: np.random.Generator) -> Person:
    """A person at random: tones, proportions and hair style."""
    tone = rng.uniform(0, len(SKIN) - 1)
    skin = np.array([np.interp(tone, range(len(SKIN)), SKIN[:, c]) for c in range(3)])
    return Person(
        skin=skin,
        hair=np.clip(HAIR[rng.integers(len(HAIR))] + rng.normal(0, 0.03, 3), 0, 1),
        eye=EYES[rng.integers(len(EYES))],
        width=rng.uniform(0.88, 1.06),
        jaw=rng.uniform(0.85, 1.1),
        nose=rng.uniform(0.8, 1.25),
        eye_distance=rng.uniform(0.25, 0.31),
        brow=rng.uniform(0.03, 0.06),
        mouth=rng.uniform(0.17, 0.24),
        style=rng.choice(["short", "long", "bun", "cropped", "fringe"]),
    )


def draw_scene(pose: str, rng: np.random.Generator) -> Scene:
    """A picture's circumstances at random, around the pose's mean yaw and pitch."""
    light = np.array([rng.uniform(-0.8, 0.8), rng.uniform(0.0, 0.9), 1.0])
    return Scene(
        yaw=YAW[pose] + rng.normal(0, 8),
        pitch=PITCH[pose] + rng.normal(0, 5),
        roll=rng.normal(0, 4),
        shift=(rng.normal(0, 0.07), rng.normal(0, 0.06)),
        scale=rng.uniform(0.92, 1.08),
        expression=rng.choice(EXPRESSIONS),
        sunglasses=bool(rng.random() < 0.3),
        light=light / np.linalg.norm(light),
        ambient=rng.uniform(0.3, 0.5),
        background=rng.uniform(0.1, 0.9, (2, 3)) * 0.5 + rng.uniform(0.1, 0.4),
        clothes=rng.uniform(0.1, 0.9, 3),
    )


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


def parts(person: Person, scene: Scene) -> list[Ellipsoid]:
    """All ellipsoids of a person in a scene."""
    return [
        *_head(person),
        *_features(person, scene),
        *_hair(person),
        *(_sunglasses(person) if scene.sunglasses else ()),
        Ellipsoid((0, -1.05, -0.18), (0.36, 0.55, 0.36), person.skin * 0.92, turns=False),
        Ellipsoid((0, -1.95, -0.3), (1.3, 0.62, 0.55), scene.clothes, turns=False),
    ]


def render(person: Person, scene: Scene) -> np.ndarray:
    """One picture (64, 64, 3) float32 in [0, 1]."""
    samples = SIZE * SUPERSAMPLING
    axis = (np.arange(samples, dtype="float32") + 0.5) / samples * 2 - 1
    xs, ys = axis * HALF_WIDTH, -axis * HALF_WIDTH - 0.2
    mix = np.linspace(0, 1, samples, dtype="float32")[:, None, None]
    picture = np.broadcast_to(
        scene.background[0] * (1 - mix) + scene.background[1] * mix, (samples, samples, 3)
    ).astype("float32")
    depth = np.full((samples, samples), -np.inf, "float32")
    head = rotation(scene.yaw, scene.pitch, scene.roll)
    for part in parts(person, scene):
        turn = (head if part.turns else np.eye(3)) @ rotation(0, 0, part.roll)
        centre = (head if part.turns else np.eye(3)) @ np.array(part.centre) * scene.scale
        centre[:2] += scene.shift
        _draw(picture, depth, xs, ys, centre, np.array(part.radii) * scene.scale, turn, part, scene)
    blocks = picture.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING, 3)
    return np.clip(blocks.mean((1, 3)), 0, 1).astype("float32")


def render_people(
    people: int, per_person: int, poses: Sequence[str], *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw every person equally often in every pose; the same seed gives the same pictures.

    Args:
        people: how many different persons.
        per_person: pictures of each; the poses take turns.
        poses: names of `YAW`.
        seed: at least 0.

    Returns:
        Pictures (N, 64, 64, 3) float32 in [0, 1], persons (N,) str and poses (N,) str.

    Raises:
        ValueError: `people` or `per_person` below 1, or `seed` below 0.
    """
    for name, value, least in (
        ("people", people, 1),
        ("per_person", per_person, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    pictures, names, taken = [], [], []
    for number in tqdm(range(people), desc="rendered people"):
        person = draw_person(np.random.default_rng([seed, number]))
        for k in range(per_person):
            pose = poses[k % len(poses)]
            scene = draw_scene(pose, np.random.default_rng([seed, number, k]))
            pictures.append(render(person, scene))
            names.append(f"person{number:02d}")
            taken.append(pose)
    return np.stack(pictures), np.array(names), np.array(taken)


def _draw(picture, depth, xs, ys, centre, radii, turn, part, scene) -> None:
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
    picture[rows, columns][front] = shade[:, None] * part.colour.astype("float32")
    depth[rows, columns][front] = z + np.float32(centre[2])


def _head(person: Person) -> list[Ellipsoid]:
    w, skin = person.width, person.skin
    n = person.nose
    return [
        Ellipsoid((0, 0.12, 0), (0.70 * w, 0.86, 0.80), skin),
        Ellipsoid((0, -0.42, 0.14), (0.53 * w, 0.50 * person.jaw, 0.58), skin),
        *(Ellipsoid((s * 0.31 * w, -0.20, 0.33), (0.27, 0.27, 0.27), skin) for s in (-1, 1)),
        *(Ellipsoid((s * 0.71 * w, -0.02, -0.05), (0.08, 0.19, 0.14), skin * 0.9) for s in (-1, 1)),
        Ellipsoid((0, -0.08, 0.78), (0.09, 0.25, 0.13 * n), skin),
        Ellipsoid((0, -0.22, 0.82), (0.13 * n, 0.09, 0.17 * n), skin * 1.02),
    ]


def _features(person: Person, scene: Scene) -> list[Ellipsoid]:
    d = person.eye_distance
    tilt = {"angry": -16, "sad": 14}.get(scene.expression, 0)
    curve = {"happy": 0.07, "sad": -0.06, "angry": -0.03}.get(scene.expression, 0.0)
    lips = person.skin * np.array([0.85, 0.52, 0.52])
    made = [
        Ellipsoid((0, -0.54 * person.jaw, 0.645), (person.mouth * 0.6, 0.05, 0.08), lips),
        *(
            Ellipsoid(
                (s * person.mouth * 0.62, -0.54 * person.jaw + curve * 0.6, 0.60),
                (person.mouth * 0.5, 0.04, 0.09),
                lips,
                roll=s * curve * 300,
            )
            for s in (-1, 1)
        ),
    ]
    for s in (-1, 1):
        made += [
            Ellipsoid((s * d, 0.06, 0.655), (0.135, 0.075, 0.10), np.array([0.95, 0.95, 0.93])),
            Ellipsoid((s * d, 0.06, 0.715), (0.062, 0.068, 0.06), person.eye),
            Ellipsoid((s * d, 0.06, 0.75), (0.028, 0.03, 0.035), np.array([0.02, 0.02, 0.02])),
            Ellipsoid(
                (s * d, 0.235, 0.69), (0.18, person.brow, 0.09), person.hair * 0.8, roll=-s * tilt
            ),
        ]
    return made


def _hair(person: Person) -> list[Ellipsoid]:
    w, hair = person.width, person.hair
    cap = Ellipsoid((0, 0.30, -0.14), (0.77 * w, 0.80, 0.80), hair)
    back = Ellipsoid((0, 0.02, -0.36), (0.72 * w, 0.74, 0.52), hair)
    if person.style == "long":
        sides = [Ellipsoid((s * 0.66 * w, -0.45, -0.22), (0.2, 0.85, 0.36), hair) for s in (-1, 1)]
        return [cap, back, *sides, Ellipsoid((0, -0.45, -0.62), (0.62, 0.75, 0.24), hair)]
    if person.style == "bun":
        return [cap, back, Ellipsoid((0, 0.85, -0.55), (0.3, 0.3, 0.3), hair)]
    if person.style == "fringe":
        return [cap, back, Ellipsoid((0, 0.62, 0.30), (0.60 * w, 0.28, 0.42), hair)]
    if person.style == "cropped":
        return [Ellipsoid((0, 0.26, -0.11), (0.73 * w, 0.77, 0.78), hair)]
    return [cap, back]


def _sunglasses(person: Person) -> list[Ellipsoid]:
    d, dark = person.eye_distance, np.array([0.05, 0.05, 0.06])
    lenses = [Ellipsoid((s * d * 1.05, 0.06, 0.74), (0.21, 0.145, 0.07), dark) for s in (-1, 1)]
    arms = [
        Ellipsoid((s * 0.66 * person.width, 0.08, 0.35), (0.09, 0.035, 0.42), dark) for s in (-1, 1)
    ]
    return [*lenses, *arms, Ellipsoid((0, 0.1, 0.79), (0.14, 0.03, 0.05), dark)]
