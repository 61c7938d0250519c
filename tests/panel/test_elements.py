import pytest
import traitlets

from helpers.panel import elements
from helpers.panel.elements import ImageView, Number, Status


def test_a_number_is_an_int_where_it_is_whole():
    assert repr(Number(value=2).number) == "2"
    assert Number(value=2.5).number == 2.5
    with pytest.raises(traitlets.TraitError):
        Number(value="two")


def fail(error):
    raise error


def test_an_error_is_announced_in_words_and_goes_with_the_next():
    status = Status()
    status.attempt(lambda: fail(ValueError("unit must be 0")))
    assert (status.text, status.is_error) == ("Error: unit must be 0", True)
    status.attempt(lambda: fail(RuntimeError("out of memory")))
    assert status.text == "Error: RuntimeError: out of memory"
    status.attempt(lambda: status.say("Done."))
    assert (status.text, status.is_error) == ("Done.", False)


def test_an_announced_error_goes_on_to_the_caller():
    status = Status()
    with pytest.raises(ValueError, match="unit"), status.announcing():
        fail(ValueError("unit must be 0"))
    assert status.text == "Error: unit must be 0"


def test_a_cleared_image_has_no_words():
    view = ImageView(png=b"png", alt="a map", caption="line", details="more", width=7)
    view.clear()
    assert (view.png, view.alt, view.caption, view.details, view.width) == (b"", "", "", "", 7)


def test_dropdown_button_and_text_box_carry_their_names():
    assert elements.dropdown("Layer", ["a"]).description == "Layer"
    assert elements.button("Stop").description == "Stop"
    box = elements.text_box("Path", "here")
    assert (box.description, box.placeholder, box.continuous_update) == ("Path", "here", False)
