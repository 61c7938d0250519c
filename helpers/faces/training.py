"""Train the post's kind of model on faces, judged on people it has never seen."""

import argparse
import importlib.metadata
import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import zip_longest
from pathlib import Path

import keras
import numpy as np
from keras import layers
from tqdm.auto import tqdm
from tqdm.keras import TqdmCallback

from helpers import files, models
from helpers.faces import dataset as face_sets
from helpers.faces.dataset import Faces, pose_labels
from helpers.faces.evaluation import evaluate
from helpers.images import LabelledImages, as_pixels
from helpers.units.statistics import dead_units, unit_statistics

NAMES = {"cmu": "photos", "rendered": "rendered", "folder": "folder"}
EPOCHS = {"cmu": 24, "rendered": 4, "folder": 24}
LEARNING_RATE = 1e-3
SHIFT, BRIGHTNESS, CONTRAST = 4, 25.0, (0.7, 1.4)
"""Augmentation: at most so many pixels each way, so much added to 0..255, factors of contrast."""


@dataclass(frozen=True)
class Setup:
    """How a model of the post's kind is built and trained.

    The defaults are those of `rendered.keras`: from pixels in -1..1, where the gray of a seed input
    is 0, more units start with a gradient than from 0..1 (on the photographs 37 of conv2d_3's 64,
    not 18); and with 0.6 as the dense biases fewer units die (4 of dense_1's 64, not 21 with 0).

    Attributes:
        size: (height, width) of the images; None for the source's own.
        channels: 1 for gray, 3 for RGB; None for the source's own.
        all_sizes: train on the photographs of all three sizes, scaled to `size` ("cmu" only).
        filters: units of each convolution.
        dense: units of each dense layer before the last.
        pixel_range: (low, high): where a Rescaling brings pixels 0..255; (0, 255) for none.
        rescaling: False: the model is visualised `models.without_rescaling`, as
            one whose user forgets to rescale; the file keeps it.
        input_range: (low, high), in what the model takes: keras-vis's `input_range` while the model
            is visualised, in which seed inputs lie.
        dropout: share dropped before each layer of `dense`, then before the last; 0 for none.
        initializer: of the kernels, as `keras.initializers.get` takes it.
        dense_bias: where the biases of `dense` start.
        augment: learn from mirror images too, each image shifted, brightened and changed in
            contrast (by `SHIFT`, `BRIGHTNESS`, `CONTRAST`).
        decay: let the rate fall to 0 along a cosine (Loshchilov & Hutter 2016, 1608.03983,
            equation 5, one cycle).
        epochs: times through the images.
        batch: images a step.

    Raises:
        ValueError: `dropout` has not one share for each dense layer, or `pixel_range` is empty.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    all_sizes: bool = False
    filters: tuple[int, ...] = (32, 32, 64)
    dense: tuple[int, ...] = (64, 32)
    pixel_range: tuple[float, float] = (-1, 1)
    rescaling: bool = True
    input_range: tuple[float, float] = (0, 255)
    dropout: tuple[float, ...] = (0.5, 0.25)
    initializer: str = "he_uniform"
    dense_bias: float = 0.6
    augment: bool = True
    decay: bool = True
    epochs: int = 24
    batch: int = 32

    def __post_init__(self):
        """Bring lists into tuples, so that equal set-ups are equal, and check them."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
        if len(self.dropout) > len(self.dense) + 1:
            raise ValueError(
                f"dropout must have at most {len(self.dense) + 1} shares, one for each dense layer,"
                f" got {self.dropout}"
            )
        if not self.pixel_range[0] < self.pixel_range[1]:
            raise ValueError(f"pixel_range must be (low, high), low < high, got {self.pixel_range}")


def read_setups(path: str | Path) -> dict[str, Setup]:
    """Read set-ups by name from a TOML file: `[setups.NAME]` over what `[shared]` holds.

    Raises:
        ValueError: not TOML, no set-up, a key that `Setup` does not have, or an illegal value.
    """
    values = tomllib.loads(Path(path).read_text())
    shared, legal = values.get("shared", {}), [field.name for field in fields(Setup)]
    if not values.get("setups"):
        raise ValueError(f"{path} must hold tables [setups.NAME], got none")
    setups = {}
    for name, own in values["setups"].items():
        keys = {key: value for key, value in (shared | own).items() if key != "why"}
        unknown = sorted(set(keys) - set(legal))
        if unknown:
            raise ValueError(f"setups.{name} must have keys of {legal}, got {unknown}")
        setups[name] = Setup(**keys)
    return setups


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        model: takes pixels 0..255 (N, H, W, C), puts out probabilities (N, classes); not compiled.
        history: loss and accuracy (0..1) after each epoch, `val_` on the test people.
    """

    model: keras.Model
    history: dict[str, list[float]]


def build_model(
    input_shape: tuple[int, int, int], n_outputs: int = 2, setup: Setup = Setup(), *, seed: int
) -> keras.Model:
    """Build the post's kind of model: pixels 0..255 in, convolutions, dense layers, softmax.

    A Rescaling to the set-up's range; 3x3 convolutions conv2d_1, conv2d_2 ... with ReLU, each
    followed by 2x2 max pooling; dense_1, dense_2 ... with ReLU; the last dense layer decides. All
    randomness follows from `seed`.

    Args:
        input_shape: (H, W, C).
        n_outputs: classes.
        setup: layers and how they start.
        seed: integer of at least 0.
    """
    draw = np.random.default_rng(seed)

    def start():
        kind = type(keras.initializers.get(setup.initializer))
        return kind(seed=int(draw.integers(2**31)))

    bias = keras.initializers.Constant(setup.dense_bias)
    x = pixels = keras.Input(input_shape, name="pixels")
    low, high = setup.pixel_range
    if (low, high) != (0, 255):
        x = layers.Rescaling((high - low) / 255, low, name="rescaling")(x)
    for number, units in enumerate(setup.filters, 1):
        name = f"conv2d_{number}"
        x = layers.Conv2D(units, 3, activation="relu", kernel_initializer=start(), name=name)(x)
        x = layers.MaxPooling2D(name=f"max_pooling2d_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, (units, rate) in enumerate(
        zip_longest((*setup.dense, n_outputs), setup.dropout, fillvalue=0), 1
    ):
        if rate:
            name = f"dropout_{number}"
            x = layers.Dropout(rate, seed=int(draw.integers(2**31)), name=name)(x)
        name = f"dense_{number}"
        if number <= len(setup.dense):
            x = layers.Dense(units, "relu", True, start(), bias, name=name)(x)
        else:
            x = layers.Dense(units, "softmax", kernel_initializer=start(), name=name)(x)
    return keras.Model(pixels, x)


def train(
    faces_train: LabelledImages,
    faces_test: LabelledImages,
    *,
    seed: int,
    setup: Setup = Setup(),
    progress: bool = True,
) -> Trained:
    """Train a new model with Adam (rate 1e-3 at first) on the cross-entropy.

    The same seed on the same machine gives the same weights; no global seed is read or set.

    Args:
        faces_train: images to learn from.
        faces_test: other people's images; watched while it trains, never learned from.
        seed: makes the initial weights and the order of the images.
        setup: the model and how it learns.
        progress: show a bar.
    """
    if setup.augment:
        faces_train = with_mirror_images(faces_train)
    labels, classes = faces_train.labels, faces_train.class_names
    steps = math.ceil(len(labels) / setup.batch)
    model = build_model(faces_train.images.shape[1:], len(classes), setup, seed=seed)
    rate = LEARNING_RATE
    if setup.decay:
        rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, setup.epochs * steps)
    model.compile(
        keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    bars = [TqdmCallback(verbose=0, desc="training", leave=False)] if progress else []
    history = model.fit(
        _batches(faces_train.images, labels, setup, seed),
        steps_per_epoch=steps,
        epochs=setup.epochs,
        validation_data=(as_pixels(faces_test.images), faces_test.labels),
        callbacks=bars,
        shuffle=False,
        verbose=0,
    ).history
    return Trained(keras.Model(model.inputs[0], model.outputs[0]), history)


def with_mirror_images(faces: LabelledImages) -> LabelledImages:
    """Add to each image its mirror image, whose pose and label are left where it was right.

    Images that are no `Faces`, or of the source "folder", are returned as they are: what class a
    mirror image belongs to is not known.
    """
    if not isinstance(faces, Faces) or faces.source == "folder":
        return faces
    swap = {"left": "right", "right": "left"}
    poses = np.array([swap.get(pose, pose) for pose in faces.poses])
    return replace(
        faces,
        images=np.concatenate([faces.images, faces.images[:, :, ::-1]]),
        labels=np.concatenate([faces.labels, pose_labels(poses, faces.class_names)]),
        groups=np.concatenate([faces.people, faces.people]),
        poses=np.concatenate([faces.poses, poses]),
    )


def cross_validate(
    faces: LabelledImages,
    *,
    n_folds: int = 5,
    seed: int,
    setup: Setup = Setup(),
    progress: bool = True,
) -> list[float]:
    """Accuracy (0..1) on the test people of each fold; the options are those of `train`."""
    folds = face_sets.person_folds(faces, n_folds, seed=seed)
    accuracies = []
    for known, unseen in tqdm(folds, total=n_folds, desc="folds", disable=not progress):
        how = {"seed": seed, "setup": setup, "progress": progress}
        model = train(known, unseen, **how).model
        accuracies.append(evaluate(model, unseen).accuracy)
    return accuracies


def save_model(model: keras.Model, record: dict, path: str | Path) -> Path:
    """Write NAME.keras and NAME.json (how it was trained), each one whole.

    The model comes last, so that a model that is there has its record beside it.
    """
    path = Path(path)
    with files.atomic_write(path.with_suffix(".json")) as part:
        part.write_text(json.dumps(record, indent=2) + "\n")
    with files.atomic_write(path) as part:
        model.save(part)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a model from the command line: `python -m helpers.faces.training --help`."""
    options = _parser().parse_args(arguments)
    setup = _setup(options)
    faces = face_sets.load_faces(
        options.source,
        options.path,
        seed=options.seed,
        size=setup.size,
        channels=setup.channels,
        all_sizes=setup.all_sizes,
    )
    faces = faces.by_pose() if options.poses else faces
    known, unseen = face_sets.split_by_person(faces, seed=options.seed)
    how = {"seed": options.seed, "setup": setup}
    folds = cross_validate(faces, n_folds=options.folds, **how) if options.folds else []
    trained = train(known, unseen, **how)
    result = evaluate(trained.model, unseen)
    dead = dead_units(unit_statistics(trained.model, faces))
    packages = ("keras", "tensorflow", "numpy")
    record = {
        "source": faces.source,
        "input_shape": list(faces.images.shape[1:]),
        "classes": list(faces.class_names),
        "images": len(faces.images),
        "images_trained_on": len(known.images),
        "people": len(np.unique(faces.people)),
        "unseen_people": sorted({str(person) for person in unseen.people}),
        "accuracy_on_unseen_people": result.accuracy,
        "confusion_on_unseen_people": result.confusion.tolist(),
        "accuracy_of_each_fold": folds,
        "accuracy_mean_of_folds": float(np.mean(folds)) if folds else None,
        "dead_units": dead,
        "seed": options.seed,
        "poses": options.poses,
        "setup": asdict(setup),
        "optimizer": f"Adam, rate {LEARNING_RATE}" + (" to 0 along a cosine" * setup.decay),
        "augmentation": {
            "mirror images": "with left and right swapped in pose and label",
            "shift": SHIFT,
            "brightness": BRIGHTNESS,
            "contrast": CONTRAST,
        }
        if setup.augment
        else None,
        "weight_digest": models.weight_digest(trained.model),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    name = NAMES[options.source] + ("_poses" if options.poses else "")
    output = Path(options.output or f"experiments/experiment1/{name}.keras")
    save_model(trained.model, record, output)
    if folds:
        each = ", ".join(f"{accuracy:.3f}" for accuracy in folds)
        print(f"accuracy on unseen people, {len(folds)} folds: {np.mean(folds):.4f} ({each})")
    print(f"accuracy of {output} on its unseen people: {result.accuracy:.4f}")
    print(f"dead units: {dead or 'none'}")


def _setup(options: argparse.Namespace) -> Setup:
    setup = Setup(epochs=EPOCHS[options.source])
    if options.setup:
        path, name = options.setup
        setups = read_setups(path)
        if name not in setups:
            raise ValueError(f"--setup must name one of {list(setups)} of {path}, got {name!r}")
        setup = setups[name]
    if options.size:
        setup = replace(setup, size=tuple(options.size))
    return replace(setup, epochs=options.epochs) if options.epochs else setup


def _batches(images: np.ndarray, labels: np.ndarray, setup: Setup, seed: int):
    """Batches of pixels without end; every len(labels) images are all of them in a new order."""
    draw = np.random.default_rng(seed)
    while True:
        order = draw.permutation(len(labels))
        for start in range(0, len(order), setup.batch):
            chosen = order[start : start + setup.batch]
            pixels = as_pixels(images[chosen])
            if setup.augment:
                pixels = np.stack([_changed(image, draw) for image in pixels])
            yield pixels, labels[chosen]


def _changed(image: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """One image (H, W, C), pixels 0..255, shifted and lit at random."""
    height, width, _ = image.shape
    row, column = draw.integers(0, 2 * SHIFT, 2, endpoint=True)
    border = ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0))
    moved = np.pad(image, border, "edge")[row : row + height, column : column + width]
    mean = moved.mean()
    lit = (moved - mean) * draw.uniform(*CONTRAST) + mean + draw.uniform(-BRIGHTNESS, BRIGHTNESS)
    return np.clip(lit, 0, 255).astype("float32")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m helpers.faces.training",
        description="Train a model on faces and report its accuracy on people it has never seen.",
    )
    add = parser.add_argument
    add("--source", choices=tuple(NAMES), default="rendered", help="which faces (%(default)s)")
    add("--path", help="folder or archive of the faces; cmu is downloaded without it")
    add("--size", type=int, nargs=2, metavar=("H", "W"), help="of the images; a folder needs it")
    add("--setup", nargs=2, metavar=("FILE", "NAME"), help="a set-up of a TOML file")
    add("--poses", action="store_true", help="four classes, the poses, rather than left or not")
    add("--folds", type=int, default=5, help="person-folds to report, 0 for none (%(default)s)")
    add("--epochs", type=int, help=f"times through the images ({EPOCHS})")
    add("--seed", type=int, default=0, help="initial weights, order and split (%(default)s)")
    add("--output", help="the .keras file (experiments/experiment1/NAME.keras)")
    return parser


if __name__ == "__main__":
    main()
