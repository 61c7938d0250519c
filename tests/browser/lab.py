"""A real JupyterLab on a copy of the notebooks, and a real Chromium to look at it."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from install import ROOT, system_chromium
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
MILLISECONDS = 60_000
"""How long a page may take for anything: two slow cores start TensorFlow in a kernel."""

SETTINGS = {
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    "notebook-extension/tracker": '{"windowingMode": "none"}',
}
PANEL = ".jp-OutputArea-output:has([role=status])"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COPIED = ("*.ipynb", "*.toml", "*.keras", "*.nc")


@dataclass(frozen=True)
class Lab:
    """A JupyterLab that runs.

    Attributes:
        url: where, without a slash at the end.
        token: what opens it.
        folder: what it shows, a copy of the notebooks and of what they read.
    """

    url: str
    token: str
    folder: Path

    def ask(self, page: Page, path: str, **values) -> dict:
        """Post to the server's API (`kernels`, `sessions`) and return its answer."""
        headers = {"Authorization": f"token {self.token}"}
        return page.request.post(f"{self.url}/api/{path}", data=values, headers=headers).json()

    def shrink(self, notebook: str, values: str) -> None:
        """Add a line to a notebook's cell of parameters, so that it runs quickly."""
        path = self.folder / notebook
        content = nbformat.read(path, as_version=4)
        cell = next(c for c in content.cells if "parameters" in c.metadata.get("tags", []))
        cell.source += "\n" + values
        nbformat.write(content, path)

    def open(self, page: Page, notebook: str) -> None:
        """Open a notebook in a workspace of its own and wait until its kernel is idle."""
        name = Path(notebook).stem
        page.goto(f"{self.url}/lab/workspaces/{name}/tree/{notebook}?reset&token={self.token}")
        page.locator(".jp-NotebookPanel-notebook").wait_for(timeout=MILLISECONDS)
        expect(page.locator("#jp-main-statusbar")).to_contain_text("Idle")


def violations(page: Page, axe: str, scope: str = "body") -> list[str]:
    """What axe-core finds wrong inside `scope` (a CSS selector): rule, help, elements.

    Checked are its rules tagged as in `AXE_TAGS`: WCAG 2.0, 2.1 and 2.2, levels A and AA (names,
    roles, contrast, labels, alternatives, language, titles, target size) and its best practices.
    """
    page.evaluate(axe)
    broken = page.evaluate(
        """async ([scope, tags]) => (await axe.run(scope, {runOnly: tags})).violations""",
        [scope, AXE_TAGS],
    )
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'][:200] for node in rule['nodes'][:3]]}"
        for rule in broken
    ]


def menu(page: Page, *path: str) -> None:
    """Choose an entry of JupyterLab's menu bar."""
    bar, *entries = path
    page.get_by_role("menubar").get_by_role("menuitem", name=bar, exact=True).click()
    for entry in entries:
        page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).click()


def set_theme(page: Page, name: str) -> None:
    """Choose a theme in the menu, "Light" or "Dark", and wait until JupyterLab has loaded it."""
    menu(page, "Settings", "Theme", f"JupyterLab {name}")
    is_light = "true" if name == "Light" else "false"
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", is_light)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)
    light = "parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]) > 127"
    page.wait_for_function(f"({light}) === {is_light}", timeout=MILLISECONDS)


def run_all(page: Page) -> None:
    """Run all cells of the open notebook and wait until they have run; fail where one raised."""
    menu(page, "Edit", "Clear Outputs of All Cells")
    menu(page, "Run", "Run All Cells")
    last = page.locator(".jp-CodeCell").last
    ended = last.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]:"))
    errors = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    expect(ended.or_(errors).first).to_be_attached(timeout=3 * MILLISECONDS)
    assert errors.all_inner_texts() == []


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium: the system's, else Playwright's own.

    Raises:
        FileNotFoundError: there is neither.
    """
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        path = system_chromium() or playwright.chromium.executable_path
        if not Path(path).exists():
            raise FileNotFoundError("no Chromium: run `make browser`")
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@contextmanager
def running_lab(home: Path, folder: Path) -> Iterator[Lab]:
    """JupyterLab on a free port of this machine, with a token and settings of its own.

    Args:
        home: empty folder for its settings.
        folder: empty folder for the copy of the notebooks that it shows.
    """
    for source in (ROOT / "notebooks", *ROOT.glob("experiments/*")):
        place = folder / source.relative_to(ROOT)
        place.mkdir(parents=True)
        for file in (file for pattern in COPIED for file in source.glob(pattern)):
            shutil.copy(file, place)
    for name, text in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    port, token = _free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}"]
    command += [f"--IdentityProvider.token={token}", "--ServerApp.port_retries=0"]
    places = {
        "HOME": home,
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "PYTHONPATH": ROOT,
    }
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {name: str(place) for name, place in places.items()},
        text=True,
    )
    output = []
    for line in server.stdout:
        output.append(line)
        if f"127.0.0.1:{port}/lab" in line:
            break
    else:
        raise RuntimeError(f"JupyterLab did not start: {''.join(output)}")
    threading.Thread(target=server.stdout.read, daemon=True).start()
    yield Lab(f"http://127.0.0.1:{port}", token, folder)
    server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:  # an idle thread of its can hold its end up
        server.kill()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
