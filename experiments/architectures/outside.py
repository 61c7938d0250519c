"""Faces unlike those that a net of rendered faces knows: other people, drawn in another style."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from tqdm.auto import tqdm

from helpers.faces.dataset import POSES, Faces
from helpers.faces.head import Scene, draw_person, draw_scene
from helpers.faces.renderer import render

HARSH_SIDE, HARSH_AMBIENT = 2.0, 0.05
"""Light mostly from a side (it falls at 63 degrees to the view), and hardly any from elsewhere."""
SMALL = 0.6
"""Size of a small head: `helpers.faces.head` draws 0.92 to 1.08."""
FADED = 0.35
"""Contrast of a faded picture: training changes contrast by factors of 0.7 to 1.4."""


@dataclass(frozen=True)
class Style:
    """How a picture is drawn otherwise.

    Attributes:
        scene: changes what is drawn.
        picture: changes what came out, (64, 64, 3) in 0..1.
    """

    scene: Callable[[Scene], Scene] = lambda scene: scene
    picture: Callable[[np.ndarray], np.ndarray] = lambda picture: picture


def _harsh(scene: Scene) -> Scene:
    side = HARSH_SIDE if scene.light[0] > 0 else -HARSH_SIDE
    light = np.array([side, scene.light[1], 1.0])
    return replace(scene, light=light / np.linalg.norm(light), ambient=HARSH_AMBIENT)


def _small(scene: Scene) -> Scene:
    return replace(scene, scale=SMALL * scene.scale)


def _gray(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture.mean(-1, keepdims=True), 3, axis=-1)


def _faded(picture: np.ndarray) -> np.ndarray:
    return FADED * (picture - picture.mean()) + picture.mean()


STYLES = {
    "other people": Style(),
    "gray": Style(picture=_gray),
    "faded": Style(picture=_faded),
    "harsh light": Style(_harsh),
    "small heads": Style(_small),
    "small, harsh, gray": Style(lambda scene: _small(_harsh(scene)), _gray),
}


def outside_faces(style: str, *, people: int = 12, per_person: int = 24, seed: int) -> Faces:
    """Draw faces in a style: the same people and scenes in each style, the poses taking turns.

    Args:
        style: a name of `STYLES`; "other people" changes nothing else.
        people: how many persons, at least 1.
        per_person: pictures of each, at least 1.
        seed: another than that of the faces that the net knows.

    Returns:
        Rendered faces, labelled as `faces.load_faces` does.

    Raises:
        ValueError: no such style.
    """
    if style not in STYLES:
        raise ValueError(f"style must be one of {tuple(STYLES)}, got {style!r}")
    drawn = STYLES[style]
    pictures, names, poses = [], [], []
    for number in tqdm(range(people), desc=f"outside people, {style}", leave=False):
        person = draw_person(np.random.default_rng([seed, number]))
        for k in range(per_person):
            pose = POSES[k % len(POSES)]
            scene = draw_scene(pose, np.random.default_rng([seed, number, k]))
            pictures.append(drawn.picture(render(person, drawn.scene(scene))))
            names.append(f"outside{number:02d}")
            poses.append(pose)
    poses = np.array(poses)
    labels = (poses == "left").astype("int64")
    images = np.stack(pictures).astype("float32")
    return Faces(images, labels, np.array(names), poses, ("not left", "left"), "rendered")
