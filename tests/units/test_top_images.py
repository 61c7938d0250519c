import numpy as np
import pytest
from planted import EDGE, bank, images

from helpers.units import measure_responses, top_activating_images

IMAGES = images()
RESPONSES = measure_responses(bank(), IMAGES, "bank", progress=False)


def test_the_images_of_both_ends_are_of_different_groups_and_in_order():
    ranked = top_activating_images(RESPONSES, count=3).sel(unit=EDGE)
    activation = RESPONSES["activation"].sel(unit=EDGE).values
    best = {g: activation[IMAGES.groups == g].max() for g in np.unique(IMAGES.groups)}
    expected = sorted(best.values(), reverse=True)[:3]
    np.testing.assert_allclose(ranked["activation"].sel(end="max"), expected)
    for end in ("max", "min"):
        at = ranked.sel(end=end)
        assert len(set(IMAGES.groups[at["image"].values])) == 3
        np.testing.assert_allclose(activation[at["image"].values], at["activation"])
    assert (IMAGES.labels[ranked["image"].sel(end="max").values] == 1).all()


def test_without_groups_every_image_counts_and_there_are_no_more_than_groups():
    ungrouped = RESPONSES.assign_coords(group=("image", np.arange(24).astype(str)))
    assert top_activating_images(ungrouped, count=9).sizes["rank"] == 9
    assert top_activating_images(RESPONSES, count=9).sizes["rank"] == 6


def test_a_count_below_one_is_refused():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        top_activating_images(RESPONSES, count=0)
