"""A folder of pages to send or serve: notebooks, an index, and the stored maps to browse.

`python -m helpers.publish.share [NOTEBOOK...]`. The pages need no network, no kernel and no server.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

import nbformat
from nbformat.v4 import new_output
from tqdm.auto import tqdm

from helpers.publish import notebooks, pages, sheets
from helpers.publish.shared_notebook import (
    SharedNotebook,
    heading,
    images,
    model_parameter,
    read,
)
from helpers.publish.sources import ROOT

INDEX = "index.html"
HOW_TO_STORE = "`make figures` makes what is missing; then share again."


def share(paths: Sequence[str | Path], folder: str | Path) -> Path:
    """Write the pages of notebooks into a new folder.

    Args:
        paths: the .ipynb files, with the outputs they have; nothing is executed.
        folder: replaced when it was written by this function.

    Returns:
        The index page.

    Raises:
        ValueError: no notebook, two of one name, one that cannot be read, or `folder` holds
            something else.
    """
    shared = [read(Path(path)) for path in paths]
    names = [notebook.path.stem for notebook in shared]
    if not shared or len(set(names)) != len(names):
        raise ValueError(f"notebooks must be at least one, each of its own name, got {names}")
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not _is_shared(folder):
        raise ValueError(f"folder must be new, empty or of shared pages, got {str(folder)!r}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as part:
        _write(shared, Path(part) / "pages")
        shutil.rmtree(folder, ignore_errors=True)
        (Path(part) / "pages").rename(folder)
    return folder / INDEX


def _write(shared: list[SharedNotebook], folder: Path) -> None:
    for name in ("maps", "thumbnails"):
        (folder / name).mkdir(parents=True)
    experiments = sorted(
        {notebook.experiment() for notebook in shared if sheets.models_of(notebook.experiment())}
    )
    stored = {experiment: _write_maps(experiment, folder) for experiment in experiments}
    for notebook in tqdm(shared, desc="pages"):
        cells = _without_panels(notebook, stored.get(notebook.experiment(), []))
        links = [("HappyMaps", INDEX)]
        if notebook.experiment() in stored:
            links.append(("Browse the maps", _maps_address(notebook.experiment())))
        unexecuted = not any(cell.get("outputs") for cell in notebook.content.cells)
        warning = _note("This notebook was not executed: its figures and numbers are missing.")
        body = (warning if unexecuted else "") + pages.cells(cells)
        _put(folder / notebook.address, notebook.title, body, links)
    cards = [
        (group, [_card(notebook, folder) for notebook in shared if notebook.group == group])
        for group in dict.fromkeys(notebook.group for notebook in shared)
    ]
    for experiment in experiments:
        _put(
            folder / _maps_address(experiment),
            f"Stored maps of {heading(experiment)}",
            f"<h1>Stored maps of {escape(heading(experiment))}</h1>"
            + _browser(stored[experiment], {}, "all", "Choose a model, a layer and a unit"),
            [("HappyMaps", INDEX)],
        )
    if experiments:
        cards.append(("The stored maps", [_maps_card(e, stored[e]) for e in experiments]))
    _put(folder / INDEX, "HappyMaps", pages.fill("index", groups=cards), [])


def _is_shared(folder: Path) -> bool:
    index = folder / INDEX
    return index.is_file() and pages.MARK in index.read_text(encoding="utf-8", errors="replace")


def _put(path: Path, title: str, body: str, links: list[pages.Link]) -> None:
    scripts = ("browser.js",) if 'class="browser"' in body else ()
    path.write_text(pages.page(title, body, links, scripts), encoding="utf-8")


def _without_panels(notebook: SharedNotebook, stored: list[dict]) -> nbformat.NotebookNode:
    """A copy in which a panel is its last image and the stored maps, to browse."""
    copy = nbformat.from_dict(notebook.content)
    for number, cell in enumerate(copy.cells):
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if not notebooks.is_transient(output)]
        if re.search(r"\bPanel\(", cell.source):
            html = _still(copy.cells[number:]) + _browser(
                stored, notebook.parameters(), f"panel-{number}"
            )
            cell.outputs.append(new_output("display_data", {"text/html": html}))
    return copy


def _still(cells: list) -> str:
    words = "In Jupyter a panel is here, whose controls optimize new maps."
    for png, alt in images(cells):
        image = f'<img src="data:image/png;base64,{png}" alt="{escape(alt)}">'
        return _note(f"{words} This is the last image it displayed.") + image
    return _note(f"{words} The notebook holds no image of it.")


def _browser(stored: list[dict], parameters: dict, name: str, title="Browse stored maps") -> str:
    if not stored:
        return _note(f"No maps are stored for the models of this notebook. {HOW_TO_STORE}")
    keys = ("layer", "unit", "tv_weight", "lp_weight", "seed")
    first = {key: parameters[key] for key in keys if key in parameters}
    first["model"] = Path(model_parameter(parameters)).stem
    return pages.fill("browser", id=name, title=title, stored=_script(stored), first=_script(first))


def _script(value) -> str:
    return json.dumps(value).replace("</", "<\\/")


def _note(text: str) -> str:
    marked = re.sub(r"`(.+?)`", r"<code>\1</code>", escape(text))
    return f'<p class="note">{marked}</p>'


def _maps_address(experiment: Path) -> str:
    return f"maps_{experiment.name}.html"


def _write_maps(experiment: Path, folder: Path) -> list[dict]:
    described = []
    for number, sheet in enumerate(tqdm(sheets.stored_sheets(experiment), desc="stored maps")):
        address = f"maps/{experiment.name}_{number:02d}_{sheet.model}_{sheet.spec.layer}.png"
        sheet.image().save(folder / address, optimize=True)
        described.append(sheet.description(address))
    return described


def _card(notebook: SharedNotebook, folder: Path) -> dict:
    address = None
    if thumbnail := notebook.thumbnail():
        address = f"thumbnails/{notebook.path.stem}.png"
        thumbnail.save(folder / address, optimize=True)
    return dict(
        thumbnail=address,
        alt=notebook.image[1] if notebook.image else "",
        title=notebook.title,
        claim=notebook.claim,
        address=notebook.address,
    )


def _maps_card(experiment: Path, stored: list[dict]) -> dict:
    names = [path.stem for path in sheets.models_of(experiment)]
    counts = {
        name: sum(len(sheet["maps"]) for sheet in stored if sheet["model"] == name)
        for name in names
    }
    listed = ", ".join(f"{name} {count or 'none'}" for name, count in counts.items())
    claim = f"Choose a model, a layer, a unit and a weight. Maps stored here: {listed}."
    if not all(counts.values()):
        claim += f" {HOW_TO_STORE.replace('`', '')}"
    first = max(stored, key=lambda sheet: len(sheet["maps"]), default=None)
    return dict(
        thumbnail=first and first["sheet"],
        alt=f"Maps of {first['title']}" if first else "",
        title=f"Browse the maps of {heading(experiment)}",
        claim=claim,
        address=_maps_address(experiment),
    )


def main(arguments: list[str] | None = None) -> None:
    """Share notebooks from the command line, and print where the index is and the size of all."""
    parser = argparse.ArgumentParser(prog="python -m helpers.publish.share", description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "shared_pages", help="folder")
    chosen = parser.parse_args(arguments)
    paths = list(dict.fromkeys(chosen.notebooks))
    index = share(paths, chosen.output)
    size = sum(path.stat().st_size for path in index.parent.rglob("*") if path.is_file())
    print(f"{index}: {len(paths)} notebooks, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
