"""Training: the net, the same weights for a seed, files."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from tiny import brightness_net

from helpers import models
from helpers.faces import dataset as face_sets
from helpers.faces import evaluation, training
from helpers.faces.dataset import POSES, Faces, faces_by_left
from helpers.faces.training import Setup
from helpers.models.preprocessing import resolve_preprocessing

SHAPE = (24, 24, 1)


def tiny_faces(people=("a", "b", "c", "d", "e"), each=8, seed=0, shape=SHAPE) -> Faces:
    """A bright spot at the side that the pose says, on noise."""
    rng = np.random.default_rng(seed)
    spots = {"straight": (8, 8), "left": (8, 16), "right": (8, 0), "up": (0, 8)}
    images, names, poses = [], [], []
    for person in people:
        for number in range(each):
            pose = POSES[number % len(POSES)]
            image = rng.uniform(0, 0.2, shape).astype("float32")
            row, column = spots[pose]
            image[row : row + 8, column : column + 8] += 0.7
            images.append(image)
            names.append(person)
            poses.append(pose)
    return faces_by_left(np.stack(images), np.array(names), np.array(poses), "tiny")


def trained(seed=1, epochs=2, poses=False, **options):
    known, unseen = tiny_faces(), tiny_faces(people=("f",), seed=9)
    if poses:
        known, unseen = known.by_pose(), unseen.by_pose()
    setup = Setup(epochs=epochs, batch=8, **options)
    return training.train(known, unseen, seed=seed, setup=setup, progress=False)


def test_the_net_is_the_posts():
    net = training.build_model((60, 64, 1), seed=0)
    infos = {one.name: one for one in models.layers(net)}
    units = {name: one.units for name, one in infos.items() if one.kind != "MaxPooling2D"}
    assert units == {
        "conv2d_1": 32, "conv2d_2": 32, "conv2d_3": 64, "dense_1": 64, "dense_2": 32, "dense_3": 2,
    }  # fmt: skip
    assert infos["conv2d_1"].output_shape == (58, 62, 32)
    assert infos["max_pooling2d_3"].output_shape == (5, 6, 64)
    assert resolve_preprocessing(net) == "0..255"
    assert keras.activations.softmax is net.layers[-1].activation
    weights = 10 * 32 + (9 * 32 + 1) * 32 + (9 * 32 + 1) * 64 + (5 * 6 * 64 + 1) * 64 + 65 * 32
    assert net.count_params() == weights + 33 * 2


def test_the_loss_falls_and_the_task_is_learned():
    result = trained(epochs=12)
    assert result.history["loss"][-1] < 0.5 * result.history["loss"][0]
    assert evaluation.evaluate(result.model, tiny_faces(people=("g",), seed=5)).accuracy == 1
    assert set(result.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_a_mirror_image_has_the_mirrored_pose():
    faces = tiny_faces(people=("a",), each=4)
    both = training.with_mirror_images(faces)
    assert both.poses.tolist() == ["straight", "left", "right", "up"] + [
        "straight", "right", "left", "up",
    ]  # fmt: skip
    assert both.labels.tolist() == [0, 1, 0, 0] + [0, 0, 1, 0]
    np.testing.assert_array_equal(both.images[5], faces.images[1][:, ::-1])
    np.testing.assert_array_equal(both.images[:4], faces.images)
    own = replace(faces, source="folder")
    assert training.with_mirror_images(own) is own


def test_the_same_seed_gives_the_same_weights_whatever_the_global_one():
    keras.utils.set_random_seed(1)
    first = models.weight_digest(trained(seed=3).model)
    keras.utils.set_random_seed(2)
    before = np.random.get_state()[1].copy()
    assert models.weight_digest(trained(seed=3).model) == first
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert models.weight_digest(trained(seed=4).model) != first


def test_a_poses_net_has_four_outputs():
    result = trained(poses=True)
    assert result.model.output_shape == (None, 4)
    found = evaluation.evaluate(result.model, tiny_faces().by_pose())
    assert found.confusion.shape == (4, 4)
    assert found.confusion.sum(1).tolist() == [10, 10, 10, 10]


def test_folds_hold_unseen_people_out(monkeypatch):
    seen = []

    def spy(known, unseen, **options):
        seen.append((set(known.people), set(unseen.people)))
        return training.Trained(brightness_net(SHAPE), {})

    monkeypatch.setattr(training, "train", spy)
    accuracies = training.cross_validate(tiny_faces(), n_folds=5, seed=0, progress=False)
    assert len(accuracies) == 5
    assert all(not known & unseen for known, unseen in seen)
    assert sorted(person for _, unseen in seen for person in unseen) == ["a", "b", "c", "d", "e"]


def test_a_net_is_written_whole_with_its_record(tmp_path):
    net = training.build_model(SHAPE, seed=0)
    path = training.save_model(net, {"seed": 1}, tmp_path / "net.keras")
    loaded = models.load_model(path)
    assert models.weight_digest(loaded) == models.weight_digest(net)
    assert not loaded.compiled
    assert json.loads((tmp_path / "net.json").read_text()) == {"seed": 1}
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["net.json", "net.keras"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    net = training.build_model(SHAPE, seed=0)

    def fail(self, path, *args, **options):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(keras.Model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        training.save_model(net, {}, tmp_path / "net.keras")
    assert not (tmp_path / "net.keras").exists()
    assert not list(tmp_path.glob(".*"))


def test_the_command_trains_reports_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(face_sets, "load_faces", lambda *_, **__: tiny_faces())
    output = tmp_path / "net.keras"
    training.main(["--folds", "2", "--epochs", "1", "--seed", "5", "--output", str(output)])
    record = json.loads((tmp_path / "net.json").read_text())
    said = capsys.readouterr().out
    assert "accuracy on unseen people, 2 folds" in said
    assert len(record["accuracy_of_each_fold"]) == 2
    assert record["accuracy_mean_of_folds"] == pytest.approx(
        np.mean(record["accuracy_of_each_fold"])
    )
    assert record["unseen_people"] and set(record["unseen_people"]) < set("abcde")
    assert (record["source"], record["seed"], record["setup"]["epochs"]) == ("tiny", 5, 1)
    assert str(tmp_path) not in json.dumps(record)
    net = models.load_model(output)
    assert record["weight_digest"] == models.weight_digest(net)


def test_the_command_trains_a_set_up_of_a_file(tmp_path, monkeypatch):
    asked = {}

    def load(source, path, **options):
        asked.update(options)
        return tiny_faces(shape=(24, 24, 3))

    monkeypatch.setattr(face_sets, "load_faces", load)
    (tmp_path / "setups.toml").write_text(
        "[shared]\nepochs = 1\nchannels = 3\nsize = [24, 24]\npixel_range = [0, 1]\n"
        '[setups.bare]\nwhy = "as published"\nrescaling = false\nall_sizes = true\n'
    )
    output = tmp_path / "net.keras"
    setup = [str(tmp_path / "setups.toml"), "bare"]
    training.main(["--source", "cmu", "--folds", "0", "--setup", *setup, "--output", str(output)])
    assert asked == {"seed": 0, "size": (24, 24), "channels": 3, "all_sizes": True}
    net = models.load_model(output)
    assert [layer.name for layer in net.layers[:2]] == ["pixels", "rescaling"]
    record = json.loads((tmp_path / "net.json").read_text())
    assert record["setup"]["pixel_range"] == [0, 1] and record["setup"]["rescaling"] is False
    with pytest.raises(ValueError, match="--setup must name one of .'bare'.*'other'"):
        training.main(["--setup", setup[0], "other"])


def test_a_set_up_makes_the_layers_it_says():
    setup = Setup(pixel_range=(0, 1), dropout=(0, 0.5), dense_bias=0, initializer="glorot_uniform")
    net = training.build_model((32, 32, 3), setup=setup, seed=0)
    names = [layer.name for layer in net.layers]
    assert names[:2] == ["pixels", "rescaling"]
    assert names[-5:] == ["flatten", "dense_1", "dropout_2", "dense_2", "dense_3"]
    assert net.get_layer("dropout_2").rate == 0.5
    np.testing.assert_allclose(net.layers[1](np.full((1, 1, 1, 1), 51.0)), 0.2, rtol=1e-6)
    kernel, bias = net.get_layer("conv2d_1").get_weights()
    limit = np.sqrt(6 / (9 * 3 + 9 * 32))  # Glorot & Bengio 2010, equation 16
    assert 0.95 * limit < np.abs(kernel).max() <= limit
    assert not bias.any() and not net.get_layer("dense_1").get_weights()[1].any()
    last = training.build_model((32, 32, 3), setup=Setup(dropout=(0, 0, 0.5)), seed=0)
    assert [layer.name for layer in last.layers[-2:]] == ["dropout_3", "dense_3"]
    raw = training.build_model((32, 32, 3), setup=Setup(pixel_range=(0, 255)), seed=0)
    assert raw.layers[1].name == "conv2d_1"


def test_what_a_set_up_may_not_be(tmp_path):
    with pytest.raises(ValueError, match="dropout must have at most 3 shares"):
        Setup(dropout=(0.1, 0.2, 0.3, 0.4))
    with pytest.raises(ValueError, match="pixel_range must be .*low < high"):
        Setup(pixel_range=(1, 0))
    file = tmp_path / "setups.toml"
    file.write_text("[setups.a]\ndropuot = [0.5]\n")
    with pytest.raises(ValueError, match="setups.a must have keys of .*'dropuot'"):
        training.read_setups(file)
    file.write_text("[shared]\nepochs = 1\n")
    with pytest.raises(ValueError, match=r"tables \[setups.NAME\], got none"):
        training.read_setups(file)


def test_without_augmentation_each_image_is_learned_once_as_it_is(monkeypatch):
    seen = []

    def fit(self, batches, *, steps_per_epoch, **_):
        seen.extend(next(batches) for _ in range(steps_per_epoch))
        return keras.callbacks.History()

    monkeypatch.setattr(keras.Model, "fit", fit)
    monkeypatch.setattr(keras.callbacks.History, "history", {}, raising=False)
    trained(augment=False)
    pixels = np.concatenate([batch for batch, _ in seen])
    expected = tiny_faces().images * 255
    assert pixels.shape == expected.shape
    order = np.argsort(pixels.sum((1, 2, 3)))
    np.testing.assert_array_equal(pixels[order], expected[np.argsort(expected.sum((1, 2, 3)))])
