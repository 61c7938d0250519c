"""What a notebook's outputs follow from, as one digest: cells, code that they import, data."""

import ast
import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent.parent
DATA = ("*.keras", "*.nc")


def source_digest(notebook: str | Path, root: str | Path = ROOT) -> str:
    """Digest of what a notebook's outputs follow from.

    That is its cells less injected parameters; the modules under `root` that it imports, and those
    that these import, as code without comments and docstrings; the values of the TOML files, the
    models and the data in its folder.

    Args:
        notebook: the .ipynb.
        root: folder of the packages to follow.
    """
    notebook = Path(notebook)
    cells = [
        [cell.cell_type, cell.source]
        for cell in nbformat.read(notebook, as_version=4).cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    code = "\n".join(source for cell_type, source in cells if cell_type == "code")
    modules = {
        str(path.relative_to(root)): code_of(path) for path in imported_files(code, Path(root))
    }
    declared = {path.name: tomllib.loads(path.read_text()) for path in _beside(notebook, "*.toml")}
    data = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in DATA
        for path in _beside(notebook, pattern)
    }
    text = json.dumps([cells, modules, declared, data], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def imported_files(code: str, root: Path) -> list[Path]:
    """Files under `root` of the modules that code imports, and of what these import, sorted.

    Importing a module imports the packages it is in, whose `__init__` may import more.
    """
    files: set[Path] = set()
    waiting = list(_imports(ast.parse(code), ()))
    while waiting:
        name = waiting.pop()
        for length in range(1, len(name) + 1):
            path, package = _file(root, name[:length])
            if path and path not in files:
                files.add(path)
                waiting += _imports(ast.parse(path.read_text()), package)
    return sorted(files)


def code_of(path: Path) -> str:
    """A module's code without comments, docstrings and layout."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_text(line)]
    return ast.dump(tree)


def _is_text(line: ast.stmt) -> bool:
    """Whether a statement is a string alone: a docstring, or what stands under a constant."""
    if not isinstance(line, ast.Expr) or not isinstance(line.value, ast.Constant):
        return False
    return isinstance(line.value.value, str)


def _imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Names of the modules, or things in them, that code in a package imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = (*above, *(node.module or "").split(".")) if node.module else above
            yield from ((*module, alias.name) for alias in node.names)


def _file(root: Path, name: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """The file of a module, and the package that its relative imports start from."""
    place = root.joinpath(*name)
    if (place / "__init__.py").is_file():
        return place / "__init__.py", name
    if place.with_suffix(".py").is_file():
        return place.with_suffix(".py"), name[:-1]
    return None, ()


def _beside(notebook: Path, pattern: str) -> list[Path]:
    return sorted(notebook.parent.glob(pattern))
