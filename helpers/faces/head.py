"""Who and what is drawn: a person and a scene at random, and the ellipsoids that they are made of.

The head has its own frame, x to the right of the image, y up, z towards the viewer, about one
unit from its middle to the crown.
"""

from dataclasses import dataclass

import numpy as np

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
    """What stays the same in every image of one person; lengths in head units."""

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
    """What changes from image to image; angles in degrees."""

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
    """An image's circumstances at random, around the pose's mean yaw and pitch."""
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
