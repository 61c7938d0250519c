"""Where the faces model looks, and whether a HappyMap uses the channels that an image uses."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import keras
import numpy as np
import pandas as pd
import xarray as xr

from helpers import attribution, maps, models, natural
from helpers.attribution.grad_cam import GradCam
from helpers.faces import head, renderer
from helpers.images import as_pixels
from helpers.maps import Objective, Unit

GROUPS = ("says left, rightly", "says not left, rightly", "wrong")


def methods(layer: str) -> dict[str, attribution.Method]:
    """The methods that are compared, by the name that figures give them; `layer` of Grad-CAM."""
    return {
        "saliency": attribution.Saliency(),
        "guided backprop": attribution.GuidedBackprop(),
        "Grad-CAM": attribution.GradCam(layer),
        "Grad-CAM++": attribution.GradCamPlusPlus(layer),
        "integrated gradients": attribution.IntegratedGradients(steps=32),
        "SmoothGrad": attribution.SmoothGrad(samples=24),
        "occlusion": attribution.Occlusion(),
    }


@dataclass(frozen=True)
class Seen:
    """Rendered faces of people whom the model does not know, with its answers.

    Attributes:
        pixels: (N, 64, 64, 3), 0..255.
        person: (N, 64, 64) bool, where the person is and not the background.
        is_left: (N,) bool, whether the person looks left.
        says_left: (N,) bool, whether the model says so.
        names: (N,) str, person and pose.
    """

    pixels: np.ndarray
    person: np.ndarray
    is_left: np.ndarray
    says_left: np.ndarray
    names: np.ndarray

    @property
    def group(self) -> np.ndarray:
        """(N,) str, one of `GROUPS`."""
        right = np.where(self.says_left, *GROUPS[:2])
        return np.where(self.says_left == self.is_left, right, GROUPS[2])

    def __getitem__(self, which) -> "Seen":
        """Some of the faces."""
        return Seen(**{name: values[which] for name, values in vars(self).items()})


def rendered(model: keras.Model, people: int, per_person: int, *, seed: int) -> Seen:
    """Render faces, each once more on another background to know where the person is.

    Args:
        model: says "not left" or "left" of pixels (N, 64, 64, 3).
        people, per_person, seed: as `faces.renderer.render_people`.
    """
    images, masks, poses, names = [], [], [], []
    yaws = list(head.YAW)
    for number in range(people):
        person = head.draw_person(np.random.default_rng([seed, number]))
        for k in range(per_person):
            pose = yaws[k % len(yaws)]
            scene = head.draw_scene(pose, np.random.default_rng([seed, number, k]))
            other = replace(scene, background=tuple(1 - np.asarray(b) for b in scene.background))
            image = renderer.render(person, scene)
            images.append(image)
            masks.append(np.abs(image - renderer.render(person, other)).max(-1) < 1e-6)
            poses.append(pose)
            names.append(f"{number}, {pose}")
    pixels = as_pixels(np.stack(images))
    says = model.predict(pixels, batch_size=64, verbose=0).argmax(-1) == 1
    return Seen(pixels, np.stack(masks), np.array(poses) == "left", says, np.array(names))


def examples(seen: Seen, per_group: int) -> Seen:
    """The first faces of each group, in the order of `GROUPS`."""
    chosen = [np.flatnonzero(seen.group == group)[:per_group] for group in GROUPS]
    return seen[np.concatenate(chosen)]


def on_the_person(made: Mapping[str, xr.Dataset], seen: Seen) -> pd.DataFrame:
    """How much of a heatmap lies on the person, a row a method and a column a group.

    Median over images of the share of the absolute heatmap, with the share of the area beside it.
    """
    rows = {"area": seen.person.mean((1, 2))}
    for name, one in made.items():
        heat = np.abs(one.heatmap.values[:, 0])
        with np.errstate(invalid="ignore"):
            rows[name] = (heat * seen.person).sum((1, 2)) / heat.sum((1, 2))
    table = {
        group: {name: np.nanmedian(shares[seen.group == group]) for name, shares in rows.items()}
        for group in GROUPS
        if (seen.group == group).any()
    }
    return pd.DataFrame(table).round(2)


@dataclass(frozen=True)
class ChannelShares(GradCam):
    """What each channel k of a layer adds to a score, to first order: mean of A^k dS/dA^k.

    Attributes:
        layer, resize: as `GradCam`.
    """

    def heat(self, scorer, images, numbers):
        """The shares as a heatmap (N, 1, 1, k)."""
        scores, activations, gradient = self.read(scorer, images, numbers)
        shares = keras.ops.mean(activations * gradient, (1, 2), keepdims=True)
        return {"heatmap": shares, "score": scores}


def same_story(
    model: keras.Model,
    images: Mapping[str, np.ndarray],
    happy_maps: Mapping[str, np.ndarray],
    targets: Mapping[str, Objective],
    layer: str,
) -> xr.DataArray:
    """Whether the channels that carry a class in images carry it in a HappyMap as well.

    Args:
        model: takes pixels 0..255.
        images: of each class, (N, H, W, C).
        happy_maps: of each class, (H, W, C), pixels 0..255.
        targets: the score of each class.
        layer: whose channels are compared.

    Returns:
        (image_class, map_class): correlation over channels of `ChannelShares` for the image's
        class, mean over its images, with those on the HappyMap of `map_class`. The diagonal is the
        story of the class's own map; the rest is the control.
    """
    method, names = ChannelShares(layer), list(targets)
    values = np.zeros((len(names), len(names)))
    for i, name in enumerate(names):
        seen = np.concatenate([images[name], *(happy_maps[other][None] for other in names)])
        made = attribution.attribute(method, model, seen, targets[name])
        shares = made.heatmap.values.reshape(len(seen), -1)
        count = len(images[name])
        values[i] = np.corrcoef(shares[:count].mean(0), shares[count:])[0, 1:]
    return xr.DataArray(values, {"image_class": names, "map_class": names}, name="same_story")


def summary(story: xr.DataArray) -> str:
    """The number: own map against the other classes' maps."""
    own = np.diag(story.values)
    others = story.values[~np.eye(len(own), dtype=bool)]
    return (
        f"channels on images and on the class's own HappyMap correlate by {own.mean():.2f}"
        f" (median of {len(own)}: {np.median(own):.2f}), on other classes' HappyMaps by"
        f" {others.mean():.2f}"
    )


def logit(layer: str, unit: int) -> Unit:
    """A class's logit, of a layer that ends in a softmax."""
    return Unit(layer, unit, pre_activation=True)


def left(layer: str = "dense_3") -> Objective:
    """The logit of "left" less that of "not left": above 0 the model says left."""
    return logit(layer, 1) - logit(layer, 0)


def faces_maps(model: keras.Model, *, steps: int, seed: int = 0) -> dict[str, dict]:
    """HappyMaps of "left" and "not left", by recipe and class, (H, W, C) pixels 0..255.

    Args:
        model: as `rendered`.
        steps: of the `robust` recipe; keras-vis's has its own 200.
        seed: of both.
    """
    robust = maps.maximize(model, list(sides().values()), steps=steps, seeds=[seed], progress=False)
    post = maps.happy_maps(
        model, "dense_3", objective="pre-activation", seeds=[seed], progress=False
    )
    raw = post.raw.squeeze(["tv_weight", "lp_weight", "seed"])
    return {
        "keras-vis": {"left": raw.sel(unit=1).values, "not left": raw.sel(unit=0).values},
        "robust": dict(zip(sides(), robust.raw.squeeze("seed").values, strict=True)),
    }


def sides() -> dict[str, Objective]:
    """The targets "left" and "not left"."""
    return {"left": left(), "not left": -left()}


@dataclass(frozen=True)
class Photographs:
    """Photographs and what EfficientNet-Lite0 says of them.

    Attributes:
        model: EfficientNet-Lite0.
        pixels: (N, 224, 224, 3), 0..255.
        names: of the photographs.
        targets: the logit of each one's first class, by the class's name.
    """

    model: keras.Model
    pixels: np.ndarray
    names: tuple[str, ...]
    targets: dict[str, Unit]

    @property
    def of_class(self) -> dict[str, np.ndarray]:
        """The images of each class: its one photograph, (1, H, W, C)."""
        return {name: self.pixels[i : i + 1] for i, name in enumerate(self.targets)}


def photographs(names: tuple[str, ...]) -> Photographs:
    """Ask EfficientNet-Lite0 about photographs that are installed with scikit-image.

    Args:
        names: some of `natural.PHOTOGRAPHS`, which the model takes for different classes.
    """
    model = models.zoo("EfficientNetLite0")
    names, images = natural.photographs(224, names)
    pixels = images.astype("float32")
    first = model.predict(pixels, verbose=0).argmax(-1)
    known = models.class_names()
    targets = {known[unit]: logit("predictions", int(unit)) for unit in first}
    return Photographs(model, pixels, names, targets)


def class_maps(seen: Photographs, *, steps: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A HappyMap of each class by the `robust` recipe, (H, W, C) pixels 0..255."""
    made = maps.maximize(
        seen.model, list(seen.targets.values()), steps=steps, seeds=[seed], progress=False
    )
    return dict(zip(seen.targets, made.raw.squeeze("seed").values, strict=True))
