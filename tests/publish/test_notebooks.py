import json
import re
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.publish import notebooks

ROOT = Path(__file__).parent.parent.parent
COMMITTED = sorted([*ROOT.glob("experiments/*/*.ipynb"), *ROOT.glob("notebooks/*.ipynb")])
MAX_BYTES = 2.5e6
"""Coloured maps at 1:1 are 10 to 20 KB each, and a page shows a hundred."""
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def name(path: Path) -> str:
    return path.stem


def code_cells(path: Path) -> list:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


@pytest.fixture
def written(tmp_path):
    """Write a notebook of these cells beside which it may import nothing but the helpers."""

    def write(*sources: str) -> Path:
        cells = [new_markdown_cell("# A notebook"), *map(new_code_cell, sources)]
        cells[1].metadata["tags"] = ["parameters"]
        path = tmp_path / "sample.ipynb"
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
        return path

    return write


@pytest.mark.parametrize("path", COMMITTED, ids=name)
def test_committed_notebook_is_executed_clean_and_small(path):
    text = path.read_text()
    content = json.loads(text)
    assert len(text) <= MAX_BYTES
    assert "widgets" not in content["metadata"]
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
    counts = [cell["execution_count"] for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in code_cells(path) for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]


@pytest.mark.parametrize("path", COMMITTED, ids=name)
def test_committed_notebook_was_executed_from_the_present_sources(path):
    recorded = nbformat.read(path, as_version=4).metadata["source_digest"]
    assert recorded == notebooks.source_digest(path), (
        f"run: python -m helpers.publish.notebooks --renew {path.relative_to(ROOT)}"
    )


@pytest.mark.parametrize("path", COMMITTED, ids=name)
def test_cells_call_and_do_not_define(path):
    for cell in code_cells(path):
        assert not re.search(r"^\s*(def|class) ", cell.source, re.M), cell.source


@pytest.mark.parametrize("path", COMMITTED, ids=name)
def test_every_image_has_a_text_alternative(path):
    for cell in code_cells(path):
        for output in cell["outputs"]:
            if "image/png" in output.get("data", {}):
                assert len(output["metadata"]["image/png"]["alt"]) > 20


def test_an_experiment_runs_end_to_end_when_small(tmp_path):
    path = ROOT / "experiments" / "experiment1" / "visualization_first_pass.ipynb"
    parameters = {"net": "photos", "size": "small", "results": str(tmp_path / "results")}
    html = notebooks.render(path, tmp_path / path.name, parameters)
    assert html.read_text().count("<img") >= 1
    assert list((tmp_path / "results").glob("*.nc"))


def test_render_writes_a_clean_notebook_and_a_page_that_loads_nothing(written):
    path = written(
        "word = 'none'",
        "import sys\nfrom helpers import plots\nprint('pro' + 'gress', file=sys.stderr)",
        "import numpy as np\n"
        "plots.contact_sheet(np.zeros((1, 4, 4, 1)), [word], title='One black image')",
    )
    source = path.read_text()
    page = notebooks.render(path, parameters={"word": "black"})
    assert page == path.parent / "output" / "sample.html" and path.read_text() == source
    html = page.read_text()
    executed = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    assert "widgets" not in executed.metadata and "papermill" not in executed.metadata
    assert all("papermill" not in cell.metadata for cell in executed.cells)
    assert "progress" not in page.with_suffix(".ipynb").read_text()
    assert 'alt="One black image 1 images: black."' in html
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", html)
    assert "cdnjs" not in html


def test_renew_replaces_the_notebook_and_the_figures_that_it_wrote(written, tmp_path):
    path = written(
        "word = 'none'",
        "import numpy as np\n"
        "from helpers import plots\n"
        "black = plots.contact_sheet(np.zeros((1, 4, 4, 1)), [word], title='Black')\n"
        "black.save('output/figures/net/black.png')",
    )
    (tmp_path / "output" / "figures").mkdir(parents=True)
    (tmp_path / "output" / "figures" / "older.png").write_text("of another run")
    digest = notebooks.source_digest(path)
    page = notebooks.renew(path)
    assert page == tmp_path / "output" / "sample.html"
    executed = nbformat.read(path, as_version=4)
    assert executed.metadata["source_digest"] == digest == notebooks.source_digest(path)
    assert executed.cells[-1].execution_count == 2
    committed = [p.relative_to(tmp_path) for p in tmp_path.glob("figures/**/*.png")]
    assert committed == [Path("figures/net/black.png")]
    notebooks.renew(path)
    assert (tmp_path / "figures" / "net" / "black.png").is_file()


def test_the_command_takes_parameters_and_says_where_the_page_is(written, tmp_path, capsys):
    path = written("word = 'none'", "assert word == 3")
    notebooks.main([str(path), "--output", str(tmp_path / "there"), "--set", "word=3"])
    assert str(tmp_path / "there" / "sample.html") in capsys.readouterr().out
    with pytest.raises(SystemExit):
        notebooks.main([str(path), "--renew", "--set", "word=3"])


def test_a_cell_that_raises_leaves_the_old_notebook(written):
    path = written("word = 1", "1 / 0")
    old = path.read_text()
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        notebooks.renew(path)
    assert path.read_text() == old
    assert [p for p in path.parent.rglob("*") if p.is_file()] == [path]


def test_a_widget_callback_that_raises_fails_the_render(written):
    path = written(
        "word = 1",
        "import ipywidgets\n"
        "out = ipywidgets.Output()\n"
        "button = ipywidgets.Button()\n"
        "button.on_click(out.capture()(lambda b: 1 / 0))\n"
        "display(out)\n"
        "button.click()",
    )
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        notebooks.render(path)


def test_an_unknown_parameter_is_named(written):
    with pytest.raises(ValueError, match="word"):
        notebooks.render(written("word = 1"), parameters={"colour": 2})
