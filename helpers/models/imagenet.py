"""The thousand classes of ImageNet (ILSVRC 2012) by name."""

import difflib
import functools
import re
from importlib import resources

import numpy as np

DATASETS = ("imagenet",)
MAX_LISTED = 8
NEAR = 0.6


@functools.cache
def class_names(dataset: str = "imagenet") -> tuple[str, ...]:
    """Names of a dataset's classes, in the order of the outputs of a model trained on it.

    The names of the WordNet synsets as `keras.applications` gives them, with spaces, and with a
    word in brackets where two classes have one name: cardigan (corgi, garment), crane (bird,
    machine) and maillot (swimsuit, tank suit).

    Args:
        dataset: "imagenet".

    Raises:
        ValueError: there are no names of this dataset.
    """
    if dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {DATASETS}, got {dataset!r}")
    text = resources.files("helpers.models").joinpath(f"{dataset}_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def find_class(name: str, dataset: str = "imagenet") -> int:
    """Find the output that stands for a class: `find_class("flamingo")` is 130.

    Args:
        name: the class's whole name, or words of it that no other class has ("zebra", "Egyptian");
            upper and lower case, spaces and underscores are the same.
        dataset: as `class_names` takes it.

    Raises:
        ValueError: no class has these words, or several have; the message lists the nearest.
    """
    words = [_words(known) for known in class_names(dataset)]
    wanted = _words(name)
    if wanted in words:
        return words.index(wanted)
    having = [index for index, known in enumerate(words) if set(wanted) <= set(known)]
    if wanted and len(having) == 1:
        return having[0]
    if wanted and having:
        raise ValueError(f"class name {name!r} is not enough, it may be {_listed(having, dataset)}")
    near = [words.index(known) for known in _nearest(wanted, words)]
    raise ValueError(
        f"class name must be one of the {len(words)} of class_names({dataset!r}), got {name!r}"
        + (f"; near it are {_listed(near, dataset)}" if near else "")
    )


def top_classes(outputs: np.ndarray, count: int = 5, dataset: str = "imagenet") -> dict[str, float]:
    """The classes of which a model puts out most for one image, the most first.

    Args:
        outputs: (classes,), probabilities or logits.
        count: how many.
        dataset: as `class_names` takes it.

    Raises:
        ValueError: not one number for each class.
    """
    names, outputs = class_names(dataset), np.asarray(outputs)
    if outputs.shape != (len(names),):
        raise ValueError(f"outputs must be of shape ({len(names)},), got {outputs.shape}")
    return {names[i]: float(outputs[i]) for i in np.argsort(-outputs)[:count]}


def _words(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\s_()]+", name.lower()))


def _nearest(wanted: tuple[str, ...], words: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Classes whose name, or a word of it, is similar (`difflib`'s ratio), the nearest first."""
    text = " ".join(wanted)

    def similarity(known: tuple[str, ...]) -> float:
        parts = (" ".join(known), *known)
        return max(difflib.SequenceMatcher(None, part, text).ratio() for part in parts)

    near = [known for known in words if similarity(known) >= NEAR]
    return sorted(near, key=similarity, reverse=True)[:MAX_LISTED]


def _listed(indices: list[int], dataset: str) -> str:
    listed = [f"{class_names(dataset)[index]} ({index})" for index in indices[:MAX_LISTED]]
    more = len(indices) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more > 0 else "")
