"""Where the faces model looks, and whether a HappyMap uses what an image uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import keras
import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import mannwhitneyu

from helpers import attribution, maps, models, natural
from helpers.attribution.grad_cam import GradCam
from helpers.faces import head, renderer
from helpers.images import as_pixels
from helpers.maps import Objective, Unit
from helpers.measures.significance import verdict
from helpers.models.forward import Forward

GROUPS = (
    "turned left, says left",
    "turned right, says not left",
    "straight or up, says not left",
    "wrong",
)
RECIPES = ("keras-vis", "robust")
PARTS = ("channels", "places")
WORDS = ("own map more", "own map less")
PERMUTATIONS = 9999


def methods(layer: str) -> dict[str, attribution.Method]:
    """The methods that are compared, by the name that figures give them; `layer` of Grad-CAM."""
    return {
        "saliency": attribution.Saliency(),
        "guided backprop": attribution.GuidedBackprop(),
        "Grad-CAM": attribution.GradCam(layer),
        "Grad-CAM++": attribution.GradCamPlusPlus(layer),
        "integrated gradients": attribution.IntegratedGradients(steps=16),
        "SmoothGrad": attribution.SmoothGrad(samples=16),
        "occlusion": attribution.Occlusion(patch=12, stride=6),
    }


@dataclass(frozen=True)
class Faces:
    """Rendered faces of people whom the model does not know, with its answers.

    Attributes:
        pixels: (N, 64, 64, 3), 0..255.
        head: (N, 64, 64) bool, where head and neck are, not clothes and background.
        person: (N,) int, who it is.
        pose: (N,) str, a key of `head.YAW`.
        says_left: (N,) bool, whether the model says so.
    """

    pixels: np.ndarray
    head: np.ndarray
    person: np.ndarray
    pose: np.ndarray
    says_left: np.ndarray

    @property
    def group(self) -> np.ndarray:
        """(N,) str, one of `GROUPS`."""
        is_left, is_right = self.pose == "left", self.pose == "right"
        correct = np.select([is_left, is_right], GROUPS[:2], GROUPS[2])
        return np.where(self.says_left == is_left, correct, GROUPS[3])

    @property
    def names(self) -> list[str]:
        """What a figure says of each face."""
        says = np.where(self.says_left, "says left", "says not left")
        return [f"turned {pose},\n{answer}" for pose, answer in zip(self.pose, says, strict=True)]

    def __getitem__(self, which) -> "Faces":
        """Some of the faces."""
        return Faces(**{name: values[which] for name, values in vars(self).items()})


def rendered(model: keras.Model, people: int, per_person: int, *, seed: int) -> Faces:
    """Render faces, each again with other clothes and background to know where the head is.

    Args:
        model: says "not left" or "left" of pixels (N, 64, 64, 3).
        people, per_person, seed: as `faces.renderer.render_people`.
    """
    images, heads, numbers, poses = [], [], [], []
    yaws = list(head.YAW)
    for number in range(people):
        person = head.draw_person(np.random.default_rng([seed, number]))
        for k in range(per_person):
            pose = yaws[k % len(yaws)]
            scene = head.draw_scene(pose, np.random.default_rng([seed, number, k]))
            background = tuple(1 - np.asarray(colour) for colour in scene.background)
            other = replace(scene, background=background, clothes=1 - np.asarray(scene.clothes))
            image = renderer.render(person, scene)
            images.append(image)
            heads.append(np.abs(image - renderer.render(person, other)).max(-1) < 1e-6)
            numbers.append(number)
            poses.append(pose)
    pixels = as_pixels(np.stack(images))
    says_left = model.predict(pixels, batch_size=64, verbose=0).argmax(-1) == 1
    return Faces(pixels, np.stack(heads), np.array(numbers), np.array(poses), says_left)


def examples(faces: Faces, per_group: int, groups: Sequence[str] = GROUPS) -> Faces:
    """The first faces of each group, of as many people as there are, in the order of `groups`."""
    chosen = []
    for group in groups:
        members = np.flatnonzero(faces.group == group)
        _, first = np.unique(faces.person[members], return_index=True)
        order = [*first, *np.setdiff1d(np.arange(len(members)), first)]
        chosen.append(members[order][:per_group])
    return faces[np.concatenate(chosen)]


def explain(
    model: keras.Model, faces: Faces, methods: Mapping[str, attribution.Method]
) -> dict[str, xr.Dataset]:
    """Heatmaps of what speaks for "left", by the method's name."""
    return {
        name: attribution.attribute(method, model, faces.pixels, left(), names=faces.names)
        for name, method in methods.items()
    }


def mean_of_groups(made: Mapping[str, xr.Dataset], faces: Faces) -> dict[str, xr.Dataset]:
    """Mean heatmap and mean image of each group's faces, by method."""
    groups = [group for group in GROUPS if (faces.group == group).any()]
    means = {}
    for name, one in made.items():
        parts = [one.isel(image=faces.group == group).mean("image") for group in groups]
        joined = xr.concat(parts, pd.Index(groups, name="image"))
        means[name] = joined.assign_attrs(one.attrs)
    return means


def on_the_head(made: Mapping[str, xr.Dataset], faces: Faces) -> pd.DataFrame:
    """How much of a heatmap lies on head and neck, a row a method and a column a group.

    Median over images of the share of the absolute heatmap; the first row is the share of the area.
    """
    shares = {"area": faces.head.mean((1, 2))}
    for name, one in made.items():
        heat = np.abs(one.heatmap.values[:, 0])
        with np.errstate(invalid="ignore"):
            shares[name] = (heat * faces.head).sum((1, 2)) / heat.sum((1, 2))
    table = {
        group: {name: np.nanmedian(share[faces.group == group]) for name, share in shares.items()}
        for group in GROUPS
        if (faces.group == group).any()
    }
    return pd.DataFrame(table)


def trust(
    model: keras.Model, faces: Faces, methods: Mapping[str, attribution.Method]
) -> pd.DataFrame:
    """What says how far to trust each method, a row a method.

    `random weights`: similarity with the heatmap of random weights; `given by them`: the share of
    faces whose heatmap random weights give as well. `deletion` and `insertion`: mean height of the
    curve of the target's score, less that of a random order (good: below 0, above 0).

    Args:
        model, methods: as `explain`.
        faces: of which the model says "left", so that what matters raises the score.
    """
    rows = {}
    for name, method in methods.items():
        checked = attribution.sanity_check(method, model, faces.pixels, left(), stages=1)
        curves = attribution.deletion_and_insertion(checked, model, left(), steps=10)
        areas = curves[["deletion_area", "insertion_area"]].mean(("image", "target"))
        gained = areas.sel(order="heatmap") - areas.sel(order="random")
        rows[name] = {
            "random weights": float(checked.similarity.mean()),
            "given by them": float(checked.random_too.mean()),
            "deletion": float(gained.deletion_area),
            "insertion": float(gained.insertion_area),
        }
    return pd.DataFrame(rows).T


@dataclass(frozen=True)
class Contributions(GradCam):
    """What each neuron of a layer adds to a score, to first order: A dS/dA.

    Attributes:
        layer: the layer (N, h, w, k).
    """

    def heat(self, scorer, images, numbers):
        """The contributions as a heatmap (N, h, w, k)."""
        scores, activations, gradient = self.read(scorer, images, numbers)
        return {"heatmap": activations * gradient, "score": scores}


def same_story(
    model: keras.Model,
    images: Mapping[str, np.ndarray],
    happy_maps: Mapping[str, np.ndarray],
    targets: Mapping[str, Objective],
    layer: str,
) -> xr.Dataset:
    """Whether what raises a target in images also raises it in its HappyMap.

    Args:
        model: takes pixels 0..255.
        images: of each target, (N, H, W, C).
        happy_maps: of each target, (H, W, C), pixels 0..255.
        targets: the scores.
        layer: whose `Contributions` are compared.

    Returns:
        Over (images_of, map_of): the correlation of the contributions to the target of `images_of`,
        mean over its images, with those on the HappyMap of `map_of`; as `channels`, summed over
        positions, and as `places`, summed over channels. The diagonal is a target's own map, the
        rest is the control. NaN where nothing contributes.
    """
    method, names = Contributions(layer), list(targets)
    made_maps = np.stack([happy_maps[name] for name in names])
    values = {part: np.full((len(names), len(names)), np.nan) for part in PARTS}
    for i, name in enumerate(names):
        pixels = np.concatenate([images[name], made_maps])
        added = attribution.attribute(method, model, pixels, targets[name]).heatmap.values[:, 0]
        count = len(images[name])
        compared = np.concatenate([added[:count].mean(0, keepdims=True), added[count:]])
        for part, axes in zip(PARTS, ((1, 2), 3), strict=True):
            flat = compared.sum(axes).reshape(len(compared), -1)
            with np.errstate(invalid="ignore"):
                values[part][i] = np.corrcoef(flat)[0, 1:]
    dims = ("images_of", "map_of")
    return xr.Dataset({part: (dims, v) for part, v in values.items()}, dict.fromkeys(dims, names))


def own_against_others(
    stories: Mapping[str, xr.Dataset], control: Mapping[str, xr.Dataset] | None = None
) -> pd.DataFrame:
    """The numbers of stories, a row a story and part.

    `own` and `others`: mean correlation with the target's own map, and with those of other targets;
    `gap`, their difference, and `highest`, for how many targets their own map is the highest. `p`:
    how often maps that are dealt to the targets at random do as well (9,999 permutations). With a
    control, such as random weights, its `own` and `gap` as well, and `p of control`, two-sided, of
    the test of Mann and Whitney of the gaps of single targets. `verdict`: by the larger p.

    Args:
        stories: from `same_story`, by name.
        control: of the same names.
    """
    rows = {}
    for (name, story), part in product(stories.items(), PARTS):
        values = np.nan_to_num(story[part].values)
        own, gaps = np.diag(values), _gaps(values)
        draws = np.random.default_rng(0).permuted(
            np.tile(np.arange(len(own)), (PERMUTATIONS, 1)), axis=1
        )
        dealt = values[np.arange(len(own)), draws].mean(1)
        row = {
            "own": own.mean(),
            "others": own.mean() - gaps.mean(),
            "gap": gaps.mean(),
            "highest": f"{int((own >= values.max(1)).sum())} of {len(own)}",
            "p": (1 + np.sum(dealt >= own.mean() - 1e-12)) / (1 + PERMUTATIONS),
        }
        largest_p = row["p"]
        if control is not None:
            of_control = np.nan_to_num(control[name][part].values)
            row["own of control"] = np.diag(of_control).mean()
            row["gap of control"] = _gaps(of_control).mean()
            row["p of control"] = mannwhitneyu(gaps, _gaps(of_control)).pvalue
            largest_p = max(largest_p, row["p of control"])
        row["verdict"] = verdict(largest_p, row["gap"], len(stories) * len(PARTS), WORDS)
        rows[name, part] = row
    return pd.DataFrame.from_dict(rows, "index")


def _gaps(values: np.ndarray) -> np.ndarray:
    """Of each target (n, n): its own map's correlation less the mean of the others'."""
    own, count = np.diag(values), len(values)
    return own - (values.sum(1) - own) / (count - 1)


def logit(layer: str, unit: int) -> Unit:
    """A class's logit, of a layer that ends in a softmax; a dense unit before its ReLU."""
    return Unit(layer, unit, pre_activation=True)


def left(layer: str = "dense_3") -> Objective:
    """The logit of "left" less that of "not left": above 0 the model says left."""
    return logit(layer, 1) - logit(layer, 0)


def live_units(model: keras.Model, faces: Faces, layer: str, count: int) -> dict[str, Unit]:
    """Units of a dense layer as targets: the first that are active on some of the faces."""
    active = _activations(model, faces.pixels, layer).max(0) > 0
    chosen = np.flatnonzero(active)[:count]
    return {f"{layer} unit {unit}": logit(layer, int(unit)) for unit in chosen}


def top_images(
    model: keras.Model, faces: Faces, targets: Mapping[str, Unit], count: int
) -> dict[str, np.ndarray]:
    """The faces that activate each unit most, (count, H, W, C), one a person."""
    (layer,) = {target.layer for target in targets.values()}
    activations = _activations(model, faces.pixels, layer)
    chosen = {}
    for name, target in targets.items():
        order = np.argsort(-activations[:, target.unit], kind="stable")
        _, first = np.unique(faces.person[order], return_index=True)
        chosen[name] = faces.pixels[order[np.sort(first)][:count]]
    return chosen


def _activations(model: keras.Model, pixels: np.ndarray, layer: str) -> np.ndarray:
    cut = models.cut_at(model, [models.Tap(layer, pre_activation=True)])
    return Forward(cut)(pixels)


def unit_maps(
    model: keras.Model, targets: Mapping[str, Unit], recipe: str, *, steps: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """A HappyMap of each unit, (H, W, C) pixels 0..255, by one of `RECIPES`.

    Args:
        model: takes pixels 0..255.
        targets: units of one layer.
        recipe: "keras-vis" as the package does it, "robust" as `maps.maximize`.
        steps, seed: of the optimization.
    """
    if recipe == "robust":
        made = maps.maximize(model, list(targets.values()), steps=steps, seeds=seed, progress=False)
        raw = made.raw.squeeze()
    else:
        (layer,) = {target.layer for target in targets.values()}
        made = maps.happy_maps(
            model,
            layer,
            [target.unit for target in targets.values()],
            objective="pre-activation",
            tv_weights=1.0,
            seeds=seed,
            steps=steps,
            progress=False,
        )
        raw = made.raw.squeeze()
    return dict(zip(targets, raw.values, strict=True))


def unit_stories(
    model: keras.Model,
    faces: Faces,
    layer: str,
    of: str,
    *,
    units: int,
    images: int,
    steps: int,
    seed: int = 0,
) -> dict[str, xr.Dataset]:
    """`same_story` of units of a dense layer, by the recipe of their HappyMaps.

    Args:
        model: as `rendered`.
        faces: of which each unit's top-activating ones are taken.
        layer: whose contributions are compared.
        of: the dense layer.
        units, images: how many units, and how many images of each.
        steps, seed: as `unit_maps`.
    """
    targets = live_units(model, faces, of, units)
    seen = top_images(model, faces, targets, images)
    stories = {}
    for recipe in RECIPES:
        happy = unit_maps(model, targets, recipe, steps=steps, seed=seed)
        stories[recipe] = same_story(model, seen, happy, targets, layer)
    return stories


@dataclass(frozen=True)
class Photographs:
    """Photographs and what EfficientNet-Lite0 says of them.

    Attributes:
        model: EfficientNet-Lite0.
        pixels: (N, 224, 224, 3), 0..255.
        names: of the photographs, with the class.
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


def photographs(names: Sequence[str]) -> Photographs:
    """Ask EfficientNet-Lite0 about photographs that are installed with scikit-image.

    Args:
        names: some of `natural.PHOTOGRAPHS`, which the model takes for different classes.

    Raises:
        ValueError: it takes two of them for the same class.
    """
    model = models.zoo("EfficientNetLite0")
    pixels = as_pixels(natural.photographs(224, names).images)
    first = model.predict(pixels, verbose=0).argmax(-1)
    known = models.class_names()
    classes = [known[unit] for unit in first]
    if len(set(classes)) < len(classes):
        raise ValueError(f"names must be photographs of different classes, got {classes}")
    layer = models.layers(model)[-1].name
    targets = {known[unit]: logit(layer, int(unit)) for unit in first}
    labels = tuple(f"{name}:\n{said}" for name, said in zip(names, classes, strict=True))
    return Photographs(model, pixels, labels, targets)


def own_and_other(made: xr.Dataset) -> dict[str, xr.Dataset]:
    """Of images x targets: of each image its own target, and the next one's as a control."""
    count = made.sizes["image"]
    columns = {}
    for name, shift in (("for its class", 0), ("for another class", 1)):
        cells = [
            made.isel(image=[i], target=[(i + shift) % count]).assign_coords(target=[name])
            for i in range(count)
        ]
        columns[name] = xr.concat(cells, "image")
    return columns


def class_maps(photos: Photographs, *, steps: int, seed: int = 0) -> xr.Dataset:
    """A HappyMap of each class by the `robust` recipe, over `target`."""
    targets = list(photos.targets.values())
    made = maps.maximize(photos.model, targets, steps=steps, seeds=seed, progress=False)
    return made.squeeze("seed").assign_coords(objective=list(photos.targets))


def class_stories(
    photos: Photographs, made: xr.Dataset, layers: Sequence[str]
) -> dict[str, xr.Dataset]:
    """`same_story` of the classes' photographs and `class_maps`, by layer."""
    happy = dict(zip(photos.targets, made["raw"].values, strict=True))
    return {
        layer: same_story(photos.model, photos.of_class, happy, photos.targets, layer)
        for layer in layers
    }


def between_targets(made: xr.Dataset) -> float:
    """Mean similarity of an image's heatmaps for its own and for each other target."""
    heat = made.heatmap.values
    pairs = [(i, j) for i in range(len(heat)) for j in range(len(heat)) if i != j]
    return float(np.nanmean([attribution.similarity(heat[i, i], heat[i, j]) for i, j in pairs]))


def with_random_weights(photos: Photographs, layer: str) -> float:
    """Mean similarity of each photograph's Grad-CAM for its class with that of random weights."""
    targets = list(photos.targets.values())
    method = attribution.GradCam(layer)
    checked = attribution.sanity_check(method, photos.model, photos.pixels, targets, stages=1)
    return float(np.diag(checked.similarity.values[..., 0]).mean())


def conclusions(
    on_head: pd.DataFrame,
    trusted: pd.DataFrame,
    units: pd.DataFrame,
    classes: pd.DataFrame,
    cams: xr.Dataset,
    random_similarity: float,
) -> str:
    """The four lines, as Markdown, each from its numbers.

    Args:
        on_head: from `on_the_head`.
        trusted: from `trust`.
        units, classes: from `own_against_others`, of units of the faces model and of classes.
        cams: heatmaps of each photograph for each class.
        random_similarity: from `with_random_weights`.
    """
    area, shares = on_head.loc["area"].median(), on_head.drop("area").median(axis=1)
    concentrated = trusted.index[(trusted.deletion < 0) & (trusted.insertion > 0)]
    marked = trusted.index[trusted["given by them"] > 0.5]
    lines = [
        f"**Where.** Of a heatmap {shares.min():.0%} to {shares.max():.0%} lies on head and neck,"
        f" which are {area:.0%} of the area; most with {shares.idxmax()}, least with"
        f" {shares.idxmin()}.",
        f"**Trust.** Random weights give the same heatmap for most faces with"
        f" {_listed(marked)}; pixels in the heatmap's order move the score faster than in a random"
        f" order, both ways, with {_listed(concentrated)}. What passes both:"
        f" {_listed(concentrated.difference(marked, sort=False))}.",
        f"**Same story, faces.** {_told(units)}. With random weights the own map is at"
        f" {units['own of control'].min():.2f} to {units['own of control'].max():.2f},"
        f" {units['gap of control'].min():+.2f} to {units['gap of control'].max():+.2f} above"
        " others'.",
        f"**Same story, photographs.** {_told(classes)}. Grad-CAM for a photograph's class is at"
        f" {random_similarity:.2f} to that of random weights, at {between_targets(cams):.2f} to"
        " those of other classes.",
    ]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none of the methods"


def _told(table: pd.DataFrame) -> str:
    return "; ".join(
        f"{name}, {part}: {row['own']:.2f} with the own HappyMap, {row['others']:.2f} with others'"
        f" ({row['verdict']})"
        for (name, part), row in table.iterrows()
    )
