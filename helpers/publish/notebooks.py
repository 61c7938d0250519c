"""The one way notebooks are executed, cleaned and turned into HTML.

`python -m helpers.publish.notebooks NOTEBOOK...` runs each in place and writes its HTML beside it.
"""

import argparse
import ast
import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import papermill

from helpers.files import atomic_write
from helpers.publish import pages

ROOT = Path(__file__).parent.parent.parent


def render(notebook: str | Path, output: str | Path | None = None, **parameters) -> Path:
    """Execute a notebook (in place when `output` is None) and write its HTML beside the result.

    What is written holds no widget state, no time stamps and no machine path, and the digest of
    the sources it was executed from. The kernel works in the notebook's own folder.

    Args:
        notebook: the .ipynb to run.
        output: the .ipynb to write.
        **parameters: values for the cell tagged `parameters`.

    Returns:
        The path of the HTML.

    Raises:
        ValueError: a parameter that the notebook does not declare.
        RuntimeError: a widget callback raised while the notebook ran.
        papermill.PapermillExecutionError: a cell raised.
    """
    notebook = Path(notebook)
    output = Path(output or notebook)
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


def to_html(notebook: nbformat.NotebookNode) -> str:
    """HTML that loads nothing from a network, pictures inside with their text alternatives."""
    return pages.page(title(notebook), pages.cells(notebook))


def title(notebook: nbformat.NotebookNode) -> str:
    """The first heading of a notebook."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"^ *#\s+(.+)$", text, re.M)
    return heading[1].strip() if heading else "A notebook"


def source_digest(notebook: str | Path) -> str:
    """Digest of what a notebook's outputs follow from: its cells, the helpers, its experiment.

    That is the cells' sources less injected parameters, the helper modules that they import (and
    those that these import), and the TOML files and nets in the notebook's folder.
    """
    notebook = Path(notebook)
    cells = [
        [cell.cell_type, cell.source]
        for cell in nbformat.read(notebook, as_version=4).cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    code = "\n".join(source for kind, source in cells if kind == "code")
    files = [*_imported(code), *sorted(notebook.parent.glob("*.toml"))]
    files += sorted(notebook.parent.glob("*.keras"))
    hashes = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files]
    return hashlib.sha256(json.dumps([cells, hashes]).encode()).hexdigest()


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


def _imported(code: str) -> list[Path]:
    found: dict[str, Path] = {}
    waiting = [code]
    while waiting:
        for name in _helper_names(waiting.pop()):
            path = ROOT / "helpers" / f"{name}.py"
            if name not in found and path.exists():
                found[name] = path
                waiting.append(path.read_text())
    return [found[name] for name in sorted(found)]


def _helper_names(code: str) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module == "helpers":
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("helpers."):
            names.append(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names += [a.name.split(".")[1] for a in node.names if a.name.startswith("helpers.")]
    return names


def main(arguments: list[str] | None = None) -> None:
    """Render notebooks from the command line, and say where the pages and figures are."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.publish.notebooks", description=__doc__
    )
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, help="folder to write to instead of in place")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="parameters")
    chosen = parser.parse_args(arguments)
    parameters = dict(pair.split("=", 1) for pair in chosen.set)
    for notebook in chosen.notebooks:
        output = chosen.output / notebook.name if chosen.output else None
        print(render(notebook, output, **{k: _value(v) for k, v in parameters.items()}))


def _value(text: str):
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


if __name__ == "__main__":
    sys.exit(main())
