"""What the shared pages say of a notebook: title, claim, images, the experiment it belongs to."""

import ast
import base64
import io
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from PIL import Image

from helpers.plots.recipe import read_recipe
from helpers.publish import notebooks

THUMBNAIL = 640, 400
MAPS_ACROSS = 4.3
CLAIM_LETTERS = 220


@dataclass(frozen=True)
class SharedNotebook:
    """A notebook to be shared.

    Attributes:
        path: the .ipynb.
        content: its cells.
    """

    path: Path
    content: nbformat.NotebookNode

    @property
    def address(self) -> str:
        """Name of its page."""
        return f"{self.path.stem}.html"

    @property
    def group(self) -> str:
        """Heading it stands under: the folder it comes from."""
        return heading(self.path.resolve().parent)

    @property
    def title(self) -> str:
        """Its first heading."""
        return notebooks.title(self.content)

    @property
    def image(self) -> tuple[str, str] | None:
        """The first PNG (base64) and its text alternative."""
        return next(iter(images(self.content.cells)), None)

    @property
    def claim(self) -> str:
        """Its first paragraph, without marks, shortened."""
        text = "\n\n".join(c.source for c in self.content.cells if c.cell_type == "markdown")
        paragraphs = (" ".join(p.split()) for p in re.split(r"\n\s*\n", text))
        first = next((p for p in paragraphs if p and not p.startswith("#")), "")
        plain = re.sub(r"[*`]|\[(.+?)\]\(.+?\)", r"\1", first)
        return textwrap.shorten(plain, CLAIM_LETTERS, placeholder=" ...")

    def parameters(self) -> dict:
        """What its cell tagged `parameters` assigns."""
        cells = [c for c in self.content.cells if "parameters" in c.metadata.get("tags", [])]
        lines = ast.parse("\n".join(cell.source for cell in cells)).body
        assigned = [line for line in lines if isinstance(line, ast.Assign)]
        return {line.targets[0].id: ast.literal_eval(line.value) for line in assigned}

    def experiment(self) -> Path:
        """Folder whose stored maps belong to it: that of the model it opens, else its own."""
        model = self.path.parent / model_parameter(self.parameters())
        return (model if model.is_file() else self.path).resolve().parent

    def thumbnail(self) -> Image.Image | None:
        """The first maps of its first figure (all of it where it is not of maps), small."""
        if self.image is None:
            return None
        png = io.BytesIO(base64.b64decode(self.image[0]))
        figure = Image.open(png).convert("RGB")
        try:
            _, boxes = read_recipe(png)
        except ValueError:
            figure.thumbnail(THUMBNAIL)
            return figure
        left, top, right, bottom = zip(*boxes, strict=True)
        across = round(MAPS_ACROSS * (right[0] - left[0]))
        width = min(max(right) - min(left), across)
        height = min(max(bottom) - min(top), width * THUMBNAIL[1] // THUMBNAIL[0])
        return figure.crop((min(left), min(top), min(left) + width, min(top) + height))


def read(path: Path) -> SharedNotebook:
    """Read a notebook.

    Raises:
        ValueError: there is none, or it cannot be read.
    """
    try:
        return SharedNotebook(path, nbformat.read(path, as_version=4))
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise ValueError(f"notebook must be an .ipynb file, got {str(path)!r}: {error}") from error


def images(cells: list) -> list[tuple[str, str]]:
    """PNG (base64) and text alternative of every image in the cells' outputs."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [
        (output["data"]["image/png"], output["metadata"].get("image/png", {}).get("alt", ""))
        for output in outputs
        if "image/png" in output.get("data", {})
    ]


def model_parameter(parameters: Mapping) -> str:
    """The model that a notebook's parameters name: `model`, or `net` in older notebooks."""
    return str(parameters.get("model", parameters.get("net", "")))


def heading(folder: Path) -> str:
    """A folder's name with a number set apart: "Experiment 1"."""
    return re.sub(r"(\D)(\d)", r"\1 \2", folder.name).capitalize()
