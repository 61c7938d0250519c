"""The rooms of the house: which package may import which."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = (
    "files",
    "images",
    "natural",
    "models",
    "maps",
    "attribution",
    "sweeps",
    "units",
    "measures",
    "plots",
    "panel",
    "publish",
    "faces",
)
"""Rooms of `helpers`, the ground floor first: a room imports only rooms named before it."""
GENERIC = ORDER[: ORDER.index("faces")]


def imported(path: Path) -> set[str]:
    """Dotted names of all that a file imports, whole or in part."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_of(path: Path) -> set[str]:
    parts = [name.split(".") for name in imported(path)]
    return {part[1] for part in parts if part[0] == "helpers" and len(part) > 1}


def files_of(room: str) -> list[Path]:
    folder = ROOT / "helpers" / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def test_every_room_has_its_place_in_the_order():
    there = {path.stem for path in (ROOT / "helpers").iterdir() if path.suffix == ".py"}
    there |= {path.parent.name for path in (ROOT / "helpers").glob("*/__init__.py")}
    assert there - {"__init__"} <= set(ORDER)


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_rooms_before_it(room):
    allowed = {*ORDER[: ORDER.index(room)], room}
    wrong = {
        str(path.relative_to(ROOT)): sorted(rooms_of(path) - allowed)
        for path in files_of(room)
        if path.exists() and rooms_of(path) - allowed
    }
    assert not wrong


def test_nothing_in_helpers_imports_an_experiment():
    wrong = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "helpers").rglob("*.py")
        if any(
            name.split(".")[0] in ("experiments", "tests", "benchmarks") for name in imported(path)
        )
    ]
    assert not wrong


def test_every_package_says_what_it_offers():
    for init in (ROOT / "helpers").glob("*/__init__.py"):
        names = [
            target.id
            for node in ast.parse(init.read_text()).body
            if isinstance(node, ast.Assign)
            for target in node.targets
        ]
        assert "__all__" in names, init
