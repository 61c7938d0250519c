"""Out-of-distribution faces: people that no model learns from, drawn in another style."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from helpers.faces.dataset import POSES, Faces, faces_by_left
from helpers.faces.head import Scene
from helpers.faces.renderer import render_people

HARSH_SIDE, HARSH_AMBIENT = 2.0, 0.05
"""Light mostly from a side (it falls at 63 degrees to the view), and hardly any from elsewhere."""
SMALL = 0.6
"""Size of a small head: `helpers.faces.head` draws 0.92 to 1.08."""
FADED = 0.35
"""Contrast of a faded image: training changes contrast by factors of 0.7 to 1.4."""


@dataclass(frozen=True)
class Style:
    """How an image is drawn otherwise.

    Attributes:
        scene: changes what is drawn.
        image: changes what was drawn, (64, 64, 3) in 0..1.
    """

    scene: Callable[[Scene], Scene] = lambda scene: scene
    image: Callable[[np.ndarray], np.ndarray] = lambda image: image


def _harsh(scene: Scene) -> Scene:
    side = HARSH_SIDE if scene.light[0] > 0 else -HARSH_SIDE
    light = np.array([side, scene.light[1], 1.0])
    return replace(scene, light=light / np.linalg.norm(light), ambient=HARSH_AMBIENT)


def _small(scene: Scene) -> Scene:
    return replace(scene, scale=SMALL * scene.scale)


def _gray(image: np.ndarray) -> np.ndarray:
    return np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)


def _faded(image: np.ndarray) -> np.ndarray:
    return FADED * (image - image.mean()) + image.mean()


STYLES = {
    "other people": Style(),
    "gray": Style(image=_gray),
    "faded": Style(image=_faded),
    "harsh light": Style(_harsh),
    "small heads": Style(_small),
    "small, harsh, gray": Style(lambda scene: _small(_harsh(scene)), _gray),
}


def outside_faces(style: str, *, people: int = 12, per_person: int = 24, seed: int) -> Faces:
    """Draw faces in a style: the same people and scenes in each style, the poses taking turns.

    Args:
        style: a name of `STYLES`; "other people" changes nothing else.
        people: how many people, at least 1.
        per_person: images of each, at least 1.
        seed: another than that of the faces that the models learn from.

    Returns:
        Rendered faces, labelled as `load_faces` does.

    Raises:
        ValueError: no such style.
    """
    if style not in STYLES:
        raise ValueError(f"style must be one of {tuple(STYLES)}, got {style!r}")
    drawn = render_people(
        people,
        per_person,
        POSES,
        seed=seed,
        name="outside",
        change_scene=STYLES[style].scene,
        change_image=STYLES[style].image,
    )
    return faces_by_left(*drawn, "rendered")
