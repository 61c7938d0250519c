import numpy as np
import pytest

from helpers.models import class_names, find_class, top_classes


def test_a_thousand_names_in_the_order_of_the_outputs():
    names = class_names("imagenet")
    assert len(names) == len({name.lower() for name in names}) == 1000
    assert [names[i] for i in (0, 130, 285, 999)] == [
        "tench",
        "flamingo",
        "Egyptian cat",
        "toilet tissue",
    ]


def test_names_of_another_dataset_are_refused():
    with pytest.raises(ValueError, match="dataset must be one of .*imagenet.* got 'coco'"):
        class_names("coco")


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("flamingo", 130),
        ("Flamingo ", 130),
        ("egyptian_cat", 285),
        ("Egyptian", 285),
        ("zebra", 340),
        ("tiger", 292),  # a whole name, although there are a tiger cat, beetle and shark
        ("espresso", 967),
        ("crane (bird)", 134),
        ("machine crane", 517),
    ],
)
def test_a_class_is_found_by_words(name, index):
    assert find_class(name) == index


def test_every_class_is_found_by_its_own_name():
    assert [find_class(name) for name in class_names()] == list(range(1000))


def test_an_ambiguous_word_lists_the_classes_that_have_it():
    with pytest.raises(ValueError, match=r"'cat' is not enough.*tiger cat \(282\).*Egyptian cat"):
        find_class("cat")
    with pytest.raises(ValueError, match=r"'terrier' is not enough.* and \d+ more"):
        find_class("terrier")
    for twice in ("crane", "maillot", "cardigan"):
        with pytest.raises(ValueError, match=rf"(?i)may be {twice} \(.*\) \(\d+\), {twice} \("):
            find_class(twice)


def test_an_unknown_word_lists_the_nearest_first():
    with pytest.raises(ValueError, match=r"got 'flamigo'; near it are flamingo \(130\)"):
        find_class("flamigo")
    with pytest.raises(ValueError, match=r"got ''$"):
        find_class("")


def test_the_top_classes_are_those_of_most_output():
    outputs = np.zeros(1000)
    outputs[[130, 340, 0]] = [0.2, 0.7, 0.1]
    assert top_classes(outputs, 3) == {"zebra": 0.7, "flamingo": 0.2, "tench": 0.1}
    with pytest.raises(ValueError, match=r"outputs must be of shape \(1000,\), got \(1, 1000\)"):
        top_classes(outputs[None])
