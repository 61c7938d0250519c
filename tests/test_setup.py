"""The lists of dependencies agree, and a run leaves a checkout clean."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _name(requirement: str) -> str:
    return re.split(r"[<>=\[ ;]", requirement.strip())[0].lower().replace("_", "-")


def _declared() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + project["optional-dependencies"]["dev"]


def _pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {_name(name): version for name, version in pins}


def test_every_dependency_is_pinned():
    assert {_name(r) for r in _declared()} <= set(_pinned())


def test_an_exact_requirement_agrees_with_its_pin():
    exact = dict(r.split("==") for r in _declared() if "==" in r)
    assert exact
    assert {name: _pinned()[_name(name)] for name in exact} == exact


def test_conda_installs_the_same_list():
    text = (ROOT / "environment.yml").read_text()
    in_pip = text.split("- pip:")[1]
    items = [line.strip()[2:] for line in in_pip.splitlines() if line.strip().startswith("- ")]
    assert sorted(i for i in items if not i.startswith("--")) == sorted(_declared())
    assert "--constraint constraints.txt" in items


def test_constraints_hold_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"#.*|[\w.-]+==[\w.+]+", line) for line in lines)


@pytest.mark.parametrize(
    ("path", "is_ignored"),
    [
        ("experiments/experiment1/output/figures/photos/image_3.png", True),
        ("experiments/experiment1/output/rendered/visualization_first_pass.ipynb", True),
        ("notebooks/output/explore.html", True),
        ("experiments/experiment2/results/ab.nc", True),
        ("experiments/experiment1/figures/photos/image_3.png", False),
        ("notebooks/explore.ipynb", False),
    ],
)
def test_git_ignores_what_a_run_writes_and_nothing_that_is_committed(path, is_ignored):
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    asked = subprocess.run(["git", "check-ignore", "--no-index", "-q", path], cwd=ROOT)
    assert (asked.returncode == 0) == is_ignored
