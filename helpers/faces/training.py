"""Train the post's kind of net on faces, judged on people it has never seen."""

import argparse
import importlib.metadata
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import xarray as xr
from keras import layers
from tqdm.auto import tqdm
from tqdm.keras import TqdmCallback

from helpers import files, models
from helpers.faces import dataset as face_sets
from helpers.faces.dataset import Faces, pose_labels
from helpers.faces.evaluation import evaluate
from helpers.images import LabelledImages, as_pixels
from helpers.sweeps import store
from helpers.units.statistics import dead_units, unit_statistics

NAMES = {"cmu": "photos", "rendered": "rendered", "folder": "folder"}
EPOCHS = {"cmu": 24, "rendered": 4, "folder": 24}
BATCH, LEARNING_RATE = 32, 1e-3
FILTERS, DENSE = (32, 32, 64), (64, 32)
"""The post's net: units of each convolution, and of each dense layer before the last."""
DENSE_BIAS = 0.6
"""Where the biases of the hidden dense layers start. What reaches them is positive and much alike
from image to image, so that with 0 many units never fire: 21 of dense_1's 64 on the photographs
(seed 0, 24 epochs), against 4 with this."""
SHIFT, BRIGHTNESS, CONTRAST = 4, 25.0, (0.7, 1.4)
"""Augmentation: at most so many pixels each way, so much added to 0..255, factors of contrast."""


@dataclass(frozen=True)
class Trained:
    """A trained net.

    Attributes:
        model: takes pixels 0..255 (N, H, W, C), puts out probabilities (N, classes); not compiled.
        history: loss and accuracy (0..1) after each epoch, `val_` on the test people.
    """

    model: keras.Model
    history: dict[str, list[float]]


def build_net(
    input_shape: tuple[int, int, int],
    n_outputs: int = 2,
    filters: Sequence[int] = FILTERS,
    dense: Sequence[int] = DENSE,
    *,
    seed: int,
) -> keras.Model:
    """Build the post's kind of net: pixels 0..255 in, convolutions, dense layers, softmax.

    Pixels are brought to -1..1, so that the gray of a seed input is 0: from 0..1 more units start
    without a gradient (46 of conv2d_3's 64 on the photographs, against 27). Then 3x3 convolutions
    conv2d_1, conv2d_2 ... with ReLU, each followed by 2x2 max pooling; dense_1, dense_2 ... with
    ReLU, dropout before each; the last dense layer decides. All randomness follows from `seed`.

    Args:
        input_shape: (H, W, C).
        n_outputs: classes.
        filters: units of each convolution.
        dense: units of each dense layer before the last.
        seed: integer of at least 0.
    """
    draw = np.random.default_rng(seed)

    def start():
        return keras.initializers.HeUniform(seed=int(draw.integers(2**31)))

    bias = keras.initializers.Constant(DENSE_BIAS)
    x = pixels = keras.Input(input_shape, name="pixels")
    x = layers.Rescaling(1 / 127.5, -1, name="rescaling")(x)
    for number, units in enumerate(filters, 1):
        name = f"conv2d_{number}"
        x = layers.Conv2D(units, 3, activation="relu", kernel_initializer=start(), name=name)(x)
        x = layers.MaxPooling2D(name=f"max_pooling2d_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(dense, 1):
        rate, name = 0.5 if number == 1 else 0.25, f"dropout_{number}"
        x = layers.Dropout(rate, seed=int(draw.integers(2**31)), name=name)(x)
        name = f"dense_{number}"
        x = layers.Dense(units, "relu", True, start(), bias, name=name)(x)
    name = f"dense_{len(dense) + 1}"
    x = layers.Dense(n_outputs, activation="softmax", kernel_initializer=start(), name=name)(x)
    return keras.Model(pixels, x)


def train(
    faces_train: LabelledImages,
    faces_test: LabelledImages,
    *,
    seed: int,
    epochs: int = 24,
    batch: int = BATCH,
    filters: Sequence[int] = FILTERS,
    dense: Sequence[int] = DENSE,
    progress: bool = True,
) -> Trained:
    """Train a new net with Adam (rate 1e-3 at first) on the cross-entropy.

    Learns from each image and its mirror image (`with_mirror_images`), shifted, brighter or darker
    and with more or less contrast each time (by `SHIFT`, `BRIGHTNESS`, `CONTRAST`). The rate falls
    to 0 along a cosine (Loshchilov & Hutter 2016, 1608.03983, equation 5, one cycle). The same seed
    on the same machine gives the same weights; no global seed is read or set.

    Args:
        faces_train: images to learn from, labelled as the model is to label them.
        faces_test: other people's images; watched while it trains, never learned from.
        seed: makes the initial weights and the order of the images.
        epochs: times through the images.
        batch: images a step.
        filters, dense: as `build_net` takes them.
        progress: show a bar.
    """
    faces_train = with_mirror_images(faces_train)
    labels, classes = faces_train.labels, faces_train.class_names
    steps = math.ceil(len(labels) / batch)
    model = build_net(faces_train.images.shape[1:], len(classes), filters, dense, seed=seed)
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * steps)
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    bars = [TqdmCallback(verbose=0, desc="training", leave=False)] if progress else []
    history = model.fit(
        _batches(as_pixels(faces_train.images), labels, batch, seed),
        steps_per_epoch=steps,
        epochs=epochs,
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
    faces: LabelledImages, *, n_folds: int = 5, seed: int, progress: bool = True, **options
) -> list[float]:
    """Accuracy (0..1) on the unseen people of each fold; `options` as `train` takes them."""
    folds = face_sets.person_folds(faces, n_folds, seed=seed)
    accuracies = []
    for known, unseen in tqdm(folds, total=n_folds, desc="folds", disable=not progress):
        model = train(known, unseen, seed=seed, progress=progress, **options).model
        accuracies.append(evaluate(model, unseen).accuracy)
    return accuracies


def save_net(model: keras.Model, record: dict, statistics: xr.Dataset, path: str | Path) -> Path:
    """Write NAME.keras, NAME.json (how it was trained) and NAME.statistics.nc, each one whole.

    The net comes last, so that a net that is there has its record beside it.
    """
    path = Path(path)
    store.save(statistics, path.with_suffix(".statistics.nc"))
    with files.atomic_write(path.with_suffix(".json")) as part:
        part.write_text(json.dumps(record, indent=2) + "\n")
    with files.atomic_write(path) as part:
        model.save(part)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a net from the command line: `python -m helpers.faces.training --help`."""
    options = _parser().parse_args(arguments)
    size = tuple(options.size) if options.size else None
    faces = face_sets.load_faces(options.source, options.path, seed=options.seed, size=size)
    faces = faces.by_pose() if options.poses else faces
    known, unseen = face_sets.split_by_person(faces, seed=options.seed)
    epochs = options.epochs or EPOCHS[options.source]
    how = {"seed": options.seed, "epochs": epochs}
    folds = cross_validate(faces, n_folds=options.folds, **how) if options.folds else []
    trained = train(known, unseen, **how)
    result = evaluate(trained.model, unseen)
    statistics = unit_statistics(trained.model, faces)
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
        "dead_units": dead_units(statistics),
        "poses": options.poses,
        **how,
        "batch": BATCH,
        "optimizer": f"Adam, rate {LEARNING_RATE} to 0 along a cosine",
        "augmentation": {
            "mirror images": "with left and right swapped in pose and label",
            "shift": SHIFT,
            "brightness": BRIGHTNESS,
            "contrast": CONTRAST,
        },
        "weight_digest": models.weight_digest(trained.model),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    name = NAMES[options.source] + ("_poses" if options.poses else "")
    output = Path(options.output or f"experiments/experiment1/{name}.keras")
    save_net(trained.model, record, statistics, output)
    if folds:
        each = ", ".join(f"{accuracy:.3f}" for accuracy in folds)
        print(f"accuracy on unseen people, {len(folds)} folds: {np.mean(folds):.4f} ({each})")
    print(f"accuracy of {output} on its unseen people: {result.accuracy:.4f}")
    print(f"dead units: {record['dead_units'] or 'none'}")


def _batches(pixels: np.ndarray, labels: np.ndarray, batch: int, seed: int):
    """Batches without end; every len(labels) images are all of them in a new order."""
    draw = np.random.default_rng(seed)
    while True:
        order = draw.permutation(len(labels))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            yield np.stack([_changed(pixels[i], draw) for i in chosen]), labels[chosen]


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
        description="Train a net on faces and report its accuracy on people it has never seen.",
    )
    add = parser.add_argument
    add("--source", choices=tuple(NAMES), default="rendered", help="which faces (%(default)s)")
    add("--path", help="folder or archive of the faces; cmu is downloaded without it")
    add("--size", type=int, nargs=2, metavar=("H", "W"), help="of the images; a folder needs it")
    add("--poses", action="store_true", help="four classes, the poses, rather than left or not")
    add("--folds", type=int, default=5, help="person-folds to report, 0 for none (%(default)s)")
    add("--epochs", type=int, help=f"times through the images ({EPOCHS})")
    add("--seed", type=int, default=0, help="initial weights, order and split (%(default)s)")
    add("--output", help="the .keras file (experiments/experiment1/NAME.keras)")
    return parser


if __name__ == "__main__":
    main()
