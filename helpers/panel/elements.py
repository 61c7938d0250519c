"""Parts of the panel that ipywidgets lacks, each with a name or a text alternative in the page.

A slider of ipywidgets has no accessible name, its HTML widget builds a live region anew at each
change, its image has no text alternative, and its buttons hold no image.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

FRONTEND = Path(__file__).parent / "frontend"
STYLE = {"description_width": "9em"}


class Number(anywidget.AnyWidget):
    """A text box and a slider that hold the same number.

    The box takes any number: what is legal is checked by who reads `value`.

    Attributes:
        name: the label of the box; the slider is "`name` slider".
        value: the number.
        min, max: what the box's arrows keep to.
        ends: (low, high) of the slider; empty for a box alone.
        logarithmic: the slider goes over the exponent, `ends` above 0.
    """

    _esm, _css = FRONTEND / "number.js", FRONTEND / "style.css"
    name = traitlets.Unicode().tag(sync=True)
    value = traitlets.Float().tag(sync=True)
    min = traitlets.Float(0).tag(sync=True)
    max = traitlets.Float(0).tag(sync=True)
    ends = traitlets.List(traitlets.Float()).tag(sync=True)
    logarithmic = traitlets.Bool(False).tag(sync=True)

    @property
    def number(self) -> int | float:
        """`value`, as an int where it is whole."""
        return int(self.value) if self.value.is_integer() else self.value


class ImageView(anywidget.AnyWidget):
    """An image and its caption.

    Attributes:
        png: the image's file; empty for none yet.
        alt: the image in words.
        caption: a line under it.
        details: further lines, unfolded on demand; empty for none.
        is_stale: the image is of something else than what is chosen now, and is dimmed.
        width: of the image on the page, in CSS pixels; 0 to take the room there is, each pixel of
            a small image a square of whole ones.
    """

    _esm, _css = FRONTEND / "image.js", FRONTEND / "style.css"
    png = traitlets.Bytes().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)
    details = traitlets.Unicode().tag(sync=True)
    is_stale = traitlets.Bool(False).tag(sync=True)
    width = traitlets.Int(0).tag(sync=True)

    def clear(self) -> None:
        """Show no image."""
        with self.hold_sync():
            self.png, self.alt, self.caption, self.details = b"", "", "", ""
            self.is_stale = False


class Grid(anywidget.AnyWidget):
    """A table of images, each a button.

    Attributes:
        rows, columns: headings.
        caption: what the images are of.
        is_stale: they are of something else than what is chosen now.
        cells: a list per row, as far as it is filled, of {"src": data URL, "name": in words,
            "is_raised": whether the map is; a dashed border says that it is not}.
        chosen: (row, column) of the button pressed last; empty for none.
        width: of an image on the page, in CSS pixels.
    """

    _esm, _css = FRONTEND / "grid.js", FRONTEND / "style.css"
    rows = traitlets.List(traitlets.Unicode()).tag(sync=True)
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)
    is_stale = traitlets.Bool(False).tag(sync=True)
    cells = traitlets.List().tag(sync=True)
    chosen = traitlets.List(traitlets.Int()).tag(sync=True)
    width = traitlets.Int(64).tag(sync=True)


class Tiles(anywidget.AnyWidget):
    """Maps of some units, each a button; several of them fill one box without a seam.

    Attributes:
        cells: {"unit": number, "src": data URL, "name": in words, "is_raised": whether the map is;
            a dashed border says that it is not}; they do not change.
        chosen: the unit that is marked.
        is_stale: they are of something else than what is chosen now.
    """

    _esm, _css = FRONTEND / "tiles.js", FRONTEND / "style.css"
    cells = traitlets.List().tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)
    is_stale = traitlets.Bool(False).tag(sync=True)

    def on_choose(self, call: Callable[[int], None]) -> None:
        """Call with the unit at each press of a map."""
        self.on_msg(lambda _, content, buffers: call(content["unit"]))


class Tabs(anywidget.AnyWidget):
    """A list of tabs.

    Attributes:
        label: what the list is of.
        names: of the tabs; they do not change.
        chosen: number of the tab.
    """

    _esm, _css = FRONTEND / "tabs.js", FRONTEND / "style.css"
    label = traitlets.Unicode("Views").tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)


class SpecBox(anywidget.AnyWidget):
    """A text box, to unfold, whose Apply button hands over the text as it stands in the page.

    Attributes:
        name: the label.
        value: the text shown.
    """

    _esm, _css = FRONTEND / "spec_box.js", FRONTEND / "style.css"
    name = traitlets.Unicode().tag(sync=True)
    value = traitlets.Unicode().tag(sync=True)

    def on_apply(self, call: Callable[[str], None]) -> None:
        """Call with the text at each press of Apply."""
        self.on_msg(lambda _, content, buffers: call(content["apply"]))


class Status(anywidget.AnyWidget):
    """A live region (role "status") and a progress bar.

    Attributes:
        name: of the progress bar.
        text: what is announced.
        is_error: `text` is an error.
        value, max: of the progress bar.
    """

    _esm, _css = FRONTEND / "status.js", FRONTEND / "style.css"
    name = traitlets.Unicode("Progress").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    is_error = traitlets.Bool(False).tag(sync=True)
    value = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(1).tag(sync=True)

    def say(self, text: str) -> None:
        """Announce what happens."""
        self.text, self.is_error = text, False

    @contextmanager
    def announcing(self) -> Iterator[None]:
        """Announce an error that is raised inside, and let it pass."""
        try:
            yield
        except Exception as error:
            name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            self.text, self.is_error = f"Error: {name}{error}", True
            raise

    def attempt(self, call: Callable[[], object]) -> None:
        """Call, and announce an error instead of raising it."""
        with suppress(Exception), self.announcing():
            call()


def dropdown(name: str, options=()) -> ipywidgets.Dropdown:
    """Make a dropdown with its name before it."""
    return ipywidgets.Dropdown(
        options=options, description=name, style=STYLE, layout=ipywidgets.Layout(width="auto")
    )


def text_box(name: str, placeholder: str = "") -> ipywidgets.Text:
    """Make a text box with its name before it, read when Enter is pressed or it is left."""
    return ipywidgets.Text(
        description=name,
        placeholder=placeholder,
        continuous_update=False,
        style=STYLE,
        layout=ipywidgets.Layout(width="auto"),
    )


def button(name: str) -> ipywidgets.Button:
    """Make a button as wide as its name."""
    return ipywidgets.Button(description=name, layout=ipywidgets.Layout(width="auto"))
