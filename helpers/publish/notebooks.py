"""The one way notebooks are executed, cleaned and turned into HTML.

`python -m helpers.publish.notebooks NOTEBOOK...` executes each into the folder `output` beside it,
which git ignores, and writes its HTML there. With `--renew` it also replaces the committed notebook
and figures.
"""

import argparse
import re
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill

from helpers.files import atomic_write
from helpers.publish import pages
from helpers.publish.sources import source_digest
from helpers.sweeps.study import OUTPUT

NO_PARAMETERS: Mapping = {}


def render(
    notebook: str | Path,
    output: str | Path | None = None,
    parameters: Mapping[str, object] = NO_PARAMETERS,
) -> Path:
    """Execute a notebook into another file, and write its HTML beside that.

    What is written holds no widget state, no time stamps and no machine path, and the digest of
    the sources it was executed from. The kernel works in the notebook's own folder, where cells
    write figures to `output/figures`.

    Args:
        notebook: the .ipynb to run.
        output: the .ipynb to write; None for the same name in `output` beside the notebook.
        parameters: values for the cell tagged `parameters`.

    Returns:
        The path of the HTML.

    Raises:
        ValueError: a parameter that the notebook does not declare.
        RuntimeError: a widget callback raised while the notebook ran.
        papermill.PapermillExecutionError: a cell raised.
    """
    notebook = Path(notebook)
    output = Path(output or notebook.parent / OUTPUT / notebook.name)
    declared = papermill.inspect_notebook(notebook)
    unknown = sorted(set(parameters) - set(declared))
    if unknown:
        raise ValueError(f"{notebook.name} has the parameters {sorted(declared)}, got {unknown}")
    with atomic_write(output) as part:
        papermill.execute_notebook(
            notebook,
            part,
            parameters,
            cwd=notebook.parent,
            kernel_name="python3",
            log_output=False,
            progress_bar={"desc": notebook.stem},
        )
        executed = nbformat.read(part, as_version=4)
        check_widgets(executed)
        nbformat.write(_clean(executed, source_digest(notebook)), part)
    html = output.with_suffix(".html")
    with atomic_write(html) as part:
        part.write_text(to_html(nbformat.read(output, as_version=4)))
    return html


def renew(notebook: str | Path) -> Path:
    """Execute a notebook, and replace it and its committed figures by the result.

    Committed are the notebook itself and the folder `figures` beside it, into which the figures are
    copied that its cells wrote to `output/figures`.

    Returns:
        The path of the HTML, in `output`.

    Raises:
        RuntimeError, papermill.PapermillExecutionError: as `render`; nothing is replaced.
    """
    notebook = Path(notebook)
    figures = notebook.parent / OUTPUT / "figures"
    before = _versions(figures)
    html = render(notebook)
    for figure in sorted(set(_versions(figures).items()) - set(before.items())):
        committed = notebook.parent / "figures" / figure[0].relative_to(figures)
        committed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(figure[0], committed)
    shutil.copy(html.with_suffix(".ipynb"), notebook)
    return html


def _versions(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every PNG below a folder, with what changes when it is written again."""
    stats = {path: path.stat() for path in folder.rglob("*.png")}
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in stats.items()}


def to_html(notebook: nbformat.NotebookNode) -> str:
    """HTML that loads nothing from a network, images inside with their text alternatives."""
    return pages.page(title(notebook), pages.cells(notebook))


def title(notebook: nbformat.NotebookNode) -> str:
    """The first heading of a notebook."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"^ *#\s+(.+)$", text, re.M)
    return heading[1].strip() if heading else "A notebook"


def check_widgets(notebook: nbformat.NotebookNode) -> None:
    """Raise RuntimeError when an error sits in an Output widget, where no cell shows it.

    A widget's callback that raises leaves its traceback in the widget's state only.
    """
    states = notebook.metadata.get("widgets", {})
    states = states.get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    for state in states.values():
        for output in state.get("state", {}).get("outputs", []):
            if output["output_type"] == "error":
                raise RuntimeError(
                    f"a widget callback raised {output['ename']}: {output['evalue']}"
                )


def _clean(notebook: nbformat.NotebookNode, digest: str) -> nbformat.NotebookNode:
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "source_digest": digest,
    }
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if not is_transient(out)]
    return notebook


def is_transient(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a progress bar or a live widget, which mean nothing in a file."""
    is_stderr = output.output_type == "stream" and output.name == "stderr"
    return is_stderr or "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def main(arguments: list[str] | None = None) -> int:
    """Render notebooks from the command line, and print where the pages are."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.publish.notebooks", description=__doc__
    )
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, help="folder to write to; `output` beside each")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="parameters")
    parser.add_argument("--renew", action="store_true", help="replace what is committed, too")
    chosen = parser.parse_args(arguments)
    if chosen.renew and (chosen.output or chosen.set):
        parser.error("--renew takes neither --output nor --set: it executes what is committed")
    texts = dict(pair.split("=", 1) for pair in chosen.set)
    parameters = {name: _value(text) for name, text in texts.items()}
    for notebook in chosen.notebooks:
        if chosen.renew:
            print(renew(notebook))
        else:
            output = chosen.output / notebook.name if chosen.output else None
            print(render(notebook, output, parameters))
    return 0


def _value(text: str):
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


if __name__ == "__main__":
    sys.exit(main())
