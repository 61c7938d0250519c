"""Screenshots of the panel and the shared pages for the README, and how fast the panel answers.

`python tests/browser/show.py FOLDER` writes `panel_light.png`, `panel_dark.png`,
`shared_light.png` and `shared_dark.png` there, and prints the times. Run it when the maps of
experiment 1 are stored.
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from install import ROOT
from lab import PANEL, run_all, running_browser, running_lab, set_theme
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


def main(folder: Path) -> None:
    """Write the screenshots into `folder` and print the times."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_browser() as browser, tempfile.TemporaryDirectory() as temporary:
        home, copy = Path(temporary) / "home", Path(temporary) / "copy"
        with running_lab(home, copy) as lab:
            page = browser.new_page(viewport={"width": 1500, "height": 2300})
            lab.open(page, "notebooks/explore.ipynb")
            run_all(page)
            for theme in ("Light", "Dark"):
                set_theme(page, theme)
                _save(page.locator(PANEL).first, folder / f"panel_{theme.lower()}.png")
            _print_times(page)
        paths = [*ROOT.glob("experiments/*/*.ipynb"), *ROOT.glob("notebooks/*.ipynb")]
        index = share.share(sorted(paths), Path(temporary) / "pages")
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme, viewport={"width": 1180, "height": 900})
            page.goto((index.parent / "maps_experiment1.html").as_uri())
            page.get_by_role("combobox", name="Maps of").select_option(index=2)
            page.wait_for_load_state("networkidle")
            _save(page.locator("main"), folder / f"shared_{scheme}.png")


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
    screenshot.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
