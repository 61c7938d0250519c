import io

import pytest
from PIL import Image
from tiny import tiny_net

from helpers import faces
from helpers.panel.background import Newest
from helpers.panel.card_view import CardView, card_spec
from helpers.panel.controls import Controls
from helpers.panel.elements import Status


@pytest.fixture(scope="module")
def few_faces():
    return faces.load_faces("rendered", seed=0, people=4, per_person=4)


def controls(model):
    return Controls(model, None, Status(), lambda: None, unit=1, seed=2, steps=3)


def test_the_card_is_of_the_chosen_unit(few_faces):
    runner = Newest()
    card = CardView(controls(tiny_net(units=5)), runner, few_faces)
    with pytest.raises(ValueError, match="no card yet"):
        card.figure()
    card.start_button.click()
    runner.result()
    assert not card.status.is_error and "conv unit 1" in card.status.text
    assert card.picture.png.startswith(b"\x89PNG")
    assert card.picture.alt == card.figure().alt
    assert "conv unit 1" in card.picture.alt
    assert card.picture.caption.startswith("Verdict: ")
    width, _ = Image.open(io.BytesIO(card.picture.png)).size
    assert width == card.picture.width  # its text is displayed as it is drawn


def test_maps_of_other_units_are_there_to_compare_with():
    model = tiny_net(units=30)
    spec = card_spec(model, controls(model).spec)
    assert 1 in spec.units and len(spec.units) == 9 and max(spec.units) == 29
    assert spec.seeds == (2, 3, 4, 5)


def test_a_layer_of_one_unit_is_refused():
    with pytest.raises(ValueError, match="at least 2 units"):
        card_spec(tiny_net(units=1), controls(tiny_net(units=2)).spec)
