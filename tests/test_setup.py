"""The three lists of dependencies say the same, and the commands are the README's."""

import re
import tomllib
from pathlib import Path

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


def test_ci_runs_the_test_command_of_the_readme():
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in (ROOT / "README.md").read_text()
