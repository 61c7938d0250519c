import dataclasses

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from planted import DEAD, EDGE, SIZE, TWIN, reported

from helpers import plots

REPORT = reported()
CARD = plots.unit_card(REPORT, EDGE)


def texts(figure):
    return "\n".join(t.get_text() for t in figure.findobj(match=lambda a: hasattr(a, "get_text")))


def pictures(figure):
    return [
        axis.images[0].get_array()
        for axis in figure.findobj(match=lambda a: getattr(a, "images", None))
        if len(axis.images)
    ]


def test_a_card_shows_the_units_own_maps_and_images():
    shown = pictures(CARD)
    assert len(shown) == 3 + 3 + 12
    for i in range(3):
        for maps, at in ((REPORT.happy, i), (REPORT.sad, 3 + i)):
            expected = maps["display"].sel(unit=EDGE).values[0, 0, i, ..., 0]
            np.testing.assert_array_equal(shown[at], expected)
    most, least = shown[6:10], shown[14:]
    right, left = slice(SIZE // 2, None), slice(None, SIZE // 2)
    for picture in most:
        assert picture[:, right].mean() > picture[:, left].mean() + 70
    for picture in least:
        assert abs(picture[:, right].mean() - picture[:, left].mean()) < 1


def test_heatmaps_lie_where_the_unit_is_active():
    for overlay in pictures(CARD)[10:14]:
        is_coloured = np.ptp(overlay, axis=-1).max(0) > 100
        assert np.flatnonzero(is_coloured).tolist() == [SIZE // 2 - 1, SIZE // 2]
    assert "its activation" in texts(CARD)
    assert "it looks at: middle centre, middle centre, middle centre, middle centre" in CARD.alt


def test_the_frame_is_the_receptive_field_of_the_strongest_neuron():
    frames = [f for f in CARD.findobj(Rectangle) if f.get_width() == 3 and not f.get_fill()]
    assert len(frames) == 8
    assert frames[0].get_x() == SIZE // 2 - 2 - 0.5


def test_a_card_says_verdict_kind_census_and_marks_the_maps():
    said = texts(CARD)
    for part in (
        "bank unit 0",
        f"Verdict: {REPORT.units['verdict'].sel(unit=EDGE).item()}",
        "as a texture: stable",
        "edge-like",
        "TV 0.001",
        "24 images",
        "'left' with probability 1.00",
        "As displayed",
    ):
        assert part in said, part
    assert "stable" in CARD.alt and "edge-like" in CARD.alt
    marks = [
        line.get_xdata()[0]
        for line in CARD.findobj(
            match=lambda a: type(a).__name__ == "Line2D" and a.get_linestyle() == ":"
        )
    ]
    shown = REPORT.happy["activation_display"].sel(unit=EDGE).values.ravel()
    assert set(np.float32(shown)) <= set(np.float32(marks))


def test_a_dead_unit_has_a_card_and_a_layer_may_lack_sad_maps():
    card = plots.unit_card(REPORT, DEAD)
    said = texts(card)
    assert "it looks at: nowhere" in card.alt
    assert "no map" in said and "dead, zero at every position" in said and "nan" not in said
    for sad in (None, REPORT.sad.sel(unit=[TWIN])):
        alone = dataclasses.replace(REPORT, sad=sad)
        assert "SadMap" not in texts(plots.unit_card(alone, EDGE))


def test_a_card_of_no_unit_is_refused():
    with pytest.raises(ValueError, match="unit must be one of .*9"):
        plots.unit_card(REPORT, 9)


def test_the_overview_groups_every_unit_once():
    figure = plots.layer_overview(REPORT, title="Bank", n_columns=4)
    said = texts(figure)
    assert len(pictures(figure)) == 6
    for unit in range(6):
        assert said.count(f"unit {unit}") == 1
    assert said.index("repeatable (") < said.index("no map (")
    assert f"unit {TWIN}" in said and "Bank" in figure.alt


def test_the_most_repeatable_of_a_group_come_first():
    units = REPORT.units.assign(verdict=("unit", ["stable"] * 6))
    units["similarity"] = ("unit", [0.2, 0.9, 0.5, 0.7, 0.1, 0.8])
    said = texts(plots.layer_overview(dataclasses.replace(REPORT, units=units)))
    places = [said.index(f"unit {unit}") for unit in (1, 5, 3, 2, 0, 4)]
    assert places == sorted(places)


def test_the_same_evidence_makes_the_same_card():
    assert plots.unit_card(REPORT, EDGE).png() == CARD.png()
