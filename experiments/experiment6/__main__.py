"""Makes what experiment 6 stores: `python -m experiments.experiment6`, about ten minutes.

Trains five faces models, makes and judges their maps (`measured.nc`), and chooses the units of the
strip (`units.nc`). With `--gallery` it draws the maps of many ImageNet classes instead.
"""

import argparse
from pathlib import Path

import xarray as xr

from experiments.experiment6 import figures, judged, strip
from helpers import maps, models
from helpers.sweeps import store

HERE = Path(__file__).parent
CLASSES = (
    *("flamingo", "peacock", "goldfish", "great white shark", "tarantula", "monarch", "tree frog"),
    *("zebra", "tiger", "African elephant", "giant panda", "gorilla", "pug", "tabby"),
    *("daisy", "corn", "pizza", "pineapple", "strawberry", "broccoli", "jellyfish"),
    *("castle", "bookcase", "pirate", "beacon", "volcano", "fire engine", "steam locomotive"),
)


def gallery(path: Path) -> None:
    """Draw the maps of `CLASSES` by the robust preset."""
    model = models.zoo("EfficientNetLite0")
    objectives = [maps.Unit("logits", models.find_class(name)) for name in CLASSES]
    made = maps.maximize(model, objectives).squeeze("seed")
    title = "Classes of EfficientNet-Lite0 by the robust preset"
    figures.of_maps(made, CLASSES, title=title, columns=7).save(path)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.experiment6", description=__doc__)
    parser.add_argument("--gallery", action="store_true", help="draw a gallery of classes instead")
    if parser.parse_args().gallery:
        gallery(HERE / "output" / "figures" / "gallery.png")
        return
    trainings = [judged.trained(seed) for seed in judged.WEIGHTS_SEEDS]
    photographs_model = models.load_model(HERE.parent / "experiment1" / "photos.keras")
    store.save(judged.judge(trainings, photographs_model), HERE / "measured.nc")
    units = strip.chosen_units(models.zoo("EfficientNetLite0"))
    store.save(xr.Dataset.from_dataframe(units.rename_axis("layer")), HERE / "units.nc")


if __name__ == "__main__":
    main()
