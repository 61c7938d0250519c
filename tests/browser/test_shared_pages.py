"""The shared folder, opened as files and from a server, with the network cut off."""

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from lab import MILLISECONDS, violations
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from helpers.maps.spec import MapSpec
from helpers.publish import share
from helpers.sweeps import store

PAGES = ("index.html", "look.html", "maps_experiment7.html")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def folder(small_experiment, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("shared") / "pages"
    return share.share([small_experiment / "look.ipynb"], place).parent


@pytest.fixture(scope="module", params=["file", "server"])
def address(request, folder) -> Iterator[str]:
    """Where the folder is, without a slash at the end."""
    if request.param == "file":
        yield folder.as_uri()
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that reaches the folder only; it fails the test where it asks for anything else."""
    context = browser.new_context(offline=address.startswith("file"))
    page, wrong = context.new_page(), []

    def hold(route):
        if route.request.url.startswith((address, "data:")):
            route.continue_()
        else:
            wrong.append(route.request.url)
            route.abort()

    context.route("**/*", hold)
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert wrong == []


def status(page: Page):
    return page.get_by_role("status")


def test_pages_open_without_a_network_and_lead_to_each_other(page, address):
    page.goto(f"{address}/index.html")
    expect(page.get_by_role("img", name="Last map")).to_be_visible()
    page.get_by_role("link", name="A look & 1 < 2").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("A look & 1 < 2")
    expect(page.get_by_role("img", name="Last map").first).to_be_visible()
    page.get_by_role("link", name="Browse the maps").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stored maps of Experiment 7")
    page.get_by_role("link", name="HappyMaps").click()
    expect(page).to_have_title("HappyMaps")
    loaded = "document.images.length && [...document.images].every((one) => one.naturalWidth)"
    page.wait_for_function(loaded, timeout=MILLISECONDS)


def test_the_panels_place_starts_at_the_notebooks_parameters(page, address):
    page.goto(f"{address}/look.html")
    expect(status(page)).to_contain_text("HappyMap of conv (activation), unit 1, TV 0.1, LP 10")
    expect(page.get_by_role("radio", name="unit 1")).to_be_checked()
    expect(page.get_by_role("radio", name="TV 0.1")).to_be_checked()


def test_unit_weight_and_seed_are_chosen_by_mouse_and_keyboard(page, address):
    page.goto(f"{address}/maps_experiment7.html")
    expect(status(page)).to_contain_text("unit 0, TV 0.001, LP 10, seed 0")
    page.get_by_text("unit 2", exact=True).click()
    expect(status(page)).to_contain_text("unit 2, TV 0.001, LP 10, seed 0")
    page.keyboard.press("ArrowLeft")
    expect(status(page)).to_contain_text("unit 1, TV 0.001, LP 10, seed 0")
    expect(page.get_by_role("radio", name="unit 1")).to_be_focused()
    page.get_by_text("TV 0.1", exact=True).click()
    expect(status(page)).to_contain_text("unit 1, TV 0.1, LP 10, seed 0")
    page.get_by_text("seed 1", exact=True).click()
    expect(status(page)).to_contain_text("unit 1, TV 0.1, LP 10, seed 1")
    expect(page.get_by_role("radio", name="TV 0.001")).to_be_disabled()
    expect(page.get_by_role("group", name="LP weight")).to_be_hidden()


def test_a_seed_without_the_chosen_weight_moves_to_a_stored_map(page, address):
    page.goto(f"{address}/maps_experiment7.html")
    page.get_by_text("seed 1", exact=True).click()
    expect(status(page)).to_contain_text("unit 0, TV 0.1, LP 10, seed 1")


def test_layer_and_model_are_chosen_and_the_spec_makes_the_map(page, address, small_experiment):
    page.goto(f"{address}/maps_experiment7.html")
    options = page.get_by_role("combobox", name="Model").locator("option").all_inner_texts()
    assert options == ["seen"]
    page.get_by_role("combobox", name="Maps of").select_option(index=1)
    page.get_by_text("unit 1", exact=True).click()
    expect(status(page)).to_contain_text("dense (pre-activation), unit 1, TV 0.1")
    page.get_by_text("Spec (TOML)").click()
    shown = MapSpec.from_toml(page.locator(".spec").inner_text())
    stored = store.load(small_experiment / "results" / "c.nc")
    all_of_it = MapSpec.from_toml(stored.attrs["spec"])
    assert shown.units == (1,) and shown.layer == "dense"
    assert MapSpec(**(vars(shown) | {"units": (0, 1)})) == all_of_it
    raw = float(stored["activation_raw"].sel(unit=1).squeeze())
    expect(status(page)).to_contain_text(f"pre-activation {raw:.3g} on the raw map")


def test_the_image_is_the_chosen_map(page, address, small_experiment):
    page.goto(f"{address}/maps_experiment7.html")
    page.get_by_text("unit 2", exact=True).click()
    page.get_by_text("seed 1", exact=True).click()
    expect(status(page)).to_contain_text("unit 2, TV 0.1, LP 10, seed 1")
    stored = store.load(small_experiment / "results" / "b.nc")
    expected = stored["display"].sel(unit=2, seed=1).squeeze().values.astype(float)
    page.wait_for_load_state("networkidle")
    png = page.locator("figure .map").screenshot()
    shown = Image.open(io.BytesIO(png)).convert("L").resize((6, 8), Image.Resampling.NEAREST)
    np.testing.assert_allclose(np.asarray(shown, float), expected, atol=1)


def test_both_themes_follow_the_system_and_the_button(page, address):
    def background() -> str:
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    page.emulate_media(color_scheme="light")
    page.goto(f"{address}/index.html")
    light = background()
    page.emulate_media(color_scheme="dark")
    dark = background()
    assert light != dark
    page.get_by_role("button", name="Theme: auto").click()
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    assert background() == light
    page.goto(f"{address}/look.html")
    page.get_by_role("button", name="Theme: light").click()
    assert background() == dark


def test_code_is_folded_until_it_is_asked_for(page, address):
    page.goto(f"{address}/look.html")
    code = page.get_by_text("panel.figure()")
    expect(code).to_be_hidden()
    page.get_by_role("button", name="Show code").click()
    expect(code).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_wrong(page, address, axe, name, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}/{name}")
    if name == "look.html":
        page.get_by_role("button", name="Show code").click()
        page.get_by_text("Spec (TOML)").click()
    assert violations(page, axe) == []


def test_without_javascript_the_pages_still_read(browser, folder):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{folder.as_uri()}/look.html")
    expect(page.get_by_role("img", name="Last map").first).to_be_visible()
    expect(page.get_by_text("Choosing a map needs JavaScript")).to_be_visible()
    context.close()
