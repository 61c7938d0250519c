"""Makes what experiment 6 stores: `python -m experiments.experiment6`, about half an hour.

Trains six faces models, makes and judges the maps of five (`measured.nc`; of fewer with
`--trainings` and `--with-maps`), and chooses the units of the strip (`units.nc`, if it is not
there). What is in `results/` is not made again: interrupt it, and it goes on. With `--gallery` it
draws the maps of many ImageNet classes instead.
"""

import argparse
from pathlib import Path

import xarray as xr
from tqdm.auto import tqdm

from experiments.experiment6 import figures, judged, strip
from helpers import maps, models
from helpers.faces.dataset import load_faces
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


def measured(trainings: int, with_maps: int) -> xr.Dataset:
    """Judge the maps of the first trainings by all others; the parts are kept in `results/`."""
    results, seeds = HERE / "results", judged.WEIGHTS_SEEDS[:trainings]
    faces = load_faces("rendered", seed=0).by_pose()
    trained = [
        judged.trained(faces, seed, results / f"training{seed}.keras")
        for seed in tqdm(seeds, desc="trainings")
    ]
    path = results / "architecture.keras"
    architecture = judged.trained(faces, 0, path, judged.OTHER_ARCHITECTURE)
    parts = []
    for seed, own in zip(tqdm(seeds[:with_maps], desc="judged"), trained, strict=False):
        path = results / f"training{seed}.nc"
        if not store.is_intact(path):
            others = [other.model for other in trained if other is not own]
            store.save(judged.judge(own, others, architecture.model), path)
        parts.append(store.load(path))
    return judged.join(parts).assign(
        accuracy=("training", [training.accuracy for training in trained]),
        accuracy_architecture=architecture.accuracy,
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.experiment6", description=__doc__)
    parser.add_argument("--gallery", action="store_true", help="draw a gallery of classes instead")
    count = len(judged.WEIGHTS_SEEDS)
    parser.add_argument("--trainings", type=int, default=count, help=f"how many, {count}")
    text = f"on how many of them maps are made, {count}; the others judge"
    parser.add_argument("--with-maps", type=int, default=count, help=text)
    options = parser.parse_args()
    if options.gallery:
        gallery(HERE / "output" / "figures" / "gallery.png")
        return
    store.save(measured(options.trainings, options.with_maps), HERE / "measured.nc")
    if not store.is_intact(HERE / "units.nc"):
        units = strip.chosen_units(models.zoo("EfficientNetLite0"))
        store.save(xr.Dataset.from_dataframe(units.rename_axis("layer")), HERE / "units.nc")


if __name__ == "__main__":
    main()
