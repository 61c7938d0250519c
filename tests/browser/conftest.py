"""A Chromium, a JupyterLab and axe-core for the tests of this folder."""

import os
from collections.abc import Iterator

import pytest
from install import AXE
from lab import Lab, running_browser, running_lab
from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium; without one the tests are skipped."""
    try:
        with running_browser() as chromium:
            yield chromium
    except FileNotFoundError as error:
        _cannot(str(error))


@pytest.fixture(scope="package")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """JupyterLab on a copy of the notebooks."""
    with running_lab(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("copy")) as started:
        yield started


@pytest.fixture(scope="package")
def axe() -> str:
    """The source of axe-core, the accessibility checker."""
    if not AXE.exists():
        _cannot("no axe-core: run `make browser`, which needs npm")
    return AXE.read_text()


def _cannot(why: str) -> None:
    """Skip, or fail where the tests must not be skipped."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
