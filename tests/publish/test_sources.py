from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.publish.sources import imported_files, source_digest

MODULES = {
    "lib/__init__.py": "",
    "lib/maps/__init__.py": "from .spec import make\nfrom ..ground import ONE\n",
    "lib/maps/spec.py": "'Specs.'\nfrom lib.maps import deep\n\ndef make():\n    return deep.x\n",
    "lib/maps/deep.py": "x = 1  # a number\n",
    "lib/maps/other.py": "import os\n",
    "lib/ground.py": "ONE = 1\n",
    "studies/__init__.py": "",
    "studies/two.py": "import lib.maps.other\n",
}


@pytest.fixture
def root(tmp_path) -> Path:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def notebook(root):
    """Write a notebook of one code cell into a folder of its own."""

    def write(code: str, text: str = "# A notebook") -> Path:
        path = root / "place" / "sample.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=[new_markdown_cell(text), new_code_cell(code)]), path)
        return path

    return write


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("import lib", ["lib/__init__.py"]),
        (
            "from lib import maps",
            ["lib/__init__.py", "lib/ground.py"]
            + [f"lib/maps/{name}.py" for name in ("__init__", "deep", "spec")],
        ),
        (
            "from studies.two import anything",
            ["lib/__init__.py", "lib/ground.py"]
            + [f"lib/maps/{name}.py" for name in ("__init__", "deep", "other", "spec")]
            + ["studies/__init__.py", "studies/two.py"],
        ),
        ("import numpy as np\nfrom lib.ground import ONE", ["lib/__init__.py", "lib/ground.py"]),
    ],
)
def test_packages_facades_and_relative_imports_are_followed(root, code, files):
    assert [str(path.relative_to(root)) for path in imported_files(code, root)] == files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lib/maps/deep.py", '"""A docstring."""\n\nx = 1\n"""What x is."""\n# and more\n'),
        (
            "lib/maps/spec.py",
            "from lib.maps import deep\n\ndef make():\n    'Say what.'\n\n    return deep.x\n",
        ),
        ("lib/maps/other.py", "import sys\n"),
    ],
)
def test_comments_docstrings_and_what_is_not_imported_leave_the_digest(root, notebook, name, text):
    path = notebook("from lib import maps")
    before = source_digest(path, root)
    (root / name).write_text(text)
    assert source_digest(path, root) == before


@pytest.mark.parametrize("name", ["lib/maps/deep.py", "lib/ground.py", "lib/__init__.py"])
def test_code_of_a_module_imported_on_the_way_changes_the_digest(root, notebook, name):
    path = notebook("from lib import maps")
    before = source_digest(path, root)
    (root / name).write_text(MODULES[name] + "y = 2\n")
    assert source_digest(path, root) != before


def test_cells_and_data_change_the_digest_and_outputs_and_toml_comments_do_not(root, notebook):
    path = notebook("from lib import maps")
    digests = [source_digest(path, root)]
    content = nbformat.read(path, as_version=4)
    content.cells[1].outputs = [nbformat.v4.new_output("stream", text="printed")]
    nbformat.write(content, path)
    assert source_digest(path, root) == digests[0]
    for name, text in (
        ("experiment.toml", "steps = 2"),
        ("experiment.toml", "steps = 3"),
        ("model.keras", "weights"),
        ("measured.nc", "numbers"),
    ):
        (path.parent / name).write_text(text)
        digests.append(source_digest(path, root))
    digests.append(source_digest(notebook("from lib import maps", "# Another title"), root))
    digests.append(source_digest(notebook("from lib import ground"), root))
    assert len(set(digests)) == len(digests)
    before = source_digest(path, root)
    (path.parent / "experiment.toml").write_text("steps = 3  # so many")
    assert source_digest(path, root) == before
