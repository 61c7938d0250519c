"""Screenshots of the panel and the shared pages for the README, and how fast the panel answers.

`python tests/browser/show.py FOLDER` writes `panel_light.png`, `panel_dark.png`, `panel_units.png`,
`panel_why.png`, `shared_light.png` and `shared_dark.png` there, and prints the times. Run it when
the maps of experiment 1 are stored; with `panel` as a second argument it writes those of the panel
only, which need none.
"""

import io
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
from install import ROOT
from lab import MILLISECONDS, PANEL, run_all, running_browser, running_lab, set_theme
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from helpers.publish import share

MEASURE = """
panel => new Promise(resolve => {
  const began = performance.now(), image = panel.querySelector("img");
  const status = panel.querySelector("[role=status]"), old = image.src;
  let first = null;
  const watch = new MutationObserver(() => {
    if (first === null && image.src !== old) first = performance.now() - began;
    if (first === null || !status.textContent.startsWith("Done")) return;
    watch.disconnect();
    resolve([first, performance.now() - began]);
  });
  watch.observe(panel, {subtree: true, childList: true, characterData: true, attributes: true});
  const slider = panel.querySelector("input[aria-label='TV weight slider']");
  slider.stepUp();
  slider.dispatchEvent(new Event("input", {bubbles: true}));
})
"""
"""Moves the slider of the TV weight a step; milliseconds to the first image, to the end."""
MOVES = 5


SHOWN = """
from helpers import models
from helpers.panel import Panel

cat = models.find_class("Egyptian cat")
panel = Panel(models.zoo("EfficientNetLite0"), layer="logits", unit=cat)
panel.render()
panel
"""
"""The cell whose panel is shown: of a model that everybody has."""
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
UNITS_OF, UNITS = "block4c_add (Add, 80 units)", 32
"""The layer of the overview, and how many small maps to wait for."""


def main(folder: Path, what: str = "all") -> None:
    """Write the screenshots into `folder` and print the times."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_browser() as browser, tempfile.TemporaryDirectory() as temporary:
        home, copy = Path(temporary) / "home", Path(temporary) / "copy"
        with running_lab(home, copy) as lab:
            cells = [nbformat.v4.new_code_cell(SHOWN.strip())]
            shown = nbformat.v4.new_notebook(cells=cells, metadata=KERNEL)
            nbformat.write(shown, copy / "shown.ipynb")
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            lab.open(page, "shown.ipynb")
            page.keyboard.press("Control+b")  # the file browser gives its room to the panel
            run_all(page)
            _save_views(page, folder)
            if what == "panel":
                return
            lab.open(page, "notebooks/explore.ipynb")
            run_all(page)
            _print_times(page)
        paths = [*ROOT.glob("experiments/*/*.ipynb"), *ROOT.glob("notebooks/*.ipynb")]
        index = share.share(sorted(paths), Path(temporary) / "pages")
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme, viewport={"width": 1180, "height": 900})
            page.goto((index.parent / "maps_experiment1.html").as_uri())
            page.get_by_role("combobox", name="Maps of").select_option(index=2)
            page.wait_for_load_state("networkidle")
            _save(page.locator("main"), folder / f"shared_{scheme}.png")


def _save_views(page: Page, folder: Path) -> None:
    panel = page.locator(PANEL).first
    for theme in ("Dark", "Light"):
        set_theme(page, theme)
        _save(panel, folder / f"panel_{theme.lower()}.png")
    panel.get_by_role("tab", name="Why").click()
    panel.get_by_role("combobox", name="Method").select_option("Grad-CAM")
    expect(panel.get_by_role("img", name=re.compile("^Grad-CAM"))).to_be_visible()
    expect(panel.get_by_role("status")).to_contain_text("sees its reason")
    _save(panel, folder / "panel_why.png")
    panel.get_by_role("combobox", name="Layer").select_option(UNITS_OF)
    panel.get_by_role("tab", name="All units").click()
    panel.get_by_role("button", name="Show all units").click()
    expect(panel.locator(".happymaps-tiles img").nth(UNITS - 1)).to_be_visible(
        timeout=5 * MILLISECONDS
    )
    _save(panel, folder / "panel_units.png")


def _print_times(page: Page) -> None:
    panel = page.locator(PANEL).first
    for engine, moves in (("batched", MOVES), ("keras-vis", 1)):
        panel.get_by_role("combobox", name="Engine").select_option(engine)
        expect(panel.get_by_role("status").first).to_contain_text("Done")
        times = np.median([panel.evaluate(MEASURE) for _ in range(moves)], axis=0)
        print(
            f"{engine}: {times[0]:.0f} ms from a slider's move to the first image,"
            f" {times[1]:.0f} ms to the finished map (median of {moves})"
        )


def _save(element: Locator, path: Path) -> None:
    """Write a screenshot of an element in at most 256 colours."""
    screenshot = Image.open(io.BytesIO(element.screenshot())).convert("RGB")
    screenshot.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
