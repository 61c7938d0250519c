"""What every attribution method shares: a score's gradient in a graph, batches, the result."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import xarray as xr

from helpers.maps import targets as models_as_they_are
from helpers.maps.objectives import Objective
from helpers.maps.parts import Part
from helpers.maps.provenance import provenance_of_attribution
from helpers.models.cutting import Tap, with_quick_gradients
from helpers.models.preprocessing import resolve_preprocessing
from helpers.models.relu_gradients import relu_gradient

REDUCTIONS = {
    "max": tf.reduce_max,
    "mean": tf.reduce_mean,
    "sum": tf.reduce_sum,
    "none": lambda values, axis: values,
}
"""What becomes of a heatmap's channels."""
SCALE = 2.0**10
"""On the way back scores are so many times as large, so that float16 layers do not round small
gradients away (Micikevicius et al. 2018, 1710.03740, section 3.2); float32 stays as it is."""


@dataclass(frozen=True)
class Scorer:
    """An objective's form on a cut model; used while a function is traced.

    Attributes:
        cut: takes pixels (N, H, W, C), gives the taps' outputs.
        taps: which of its outputs is which.
        form: an objective without its numbers.
    """

    cut: keras.Model
    taps: tuple[Tap, ...]
    form: Objective

    def read(self, images: tf.Tensor, numbers: tuple) -> tuple[tf.Tensor, dict[Tap, tf.Tensor]]:
        """Scores (N,) float32, and each tap's output in the model's own dtype."""
        outputs = tf.nest.flatten(self.cut(images, training=False))
        values = dict(zip(self.taps, outputs, strict=True))
        activations = {tap: tf.cast(value, tf.float32) for tap, value in values.items()}
        each = tf.range(tf.shape(images)[0])
        return self.form.scores(activations, numbers, each), values

    def gradient(
        self, images: tf.Tensor, numbers: tuple, relus: str | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Each image's gradient (N, H, W, C), and scores (N,), with `relu_gradient(relus)`."""
        with relu_gradient(relus):
            scores, _ = self.read(images, numbers)
        return gradient_of(scores, images), scores


def gradient_of(scores: tf.Tensor, by: tf.Tensor) -> tf.Tensor:
    """Gradient of each score (N,) by its own part of `by` (N, ...), float32.

    Raises:
        ValueError: the scores do not depend on it.
    """
    (gradient,) = tf.gradients(SCALE * scores, by)
    if gradient is None:
        raise ValueError("targets must depend on the image and on the method's layer, one does not")
    return tf.cast(gradient, tf.float32) / SCALE


@dataclass(frozen=True)
class Method(Part):
    """Base of all attribution methods: frozen parameters, and images to heatmaps."""

    def check(self) -> None:
        """Hold the parameters against what is legal.

        Raises:
            ValueError: one is not; the message names it and says what is.
        """

    @property
    def taps(self) -> tuple[Tap, ...]:
        """Layers that the method reads, beside those of the objective."""
        return ()

    def on(self, model: keras.Model, objective: Objective) -> "Method":
        """The method with what it leaves to the model filled in."""
        return self

    def heat(self, scorer: Scorer, images: tf.Tensor, numbers: tuple) -> Mapping[str, tf.Tensor]:
        """Heatmaps and scores, traced in a `tf.function`.

        Args:
            scorer: the objective on the model.
            images: (N, H, W, C) float32, pixels 0..255.
            numbers: of the objective, each array with the images first.

        Returns:
            "heatmap" (N, height, width) or (N, height, width, channels), "score" (N,), and further
            numbers (N,) by name.
        """
        raise NotImplementedError

    def legal(self, **values: tuple) -> None:
        """Check fields given as `name=(is_legal, what_is_legal)`."""
        for name, (is_legal, wanted) in values.items():
            if not is_legal:
                got = getattr(self, name)
                raise ValueError(f"{name} of {type(self).__name__} must be {wanted}, got {got!r}")


def check_channels(method: Method) -> None:
    """Check a method's `channels`."""
    method.legal(channels=(method.channels in REDUCTIONS, f"one of {tuple(REDUCTIONS)}"))


def reduced(values: tf.Tensor, absolute: bool, channels: str) -> tf.Tensor:
    """(N, H, W, C), its absolute values where asked, reduced over channels."""
    return REDUCTIONS[channels](tf.abs(values) if absolute else values, axis=-1)


def attribute(
    method: Method,
    model: keras.Model | str | Path,
    images: np.ndarray,
    targets: Objective | Sequence[Objective],
    *,
    names: Sequence[str | int] | None = None,
    preprocessing: str | tuple[float, float] | None = None,
    batch_size: int = 32,
) -> xr.Dataset:
    """Make a heatmap of each image for each target.

    Args:
        method: such as `Saliency()`; each has a function of its name that takes its parameters.
        model: a Keras model or the path of one; it stays as it is.
        images: (N, H, W, C) or (H, W, C), pixels 0..255.
        targets: what is explained: `Unit("predictions", 3, pre_activation=True)` for a class's
            logit, `Unit`, `Neuron`, `Direction` of any layer, or a sum of such.
        names: of the images; None for 0, 1, 2 ...
        preprocessing: what the model expects, as `maps.maximize` takes it.
        batch_size: image-target pairs at once, at least 1.

    Returns:
        A Dataset over `image` and `target` (the objectives' own names): `heatmap` (height, width),
        or (height, width, channel) where the method keeps channels, or (row, column) of the layer
        where Grad-CAM is not resized, float32 in the objective's unit; `score`, the objective on
        the image; `pixels`, the images; and numbers of the method's own.

    Raises:
        ValueError: an argument is not legal; the message names it and says what is.
    """
    model = models_as_they_are.checked_model(model)
    objectives = (targets,) if isinstance(targets, Objective) else tuple(targets)
    preprocessing = resolve_preprocessing(model, preprocessing)
    method.check()
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size!r}")
    methods = [method.on(model, _checked(objective)) for objective in objectives]
    if not objectives:
        raise ValueError("targets must be an objective, or one or more, got none")
    cut, taps = cut_for(model, methods, objectives, preprocessing)
    images = checked_images(images, cut.input_shape[1:])
    made = heatmaps(_quick(cut), taps, methods, images, objectives, batch_size)
    labels = list(range(len(images))) if names is None else list(names)
    if len(labels) != len(images):
        raise ValueError(f"names must be {len(images)}, one for each image, got {len(labels)}")
    return _dataset(made, images, labels, objectives).assign_attrs(
        provenance_of_attribution(
            model,
            models_as_they_are.digest_of(model),
            preprocessing,
            images.shape[1:],
            method=str(methods[0]) if len(set(methods)) == 1 else str(method),
            layers=list(dict.fromkeys(tap.layer for o in objectives for tap in o.taps)),
        )
    )


def _checked(objective: Objective) -> Objective:
    if not isinstance(objective, Objective):
        raise ValueError(f"targets must be objectives such as Unit('conv', 3), got {objective!r}")
    if objective.is_coupled:
        raise ValueError(f"targets must be scores of single images, got {objective}")
    return objective


def cut_for(
    model: keras.Model,
    methods: Sequence[Method],
    objectives: Sequence[Objective],
    preprocessing,
) -> tuple[keras.Model, tuple[Tap, ...]]:
    """The model cut where methods and objectives read it, and what its outputs are.

    Raises:
        ValueError: an objective asks for what its layer does not have.
    """
    wanted = [tap for part in (*objectives, *methods) for tap in part.taps]
    taps = tuple(dict.fromkeys(wanted))
    cut = models_as_they_are.cut_of(model, taps, preprocessing)
    shapes = dict(zip(taps, (tuple(output.shape) for output in cut.outputs), strict=True))
    for objective in objectives:
        objective.check(shapes)
    return cut, taps


def checked_images(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Images as (N, H, W, C) float32.

    Raises:
        ValueError: of another shape than the model takes, or not finite.
    """
    images = np.asarray(images, "float32")
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[1:] != tuple(shape) or not len(images):
        raise ValueError(
            f"images must be (N, {', '.join(map(str, shape))}), pixels 0..255, got {images.shape}:"
            " images.as_input brings others to that size"
        )
    if not np.isfinite(images).all():
        raise ValueError("images must be finite, got NaN or infinity")
    return images


def heatmaps(
    cut: keras.Model,
    taps: tuple[Tap, ...],
    methods: Sequence[Method],
    images: np.ndarray,
    objectives: Sequence[Objective],
    batch_size: int,
) -> dict[str, np.ndarray]:
    """What `Method.heat` returns, (images, targets, ...) each.

    Args:
        cut, taps: as `cut_for` returns them.
        methods: one for each objective.
        images: (N, H, W, C), pixels 0..255.
        objectives: the targets.
        batch_size: pairs at once.
    """
    compiled_together = defaultdict(list)
    for i, t in product(range(len(images)), range(len(objectives))):
        compiled_together[methods[t], objectives[t].form].append((i, t))
    results = {}
    for (method, form), pairs in compiled_together.items():
        run = _compiled(method, Scorer(cut, taps, form))
        for first in range(0, len(pairs), batch_size):
            batch = pairs[first : first + batch_size]
            chosen = images[[i for i, _ in batch]]
            made = run(tf.constant(chosen), stacked([objectives[t] for _, t in batch]))
            for name, values in made.items():
                shape = (len(images), len(objectives), *values.shape[1:])
                whole = results.setdefault(name, np.full(shape, np.nan, "float32"))
                whole[tuple(np.transpose(batch))] = values
    return results


def stacked(objectives: Sequence[Objective]) -> tuple:
    """The numbers of several objectives of one form, each array with the objectives first."""
    return tf.nest.map_structure(
        lambda *each: tf.constant(np.stack(each)), *[one.parameters for one in objectives]
    )


@lru_cache(maxsize=16)
def _compiled(method: Method, scorer: Scorer) -> Callable:
    run = partial(method.heat, scorer)  # TensorFlow warns of many functions of one code object
    return tf.function(run, autograph=False, reduce_retracing=True)


@lru_cache(maxsize=8)
def _quick(cut: keras.Model) -> keras.Model:
    return with_quick_gradients(cut)


def _dataset(made: dict, images, labels: list, objectives) -> xr.Dataset:
    heat = made.pop("heatmap")
    of_pixels = heat.shape[2:4] == images.shape[1:3]
    axes = ("height", "width", "channel") if of_pixels else ("row", "column", "unit")
    dims = ("image", "target", *axes)[: heat.ndim]
    return xr.Dataset(
        {
            "heatmap": (dims, heat),
            **{name: (("image", "target"), values) for name, values in made.items()},
            "pixels": (("image", "height", "width", "channel"), images),
        },
        {"image": labels, "target": [str(objective) for objective in objectives]},
    )


def with_layer(method: Method, layer: str) -> Method:
    """The method with its field `layer` filled in."""
    return replace(method, layer=layer)
