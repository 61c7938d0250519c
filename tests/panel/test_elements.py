import re

import pytest
import traitlets

from helpers.panel import elements
from helpers.panel.elements import Grid, Number, Picture, SpecBox, Status

ALL = [Number, Picture, Grid, SpecBox, Status]


@pytest.mark.parametrize("kind", ALL)
def test_the_page_reads_what_the_kernel_sends(kind):
    script = kind()._esm
    read = set(re.findall(r'model\.(?:get|set)\("(\w+)"', script))
    sent = {name for name in kind.class_own_traits() if kind.class_traits()[name].metadata["sync"]}
    assert read == sent - {"_esm", "_css"}
    assert "export default { render }" in script


@pytest.mark.parametrize("kind", ALL)
def test_every_class_of_the_page_has_its_style_and_colours_follow_the_theme(kind):
    element = kind()
    classes = set(re.findall(r'classList\.\w+\("([^)]+)"', element._esm))
    names = {name for found in classes for name in re.findall(r"happymaps[\w-]*", found)}
    assert names
    assert all(f".{name}" in element._css for name in names)
    colours = re.findall(r"(?:color|background): ?([^;]+);", element._css)
    assert colours and all(re.match(r"var\(--jp-|inherit", colour) for colour in colours)


def test_a_number_is_an_int_where_it_is_whole():
    assert repr(Number(value=2).number) == "2"
    assert Number(value=2.5).number == 2.5
    with pytest.raises(traitlets.TraitError):
        Number(value="two")


def test_an_error_is_said_in_words_and_goes_with_the_next():
    status = Status()

    def fail(error):
        raise error

    assert isinstance(status.attempt(fail, ValueError("unit must be 0")), ValueError)
    assert (status.text, status.is_error) == ("Error: unit must be 0", True)
    status.attempt(fail, RuntimeError("out of memory"))
    assert status.text == "Error: RuntimeError: out of memory"
    assert status.attempt(status.say, "Done.") is None
    assert (status.text, status.is_error) == ("Done.", False)


def test_dropdown_button_and_text_box_carry_their_names():
    assert elements.dropdown("Layer", ["a"]).description == "Layer"
    assert elements.button("Stop").description == "Stop"
    box = elements.text_box("Path", "here")
    assert (box.description, box.placeholder, box.continuous_update) == ("Path", "here", False)
