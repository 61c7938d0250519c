from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import maps, models, plots
from helpers.sweeps import store


@pytest.fixture(scope="session")
def small_experiment(tmp_path_factory) -> Path:
    """A folder `experiment7`: two models, stored maps of the first, a notebook with a panel.

    `seen` has maps of `conv` (units 0 to 2, TV 0.001 and 0.1 at seed 0, TV 0.1 also at seed 1) and
    of `dense` (both outputs, one weight); `unseen` has none.
    """
    folder = tmp_path_factory.mktemp("small") / "experiment7"
    for seed, name in enumerate(("seen", "unseen")):
        folder.mkdir(exist_ok=True)
        _model(seed).save(folder / f"{name}.keras")
    model = models.load_model(folder / "seen.keras")
    wanted = {
        "a": ("conv", {"tv_weights": [1e-3, 1e-1], "seeds": 0}),
        "b": ("conv", {"tv_weights": 1e-1, "seeds": 1}),
        "c": ("dense", {"tv_weights": 1e-1, "objective": "pre-activation"}),
    }
    for name, (layer, options) in wanted.items():
        stored = maps.happy_maps(model, layer, steps=4, progress=False, **options)
        store.save(stored, folder / "results" / f"{name}.nc")
    nbformat.write(_notebook(), folder / "look.ipynb")
    return folder


def _model(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 6, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(3, 3, activation="relu", bias_initializer="ones", name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax", name="dense"),
        ]
    )


def _notebook() -> nbformat.NotebookNode:
    drawn = plots.contact_sheet(np.zeros((1, 4, 4, 1)), ["black"], title="Last map")
    data, metadata = drawn._repr_mimebundle_()
    parameters = new_code_cell("model = 'seen.keras'\nlayer = 'conv'\nunit = 1\ntv_weight = 0.1")
    parameters.metadata["tags"] = ["parameters"]
    panel = new_code_cell("panel = panel.Panel(model)\npanel")
    bar = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "Panel()"}
    panel.outputs = [new_output("display_data", bar)]
    still = new_code_cell("panel.figure()")
    still.outputs = [new_output("execute_result", data, metadata=metadata)]
    printed = new_code_cell("print('<b>bold</b>')")
    printed.outputs = [new_output("stream", name="stdout", text="<b>bold</b>\n")]
    text = "# A look & 1 < 2\n\nThis is the *claim* of `look`, in one\nparagraph.\n\nMore."
    return new_notebook(cells=[new_markdown_cell(text), parameters, panel, still, printed])
