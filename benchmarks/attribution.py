"""Attribution of keras-vis, tf-keras-vis and xplique beside ours: how far apart, and how fast.

`python -m benchmarks.attribution agree` writes `tests/attribution/peers.npz` (what the last two
make of a tiny model) and prints the table of deviations; `python -m benchmarks.attribution speed
MODEL --layer LAYER` prints images per second. Both need the peers' environments, which `make bench`
makes. With `--tool` a process does one tool's share.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "tests" / "attribution" / "peers.npz"
OURS, KERAS_VIS, TF_KERAS_VIS, XPLIQUE = "ours", "keras-vis", "tf-keras-vis", "xplique"
TOOLS = (OURS, TF_KERAS_VIS, XPLIQUE)
BATCH, SECONDS = 32, 4.0
STEPS, SAMPLES, PATCH = 50, 50, 8
"""Of integrated gradients, SmoothGrad and occlusion, where speed is measured."""


def ours(model, unit: int, layer: str, few: bool) -> dict[str, Callable]:
    """Each method of ours as a function of images (N, H, W, C)."""
    from helpers import attribution
    from helpers.maps import Unit

    target = Unit(model.layers[-1].name, unit, pre_activation=True)
    methods = {
        "saliency": attribution.Saliency(),
        "guided": attribution.GuidedBackprop(channels="mean", absolute=False),
        "rectified": attribution.GuidedBackprop(False, "mean", "rectified"),
        "grad_cam": attribution.GradCam(layer, "none" if few else "bilinear"),
        "grad_cam_bicubic": attribution.GradCam(layer, "bicubic"),
        "grad_cam_plus_plus": attribution.GradCamPlusPlus(layer, "none" if few else "bilinear"),
        "grad_cam_plus_plus_bicubic": attribution.GradCamPlusPlus(layer, "bicubic"),
        "integrated_gradients": attribution.IntegratedGradients(8 if few else STEPS),
        "smooth_grad": attribution.SmoothGrad(SAMPLES, 0.0 if few else 0.15),
        "occlusion": attribution.Occlusion(2, 2, 20.0)
        if few
        else attribution.Occlusion(PATCH, PATCH),
    }

    def run(method, images):
        made = attribution.attribute(
            method, model, images, target, batch_size=BATCH, preprocessing="0..255"
        )
        return made.heatmap[:, 0].values

    return {name: partial(run, method) for name, method in methods.items()}


def keras_vis(model, unit: int, layer: str, few: bool) -> dict[str, Callable]:
    """Each method of the genuine package, the numbers before it stretches and colours them."""
    import keras

    from helpers.maps import keras_vis as genuine

    last, maps = len(model.layers) - 1, keras.Model(model.inputs[0], model.get_layer(layer).output)
    index = next(i for i, one in enumerate(model.layers) if one.name == layer)

    def gradient(call, image, *arguments):
        seen = []
        call(model, last, unit, image, *arguments, lambda g: seen.append(g[0].copy()) or np.abs(g))
        return seen[0]

    def saliency(modifier, image):
        return gradient(genuine.visualize_saliency, image, modifier)

    def grad_cam(image):
        weights = gradient(genuine.visualize_cam, image, index, None).mean((0, 1))
        return np.maximum(np.asarray(maps(image[None]))[0] @ weights, 0)

    methods = {
        "saliency": lambda image: np.abs(saliency(None, image)).max(-1),
        "guided": lambda image: saliency("guided", image).mean(-1),
        "rectified": lambda image: saliency("rectified", image).mean(-1),
        "grad_cam": grad_cam,
    }

    def run(method, images):
        return np.stack([method(image) for image in images])

    return {name: partial(run, method) for name, method in methods.items()}


def tf_keras_vis(model, unit: int, layer: str, few: bool) -> dict[str, Callable]:
    """Each method of tf-keras-vis that has a like among ours."""
    import tensorflow as tf
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
    from tf_keras_vis.utils.scores import CategoricalScore

    score = CategoricalScore([unit])
    model = with_logits(model)
    plain, cam, cam_pp = (kind(model) for kind in (Saliency, Gradcam, GradcamPlusPlus))
    guided = Saliency(model, model_modifier=GuidedBackpropagation())
    cams = {"penultimate_layer": layer, "normalize_cam": False, "expand_cam": not few}

    def run(call, arguments, images):
        made = call(score, tf.constant(images), **arguments)
        return np.asarray(made if not isinstance(made, list) else made[0])

    noise = {"smooth_samples": SAMPLES, "smooth_noise": 0.0 if few else 0.15}
    signed = {"gradient_modifier": None, "keepdims": True, "normalize_map": False}
    methods = {
        "saliency": (plain, {"normalize_map": False}),
        "guided": (guided, signed),
        "grad_cam": (cam, cams),
        "grad_cam_plus_plus": (cam_pp, cams),
        "smooth_grad": (plain, {"normalize_map": False, **noise}),
    }
    runs = {name: partial(run, *method) for name, method in methods.items()}
    runs["guided"] = lambda images: run(guided, signed, images).mean(-1)
    return runs


def xplique(model, unit: int, layer: str, few: bool) -> dict[str, Callable]:
    """Each method of xplique that has a like among ours."""
    from xplique import attributions

    model = with_logits(model)
    shared = {"batch_size": BATCH}
    patch = 2 if few else PATCH
    methods = {
        "saliency": attributions.Saliency(model, **shared),
        "guided": attributions.GuidedBackprop(model, **shared),
        "rectified": attributions.DeconvNet(model, **shared),
        "grad_cam_bicubic": attributions.GradCAM(model, conv_layer=layer, **shared),
        "grad_cam_plus_plus_bicubic": attributions.GradCAMPP(model, conv_layer=layer, **shared),
        "integrated_gradients": attributions.IntegratedGradients(
            model, steps=8 if few else STEPS, reducer="sum", **shared
        ),
        "smooth_grad": attributions.SmoothGrad(
            model, nb_samples=SAMPLES, noise=0.0 if few else 20.0, reducer=None, **shared
        ),
        "occlusion": attributions.Occlusion(
            model,
            patch_size=patch,
            patch_stride=patch,
            occlusion_value=20.0 if few else 127.5,
            **shared,
        ),
    }

    def run(explainer, images):
        targets = np.eye(model.output_shape[-1], dtype="float32")[[unit] * len(images)]
        made = np.asarray(explainer(images, targets))
        if made.shape[-1] == 1:
            return made[..., 0]
        return np.abs(made).max(-1)  # SmoothGrad: the sign is taken away after the mean

    return {name: partial(run, explainer) for name, explainer in methods.items()}


def with_logits(model):
    """The model without the activation function of its last layer."""
    import keras

    last = model.layers[-1]
    if not last.weights:
        return keras.Model(model.inputs[0], last.input)
    logits = type(last).from_config(last.get_config() | {"activation": "linear"})
    changed = keras.Model(model.inputs[0], logits(model.layers[-2].output))
    logits.set_weights(last.get_weights())
    return changed


CALLS = {OURS: ours, KERAS_VIS: keras_vis, TF_KERAS_VIS: tf_keras_vis, XPLIQUE: xplique}
TWINS = {
    "grad_cam_bicubic": "grad_cam",
    "grad_cam_plus_plus_bicubic": "grad_cam_plus_plus",
}
"""In the tables these are one method."""
METHODS = (
    "saliency",
    "guided",
    "rectified",
    "grad_cam",
    "grad_cam_plus_plus",
    "integrated_gradients",
    "smooth_grad",
    "occlusion",
)
SHARE = ("tool", "what", "model", "folder", "unit", "layer", "methods")


def tiny_model(weights: dict[str, np.ndarray] | None = None):
    """The model of the reference values: images (8, 10, 3) of any range, three logits."""
    import keras

    keras.utils.set_random_seed(5)
    x = y = keras.Input((8, 10, 3))
    y = keras.layers.Conv2D(4, 3, activation="relu", name="first")(y)
    y = keras.layers.Conv2D(3, 3, activation="relu", name="last")(y)
    y = keras.layers.Dense(3, name="out")(keras.layers.Flatten(name="flat")(y))
    model = keras.Model(x, y)
    if weights is not None:
        model.set_weights([weights[f"weight_{i}"] for i in range(6)])
    return model


def heat_of(tool: str, model_path: Path, images: np.ndarray, unit: int, layer: str) -> dict:
    """Every heatmap that a tool makes, computed in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", images)
        _in_process(tool, "agree", model_path, folder, unit, layer)
        with np.load(Path(folder) / "made.npz") as made:
            return dict(made)


def agree() -> str:
    """Write the reference values and say how far each tool is from ours."""
    model = tiny_model()
    for weight in model.weights:
        if weight.path.endswith("bias"):
            weight.assign(np.random.default_rng(6).normal(0, 5, weight.shape))
    images = np.random.default_rng(7).uniform(0, 255, (2, 8, 10, 3)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.keras"
        model.save(path)
        made = {tool: heat_of(tool, path, images, 0, "last") for tool in CALLS}
    contents = {f"weight_{i}": w for i, w in enumerate(model.get_weights())} | {"images": images}
    for tool in (TF_KERAS_VIS, XPLIQUE):
        contents |= {f"{tool}/{name}": heat for name, heat in made[tool].items()}
    np.savez_compressed(REFERENCE, **contents)
    return deviations(made)


def deviations(made: dict[str, dict[str, np.ndarray]]) -> str:
    """The table: a row a method and a column a peer, how far ours is from theirs.

    The largest absolute deviation over the largest absolute value.
    """
    peers = [tool for tool in made if tool != OURS]
    rows = {TWINS.get(name, name): {} for name in made[OURS]}
    for tool in peers:
        for name, theirs in made[tool].items():
            deviation = np.abs(made[OURS][name] - theirs).max() / np.abs(theirs).max()
            rows[TWINS.get(name, name)][tool] = f"{deviation:.1e}"
    lines = [f"| method | {' | '.join(peers)} |", "|---" * (1 + len(peers)) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | {' | '.join(row.get(tool, '') for tool in peers)} |")
    return "\n".join(lines)


def speed(model_path: Path, unit: int, layer: str, methods=METHODS) -> str:
    """Images per second of each tool and method, batches of 32, after one call to warm up."""
    rates = {}
    for tool in TOOLS:
        with tempfile.TemporaryDirectory() as folder:
            _in_process(tool, "speed", model_path, folder, unit, layer, methods)
            with np.load(Path(folder) / "made.npz") as made:
                for name, rate in made.items():
                    rates.setdefault(TWINS.get(name, name), {})[tool] = float(rate)
    lines = [f"| {model_path.stem} | {' | '.join(TOOLS)} |", "|---|---|---|---|"]
    for name, row in rates.items():
        cells = (f"{row[tool]:.3g}" if tool in row else "" for tool in TOOLS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _in_process(tool, what: str, model: Path, folder: str, unit, layer, methods=METHODS) -> None:
    from benchmarks.process import python_of

    arguments = [what, str(model), "--tool", tool, "--folder", folder]
    arguments += ["--unit", str(unit), "--layer", layer, "--methods", *methods]
    command = [python_of(tool), "-m", "benchmarks.attribution", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)


def _share(tool: str, what: str, model_path: str, folder: Path, unit, layer, methods) -> None:
    import keras

    model = keras.models.load_model(model_path, compile=False)
    few = what == "agree"
    runs, made = CALLS[tool](model, unit, layer, few), {}
    if few:
        images = np.load(folder / "images.npy")
        made = {name: np.asarray(run(images), "float32") for name, run in runs.items()}
    else:
        shape = (BATCH, *model.input_shape[1:])
        images = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
        for name, run in runs.items():
            if (tool == OURS and name in TWINS) or TWINS.get(name, name) not in methods:
                continue
            run(images)
            times, began = [], time.perf_counter()
            while not times or time.perf_counter() - began < SECONDS:
                start = time.perf_counter()
                run(images)
                times.append(time.perf_counter() - start)
            made[name] = BATCH / min(times)
    np.savez(folder / "made.npz", **made)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attribution", description=__doc__)
    parser.add_argument("what", choices=["agree", "speed"])
    parser.add_argument("model", nargs="?", help="a .keras file that takes pixels 0..255")
    parser.add_argument("--unit", type=int, default=1, help="output whose logit is explained")
    parser.add_argument("--layer", help="layer of Grad-CAM")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--tool", choices=CALLS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.tool:
        _share(*(getattr(chosen, name) for name in SHARE))
    elif chosen.what == "agree":
        print(agree())
    else:
        print(speed(Path(chosen.model), chosen.unit, chosen.layer, chosen.methods))


if __name__ == "__main__":
    sys.exit(main())
