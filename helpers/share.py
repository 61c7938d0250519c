"""A folder of pages that can be sent or served: notebooks, an index, and the stored maps to browse.

`python -m helpers.share [NOTEBOOK...]`. The pages need no network, no kernel and no server.
"""

import argparse
import ast
import base64
import io
import json
import re
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

import nbformat
from nbformat.v4 import new_output
from PIL import Image
from tqdm.auto import tqdm

from helpers import notebooks, pages, sheets
from helpers.notebooks import ROOT

INDEX = "index.html"
THUMBNAIL = 640, 400
CLAIM_LETTERS = 220
HOW_TO_STORE = "`make figures` makes what is missing; then share again."


@dataclass(frozen=True)
class Shared:
    """A notebook to be shared.

    Attributes:
        path: the .ipynb.
        notebook: its content.
    """

    path: Path
    notebook: nbformat.NotebookNode

    @property
    def address(self) -> str:
        """Name of its page."""
        return f"{self.path.stem}.html"

    @property
    def group(self) -> str:
        """Heading it stands under: the folder it comes from."""
        return _heading(self.path.resolve().parent)

    @property
    def picture(self) -> tuple[str, str] | None:
        """The first PNG (base64) and its text alternative."""
        return next(iter(_pictures(self.notebook.cells)), None)

    @property
    def claim(self) -> str:
        """Its first paragraph, without marks, shortened."""
        text = "\n\n".join(c.source for c in self.notebook.cells if c.cell_type == "markdown")
        paragraphs = (" ".join(p.split()) for p in re.split(r"\n\s*\n", text))
        first = next((p for p in paragraphs if p and not p.startswith("#")), "")
        plain = re.sub(r"[*`]|\[(.+?)\]\(.+?\)", r"\1", first)
        return textwrap.shorten(plain, CLAIM_LETTERS, placeholder=" ...")

    def parameters(self) -> dict:
        """What its cell tagged `parameters` assigns."""
        cells = [c for c in self.notebook.cells if "parameters" in c.metadata.get("tags", [])]
        lines = ast.parse("\n".join(cell.source for cell in cells)).body
        assigned = [line for line in lines if isinstance(line, ast.Assign)]
        return {line.targets[0].id: ast.literal_eval(line.value) for line in assigned}

    def experiment(self) -> Path:
        """Folder whose stored maps belong to it: that of the net it opens, else its own."""
        net = self.path.parent / str(self.parameters().get("net", ""))
        return (net if net.is_file() else self.path).resolve().parent


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
    shared = [_read(Path(path)) for path in paths]
    names = [one.path.stem for one in shared]
    if not shared or len(set(names)) != len(names):
        raise ValueError(f"notebooks must be at least one, each of its own name, got {names}")
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / INDEX).exists():
        raise ValueError(f"folder must be new, empty or of shared pages, got {str(folder)!r}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as part:
        _write(shared, Path(part) / "pages")
        shutil.rmtree(folder, ignore_errors=True)
        (Path(part) / "pages").rename(folder)
    return folder / INDEX


def _write(shared: list[Shared], folder: Path) -> None:
    for name in ("maps", "thumbnails"):
        (folder / name).mkdir(parents=True)
    experiments = sorted({one.experiment() for one in shared if _has_nets(one.experiment())})
    stored = {experiment: _write_maps(experiment, folder) for experiment in experiments}
    for one in tqdm(shared, desc="pages"):
        cells = _without_panels(one, stored.get(one.experiment(), []))
        links = [("HappyMaps", INDEX)]
        if one.experiment() in stored:
            links.append(("Browse the maps", _maps_address(one.experiment())))
        unexecuted = not any(cell.get("outputs") for cell in one.notebook.cells)
        warning = _note("This notebook was not executed: its pictures and numbers are missing.")
        body = (warning if unexecuted else "") + pages.cells(cells)
        _put(folder / one.address, notebooks.title(one.notebook), body, links)
    cards = [
        (heading, [_card(one, folder) for one in members])
        for heading, members in groupby(shared, lambda one: one.group)
    ]
    for experiment in experiments:
        _put(
            folder / _maps_address(experiment),
            f"Stored maps of {_heading(experiment)}",
            f"<h1>Stored maps of {escape(_heading(experiment))}</h1>"
            + _browser(stored[experiment], {}, "all", "Choose a net, a layer and a unit"),
            [("HappyMaps", INDEX)],
        )
    if experiments:
        cards.append(("The stored maps", [_maps_card(e, stored[e]) for e in experiments]))
    _put(folder / INDEX, "HappyMaps", pages.fill("index", groups=cards), [])


def _put(path: Path, title: str, body: str, links: list[pages.Link]) -> None:
    scripts = ("browser.js",) if 'class="browser"' in body else ()
    path.write_text(pages.page(title, body, links, scripts), encoding="utf-8")


def _read(path: Path) -> Shared:
    try:
        return Shared(path, nbformat.read(path, as_version=4))
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise ValueError(f"notebook must be an .ipynb file, got {str(path)!r}: {error}") from error


def _without_panels(one: Shared, stored: list[dict]) -> nbformat.NotebookNode:
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
    for png, alt in _pictures(cells):
        image = f'<img src="data:image/png;base64,{png}" alt="{escape(alt)}">'
        return _note(f"{words} This is the last picture it showed.") + image
    return _note(f"{words} The notebook holds no picture of it.")


def _pictures(cells: list) -> list[tuple[str, str]]:
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [
        (output["data"]["image/png"], output["metadata"].get("image/png", {}).get("alt", ""))
        for output in outputs
        if "image/png" in output.get("data", {})
    ]


def _browser(stored: list[dict], parameters: dict, name: str, heading="Browse stored maps") -> str:
    if not stored:
        return _note(f"No maps are stored for the nets of this notebook. {HOW_TO_STORE}")
    keys = ("layer", "unit", "tv_weight", "lp_weight", "seed")
    first = {key: parameters[key] for key in keys if key in parameters}
    first["net"] = Path(str(parameters.get("net", ""))).stem
    return pages.fill(
        "browser", id=name, heading=heading, stored=_script(stored), first=_script(first)
    )


def _script(value) -> str:
    return json.dumps(value).replace("</", "<\\/")


def _note(text: str) -> str:
    marked = re.sub(r"`(.+?)`", r"<code>\1</code>", escape(text))
    return f'<p class="note">{marked}</p>'


def _heading(folder: Path) -> str:
    """A folder's name with a number set apart: "Experiment 1"."""
    return re.sub(r"(\D)(\d)", r"\1 \2", folder.name).capitalize()


def _has_nets(folder: Path) -> bool:
    return any(folder.glob("*.keras"))


def _maps_address(experiment: Path) -> str:
    return f"maps_{experiment.name}.html"


def _write_maps(experiment: Path, folder: Path) -> list[dict]:
    described = []
    for number, sheet in enumerate(tqdm(sheets.stored_sheets(experiment), desc="stored maps")):
        address = f"maps/{experiment.name}_{number:02d}_{sheet.net}_{sheet.spec.layer}.png"
        sheet.picture().save(folder / address, optimize=True)
        described.append(sheet.description(address))
    return described


def _card(one: Shared, folder: Path) -> dict:
    thumbnail, alt = None, ""
    if one.picture:
        png, alt = one.picture
        thumbnail = f"thumbnails/{one.path.stem}.png"
        picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
        picture.thumbnail(THUMBNAIL)
        picture.save(folder / thumbnail, optimize=True)
    title = notebooks.title(one.notebook)
    return dict(thumbnail=thumbnail, alt=alt, title=title, claim=one.claim, address=one.address)


def _maps_card(experiment: Path, stored: list[dict]) -> dict:
    nets = sorted(path.stem for path in experiment.glob("*.keras"))
    counts = {net: sum(len(one["maps"]) for one in stored if one["net"] == net) for net in nets}
    said = ", ".join(f"{net} {count or 'none'}" for net, count in counts.items())
    claim = f"Choose a net, a layer, a unit and a weight. Maps stored here: {said}."
    if not all(counts.values()):
        claim += f" {HOW_TO_STORE.replace('`', '')}"
    first = max(stored, key=lambda one: len(one["maps"]), default=None)
    return dict(
        thumbnail=first and first["sheet"],
        alt=f"Maps of {first['title']}" if first else "",
        title=f"Browse the maps of {_heading(experiment)}",
        claim=claim,
        address=_maps_address(experiment),
    )


def main(arguments: list[str] | None = None) -> None:
    """Share notebooks from the command line, and say where the index is and how large it all is."""
    parser = argparse.ArgumentParser(prog="python -m helpers.share", description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "shared_pages", help="folder")
    chosen = parser.parse_args(arguments)
    index = share(chosen.notebooks, chosen.output)
    size = sum(path.stat().st_size for path in index.parent.rglob("*") if path.is_file())
    print(f"{index}: {len(chosen.notebooks)} notebooks, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
