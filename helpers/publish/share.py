"""A folder of pages that can be sent or served: notebooks, an index, and the stored maps to browse.

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
from helpers.publish.notebooks import ROOT
from helpers.publish.shared_notebook import SharedNotebook, heading, pictures, read

INDEX = "index.html"
HOW_TO_STORE = "`make figures` makes what is missing; then share again."


def share(paths: Sequence[str | Path], folder: str | Path) -> Path:
    """Write the pages of notebooks, executed as they are, into a new folder.

    Args:
        paths: the .ipynb files; their outputs are shown, nothing is executed.
        folder: replaced when it was written by this function.

    Returns:
        The index page.

    Raises:
        ValueError: no notebook, two of one name, one that cannot be read, or `folder` holds
            something else.
    """
    shared = [read(Path(path)) for path in paths]
    names = [one.path.stem for one in shared]
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
    experiments = sorted({one.experiment() for one in shared if sheets.nets(one.experiment())})
    stored = {experiment: _write_maps(experiment, folder) for experiment in experiments}
    for one in tqdm(shared, desc="pages"):
        cells = _without_panels(one, stored.get(one.experiment(), []))
        links = [("HappyMaps", INDEX)]
        if one.experiment() in stored:
            links.append(("Browse the maps", _maps_address(one.experiment())))
        unexecuted = not any(cell.get("outputs") for cell in one.notebook.cells)
        warning = _note("This notebook was not executed: its pictures and numbers are missing.")
        body = (warning if unexecuted else "") + pages.cells(cells)
        _put(folder / one.address, one.title, body, links)
    cards = [
        (group, [_card(one, folder) for one in shared if one.group == group])
        for group in dict.fromkeys(one.group for one in shared)
    ]
    for experiment in experiments:
        _put(
            folder / _maps_address(experiment),
            f"Stored maps of {heading(experiment)}",
            f"<h1>Stored maps of {escape(heading(experiment))}</h1>"
            + _browser(stored[experiment], {}, "all", "Choose a net, a layer and a unit"),
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


def _without_panels(one: SharedNotebook, stored: list[dict]) -> nbformat.NotebookNode:
    """A copy in which a panel is its last picture and the stored maps, to browse."""
    copy = nbformat.from_dict(one.notebook)
    for number, cell in enumerate(copy.cells):
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if not notebooks.is_transient(output)]
        if re.search(r"\bPanel\(", cell.source):
            html = _still(copy.cells[number:]) + _browser(
                stored, one.parameters(), f"panel-{number}"
            )
            cell.outputs.append(new_output("display_data", {"text/html": html}))
    return copy


def _still(cells: list) -> str:
    words = "In Jupyter a panel is here, whose controls search new maps."
    for png, alt in pictures(cells):
        image = f'<img src="data:image/png;base64,{png}" alt="{escape(alt)}">'
        return _note(f"{words} This is the last picture it showed.") + image
    return _note(f"{words} The notebook holds no picture of it.")


def _browser(stored: list[dict], parameters: dict, name: str, title="Browse stored maps") -> str:
    if not stored:
        return _note(f"No maps are stored for the nets of this notebook. {HOW_TO_STORE}")
    keys = ("layer", "unit", "tv_weight", "lp_weight", "seed")
    first = {key: parameters[key] for key in keys if key in parameters}
    first["net"] = Path(str(parameters.get("net", ""))).stem
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
        address = f"maps/{experiment.name}_{number:02d}_{sheet.net}_{sheet.spec.layer}.png"
        sheet.picture().save(folder / address, optimize=True)
        described.append(sheet.description(address))
    return described


def _card(one: SharedNotebook, folder: Path) -> dict:
    address = None
    if thumbnail := one.thumbnail():
        address = f"thumbnails/{one.path.stem}.png"
        thumbnail.save(folder / address, optimize=True)
    return dict(
        thumbnail=address,
        alt=one.picture[1] if one.picture else "",
        title=one.title,
        claim=one.claim,
        address=one.address,
    )


def _maps_card(experiment: Path, stored: list[dict]) -> dict:
    nets = [path.stem for path in sheets.nets(experiment)]
    counts = {net: sum(len(one["maps"]) for one in stored if one["net"] == net) for net in nets}
    said = ", ".join(f"{net} {count or 'none'}" for net, count in counts.items())
    claim = f"Choose a net, a layer, a unit and a weight. Maps stored here: {said}."
    if not all(counts.values()):
        claim += f" {HOW_TO_STORE.replace('`', '')}"
    first = max(stored, key=lambda one: len(one["maps"]), default=None)
    return dict(
        thumbnail=first and first["sheet"],
        alt=f"Maps of {first['title']}" if first else "",
        title=f"Browse the maps of {heading(experiment)}",
        claim=claim,
        address=_maps_address(experiment),
    )


def main(arguments: list[str] | None = None) -> None:
    """Share notebooks from the command line, and say where the index is and how large it all is."""
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
