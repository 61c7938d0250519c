"""The panel of `explore.ipynb` in JupyterLab: what a person moves, sees and hears."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lab import MILLISECONDS, PANEL, Lab, run_all, set_theme, violations
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import Error as PlaywrightError

DONE = r"^Done in [\d.]+ s: (pre-)?activation .+ → .+\.$"
SMALL = "steps, card_people, sweep_units, sweep_tv_weights = 5, 4, [2, 3], [1e-3]"
TODO = 20
"""Steps of an optimization in these tests, so that it ends soon; NEVER is for one to stop."""
NEVER = 10_000

LISTEN = """
panel => {
  window.heard = [];
  for (const region of panel.querySelectorAll("[role=status]"))
    new MutationObserver(() => heard.push(region.textContent))
      .observe(region, {childList: true, characterData: true, subtree: true});
}
"""
"""Writes down what the live regions announce, in order."""


@pytest.fixture(scope="module")
def opened(browser: Browser, lab: Lab) -> Iterator[Page]:
    """`explore.ipynb` after Run All Cells."""
    page = browser.new_page(viewport={"width": 1500, "height": 1400})
    lab.shrink("notebooks/explore.ipynb", SMALL)
    lab.open(page, "notebooks/explore.ipynb")
    run_all(page)
    panel(page).evaluate(LISTEN)
    yield page
    page.close()


@pytest.fixture(scope="module")
def page(opened: Page) -> Page:
    """The same, where an optimization ends soon."""
    move(opened, "Steps", TODO)
    return opened


@contextmanager
def hears(page: Page, pattern: str) -> Iterator[None]:
    """What happens inside makes the panel announce something that matches."""
    before = page.evaluate("heard.length")
    yield
    matching = "([before, pattern]) => heard.slice(before).some(text => text.match(pattern))"
    try:
        page.wait_for_function(matching, arg=[before, pattern], timeout=MILLISECONDS)
    except PlaywrightError:
        heard = page.evaluate("before => heard.slice(before)", before)
        pytest.fail(f"the panel should announce {pattern!r}, it announced {heard}")


def panel(page: Page) -> Locator:
    return page.locator(PANEL).first


def status(page: Page) -> Locator:
    """What the panel says; the sweep's own is the second."""
    return panel(page).get_by_role("status").first


def image(page: Page) -> Locator:
    """The map that the panel shows."""
    return panel(page).get_by_role("img").first


def box(page: Page, name: str) -> Locator:
    return panel(page).get_by_role("spinbutton", name=name, exact=True)


def put(page: Page, name: str, value) -> None:
    """Type a number into a text box."""
    box(page, name).fill(str(value))
    box(page, name).press("Enter")


def move(page: Page, name: str, value) -> None:
    """Type a number that is not there yet, and wait for the map."""
    with hears(page, DONE):
        put(page, name, value)


def button(page: Page, name: str) -> Locator:
    return panel(page).get_by_role("button", name=name, exact=True)


@contextmanager
def view(page: Page, name: str) -> Iterator[Locator]:
    """Turn to a view, which is the only one that is seen, and back to the map afterwards."""
    panel(page).get_by_role("tab", name=name, exact=True).click()
    expect(button(page, "Render")).to_be_hidden()
    yield panel(page)
    panel(page).get_by_role("tab", name="Map", exact=True).click()


def test_after_run_all_the_panel_shows_the_notebooks_map(opened):
    expect(image(opened)).to_have_attribute("alt", re.compile("HappyMap of conv2d_3 unit [0-9]+: "))
    expect(image(opened)).to_have_js_property("complete", True)
    assert image(opened).evaluate("image => image.naturalWidth") > 0
    expect(box(opened, "TV weight")).to_have_value("0.001")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_wrong_with_the_panel(opened, axe, theme):
    set_theme(opened, theme)
    assert violations(opened, axe, PANEL) == []


def test_a_slider_moved_by_keyboard_makes_another_map(page):
    slider = panel(page).get_by_role("slider", name="TV weight slider")
    before = image(page).get_attribute("src")
    slider.focus()
    with hears(page, DONE):
        page.keyboard.press("ArrowRight")
    weight = float(box(page, "TV weight").input_value())
    assert weight == pytest.approx(10**-2.9, rel=1e-2)
    expect(image(page)).to_have_attribute("alt", re.compile(f"→.*TV {weight:g},"))
    assert image(page).get_attribute("src") != before
    expect(slider).to_be_focused()


def test_a_number_typed_into_the_box_moves_slider_and_map(page):
    move(page, "Unit", 7)
    expect(image(page)).to_have_attribute("alt", re.compile("unit 7: .*→"))
    expect(panel(page).get_by_role("slider", name="Unit slider")).to_have_value("7")
    move(page, "Unit", 5)


def test_stop_ends_the_optimization_and_keeps_its_image(page):
    put(page, "Steps", NEVER)
    expect(image(page)).to_have_attribute("alt", re.compile(rf"step \d+ of {NEVER}"))
    with hears(page, rf"^Stopped after step \d+ of {NEVER}"):
        button(page, "Stop").click()
    expect(image(page)).to_have_attribute("alt", re.compile(rf"step \d+ of {NEVER}"))
    move(page, "Steps", TODO)


def test_a_new_move_ends_the_optimization_before_it(page):
    put(page, "Steps", NEVER)
    expect(image(page)).to_have_attribute("alt", re.compile(rf"step \d+ of {NEVER}"))
    move(page, "Steps", TODO)
    expect(image(page)).to_have_attribute("alt", re.compile("→"))


@pytest.mark.parametrize(
    ("name", "wrong", "right", "says"),
    [
        ("Unit", "999", "5", "units of conv2d_3 must be integers 0 to 63, got 999"),
        ("TV weight", "-1", "0.001", "tv_weights must be finite numbers of at least 0, got -1"),
        ("Seed", "1.5", "0", "seeds must be integers of at least 0, got 1.5"),
    ],
)
def test_a_wrong_number_is_announced_in_words(page, name, wrong, right, says):
    with hears(page, f"^Error: {says}"):
        put(page, name, wrong)
    move(page, name, right)


def test_a_model_that_is_not_there_is_announced_in_words(page):
    path = panel(page).get_by_role("textbox", name="Another model")
    with hears(page, "^Error: .*nowhere.keras"):
        path.fill("nowhere.keras")
        path.press("Enter")


def test_every_control_has_a_name_and_they_follow_each_other(page):
    """Tab goes from the model down through every control, each of which says its name."""
    panel(page).get_by_role("combobox", name="Model", exact=True).focus()
    name_of = """() => {
      const at = document.activeElement;
      const label = at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent;
      return (label ?? at.textContent ?? "").trim();
    }"""
    names = []
    for _ in range(20):
        names.append(page.evaluate(name_of))
        page.keyboard.press("Tab")
    wanted = ["Model", "Another model", "Input", "Layer", "Unit", "Unit slider", "TV weight"]
    wanted += ["TV weight slider", "LP weight", "LP weight slider", "Seed", "Seed slider"]
    assert [name for name in names if name in wanted] == wanted
    assert "" not in names


def test_what_is_kept_stays_in_the_strip(page):
    with hears(page, "^Kept: 1 in the strip.$"):
        button(page, "Keep").click()
    expect(panel(page).get_by_role("img", name=re.compile("HappyMap of conv2d_3"))).to_have_count(2)
    with hears(page, "^Error: this map is kept already$"):
        button(page, "Keep").click()
    with hears(page, "^The strip is empty.$"):
        button(page, "Clear strip").click()


def test_the_spec_unfolds_and_a_pasted_one_is_optimized(page):
    panel(page).get_by_text("Spec as TOML").click()
    spec = panel(page).get_by_role("textbox", name="Spec as TOML")
    assert 'layer = "conv2d_3"' in spec.input_value()
    with hears(page, DONE):
        spec.fill(re.sub(r"units = \[\d+\]", "units = [11]", spec.input_value()))
        button(page, "Apply").click()
    expect(box(page, "Unit")).to_have_value("11")
    expect(image(page)).to_have_attribute("alt", re.compile("unit 11: .*→"))
    move(page, "Unit", 5)
    with hears(page, "^Error: the spec must be TOML"):
        spec.fill("layer = ")
        button(page, "Apply").click()


def test_the_map_is_downloaded_as_png_and_toml(page):
    move(page, "Unit", 6)
    for kind, start in (("PNG", b"\x89PNG"), ("TOML", b"layer =")):
        with page.expect_download() as download:
            panel(page).get_by_role("link", name=f"Download {kind}").first.click()
        assert download.value.path().read_bytes().startswith(start)
        assert download.value.suggested_filename.endswith(f".{kind.lower()}")


def test_a_sweep_fills_its_grid_and_a_map_is_enlarged(page):
    with view(page, "Sweep") as sweep:
        for name, values, says in (
            ("Row values", "0-1", "^2 x 1 maps to optimize"),
            ("Column values", "0.001, 0.01, 0.1", "^2 x 3 maps to optimize"),
        ):
            with hears(page, says):
                sweep.get_by_role("textbox", name=name).fill(values)
                sweep.get_by_role("textbox", name=name).press("Enter")
        with hears(page, "^Done: 6 maps"):
            button(page, "Start sweep").click()
        cells = sweep.locator("table").get_by_role("button")
        expect(cells).to_have_count(6)
        chosen = sweep.get_by_role("button", name=re.compile("unit 1, TV 0.01: .+ → .+"))
        chosen.click()
        expect(chosen).to_have_attribute("aria-pressed", "true")
        large = sweep.get_by_role("img", name=re.compile("HappyMap of conv2d_3 unit 1:.*TV 0.01,"))
        expect(large).to_be_visible()
        chosen.focus()
        page.keyboard.press("ArrowRight")
        expect(sweep.get_by_role("button", name=re.compile("unit 1, TV 0.1:"))).to_be_focused()


def test_a_sweep_that_cannot_be_is_announced_in_words(page):
    with view(page, "Sweep") as sweep:
        rows = sweep.get_by_role("textbox", name="Row values")
        with hears(page, "^Error: units of conv2d_3 must be integers 0 to 63, got 999"):
            rows.fill("0, 999")
            rows.press("Enter")
        button(page, "Start sweep").click()
        text = re.compile("^Error: units of conv2d_3 must be integers 0 to 63")
        expect(sweep.get_by_role("status")).to_have_text(text)


def test_all_units_fill_in_and_one_is_chosen(page):
    with view(page, "All units") as overview:
        with hears(page, "^Done: 64 units of conv2d_3"):
            button(page, "Show all units").click()
        with hears(page, DONE):
            overview.get_by_role("button", name=re.compile("^unit 9: .+ → ")).click()
    expect(box(page, "Unit")).to_have_value("9")
    expect(image(page)).to_have_attribute("alt", re.compile("unit 9: .*→"))


def test_why_shows_image_heatmap_and_map_side_by_side(page, axe):
    with hears(page, "sees its reason"), view(page, "Why") as why:
        images = why.get_by_role("img")
        expect(images).to_have_count(3)
        boxes = [image.bounding_box() for image in images.all()]
        assert len({round(box["y"]) for box in boxes}) == 1
        assert len({round(box["width"]) for box in boxes}) == 1
        expect(images.nth(1)).to_have_attribute("alt", re.compile("SmoothGrad of conv2d_3 unit"))
        expect(images.nth(2)).to_have_attribute("alt", re.compile("HappyMap of conv2d_3 unit"))
        assert violations(page, axe, PANEL) == []


def test_a_recipe_hides_what_plays_no_part_in_it(page):
    expect(box(page, "TV weight")).to_be_visible()
    panel(page).get_by_role("combobox", name="Recipe").select_option("robust")
    expect(box(page, "TV weight")).to_be_hidden()
    expect(image(page)).to_have_attribute("alt", re.compile("robust, seed 0"))
    width = image(page).evaluate("image => image.width / image.closest('figure').clientWidth")
    assert width > 0.6
