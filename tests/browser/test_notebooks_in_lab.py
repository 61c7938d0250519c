"""Every notebook runs from first to last cell where people run it, with small parameters."""

from pathlib import Path

import pytest
from install import ROOT
from lab import Lab, run_all
from playwright.sync_api import Browser

SMALL = {
    "experiment0_create_dataset": "people, per_person = 8, 4",
    "experiment0_train": "people, per_person, epochs = 8, 4, 1",
    "reproduction": 'size, results = "small", "small_results"',
    "your_own_model": "crops, epochs, steps, units, size = 1, 1, 2, [3, 12], 64",
}
"""What is added to the cell of parameters; without an entry the size "small" of the experiment, and
where it has several models the quickest."""

NOTEBOOKS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        *ROOT.glob("experiments/experiment[0-5]/*.ipynb"),
        ROOT / "notebooks" / "your_own_model.ipynb",
    ]
)
"""Not those that compile the ImageNet model many times, minutes even at a small size; they are
executed from the present sources, as `tests/publish` says."""


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_runs_from_first_to_last_cell(browser: Browser, lab: Lab, notebook: str):
    small = 'net, size, results = "rendered", "small", "small_results"'
    lab.shrink(notebook, SMALL.get(Path(notebook).stem, small))
    page = browser.new_page()
    lab.open(page, notebook)
    run_all(page)
    images = page.locator(".jp-OutputArea-output img:not([hidden])")
    widths = images.evaluate_all("all => all.map(image => image.naturalWidth)")
    assert widths and all(widths)
    page.close()
