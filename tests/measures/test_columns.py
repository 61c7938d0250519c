import pytest

from helpers.measures import label


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("high_frequency_share", "high-frequency share"),
        ("displayed_z_score", "displayed z-score"),
        ("similarity_over_seeds", "similarity over seeds"),
        ("apoz", "APoZ"),
    ],
)
def test_columns_are_labelled_for_people(column, words):
    assert label(column) == words
