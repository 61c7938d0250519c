import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from helpers import plots
from helpers.plots.recipe import read_recipe
from helpers.publish import share
from helpers.publish.shared_notebook import SharedNotebook
from helpers.sweeps import store


@pytest.fixture(scope="module")
def folder(small_experiment, tmp_path_factory):
    place = tmp_path_factory.mktemp("shared") / "pages"
    share.share([small_experiment / "look.ipynb"], place)
    return place


def plain_notebook(path, title="Plain"):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_markdown_cell(f"# {title}"), new_code_cell("1 + 1")]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_every_link_and_image_of_every_page_is_in_the_folder(folder):
    pages = sorted(folder.glob("*.html"))
    assert [page.name for page in pages] == ["index.html", "look.html", "maps_experiment7.html"]
    for page in pages:
        text = page.read_text()
        for address in re.findall(r'(?:src|href|"sheet":)\s*=?\s*"([^"#]+)"', text):
            assert address.startswith("data:") or (folder / address).is_file(), address
        assert not re.search(r"https?://|url\(['\"]?//|@import", text)


def test_the_index_shows_each_notebook_with_title_claim_and_thumbnail(folder):
    text = (folder / "index.html").read_text()
    assert "A look &amp; 1 &lt; 2" in text
    assert "This is the claim of look, in one paragraph." in text and "More." not in text
    assert re.search(r'<img src="thumbnails/look.png" alt="Last map', text)
    assert "Experiment 7" in text
    assert "seen 11, unseen none" in text and "make figures" in text


def test_a_panel_becomes_its_last_image_and_the_stored_maps(folder):
    text = (folder / "look.html").read_text()
    panel, after = re.split(r'<section[^>]+class="browser"', text)
    assert "widget-view" not in text and "Panel()" not in text
    assert 'alt="Last map 1 images: black."' in panel
    assert '"layer": "conv", "unit": 1, "tv_weight": 0.1' in after
    assert "&lt;b&gt;bold" in after and "<b>bold" not in text


def test_a_figure_of_maps_has_its_first_maps_as_thumbnail(small_experiment, tmp_path):
    maps = store.load(small_experiment / "results" / "a.nc")
    figure = plots.map_grid(maps, rows="tv_weight", columns="unit").save(tmp_path / "a.png")
    data, metadata = figure._repr_mimebundle_()
    cell = new_code_cell("figure", outputs=[new_output("display_data", data, metadata=metadata)])
    shown = SharedNotebook(Path("a.ipynb"), new_notebook(cells=[cell])).thumbnail()
    _, boxes = read_recipe(tmp_path / "a.png")
    assert boxes[0][2] - boxes[0][0] < shown.width <= boxes[2][2] - boxes[0][0]
    whole = Image.open(tmp_path / "a.png").convert("RGB")
    corner = boxes[0][:2]
    assert shown.getpixel((5, 5)) == whole.getpixel((corner[0] + 5, corner[1] + 5))


def test_without_stored_maps_the_page_says_so(small_experiment, tmp_path):
    shutil.copytree(small_experiment, tmp_path / "bare", ignore=shutil.ignore_patterns("results"))
    index = share.share([tmp_path / "bare" / "look.ipynb"], tmp_path / "out")
    assert "No maps are stored" in (index.parent / "look.html").read_text()
    assert "No maps are stored" in (index.parent / "maps_bare.html").read_text()


def test_a_notebook_that_was_not_executed_says_so(tmp_path):
    index = share.share([plain_notebook(tmp_path / "a" / "plain.ipynb")], tmp_path / "out")
    assert "was not executed" in (index.parent / "plain.html").read_text()
    assert "no image" in index.read_text() and "stored maps" not in index.read_text()


def test_sharing_again_replaces_the_pages_and_nothing_else(tmp_path):
    first, second = (plain_notebook(tmp_path / f"{name}.ipynb") for name in ("one", "two"))
    share.share([first], tmp_path / "out")
    share.share([second], tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").glob("*.html")) == ["index.html", "two.html"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep")
    (tmp_path / "mine" / "index.html").write_text("<title>A page of mine</title>")
    with pytest.raises(ValueError, match="folder must be"):
        share.share([first], tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "keep"


def test_bad_input_is_named_and_leaves_nothing(tmp_path):
    one = plain_notebook(tmp_path / "a" / "one.ipynb")
    same = plain_notebook(tmp_path / "b" / "one.ipynb")
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    for paths, says in (
        ([], "at least one"),
        ([one, same], "own name"),
        ([broken], "broken.ipynb"),
        ([tmp_path / "none.ipynb"], "none.ipynb"),
    ):
        with pytest.raises(ValueError, match=says):
            share.share(paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_where_and_how_large(tmp_path, capsys):
    path = plain_notebook(tmp_path / "plain.ipynb")
    share.main([str(path), str(path), "--output", str(tmp_path / "out")])
    assert re.search(r"index.html: 1 notebooks, 0\.0 MB", capsys.readouterr().out)
