import io
import tarfile
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from helpers import faces
from helpers.faces import cmu
from helpers.faces.dataset import load_faces, person_folds, split_by_person

PEOPLE = ("ann", "bob", "cat")


def p5(height, width, level, maxval=156):
    return f"P5\n{width} {height}\n{maxval}\n".encode() + bytes([level]) * (height * width)


def p2(height, width, level, maxval=156):
    rows = "\n".join(" ".join([str(level)] * width) for _ in range(height))
    return f"P2\n{width} {height}\n{maxval}\n{rows}\n".encode()


def cmu_files():
    files = {}
    for i, person in enumerate(PEOPLE):
        for pose in faces.POSES:
            stem = f"faces/{person}/{person}_{pose}_neutral_open"
            files[f"{stem}.pgm"] = p2(120, 128, 39)
            files[f"{stem}_2.pgm"] = p5(60, 64, 39 * (i + 1))
            files[f"{stem}_4.pgm"] = p5(30, 32, 156)
    files["faces/ann/ann_up_sad_open.bad"] = p2(120, 128, 1)
    files["readme.txt"] = b"words"
    return files


@pytest.fixture
def cmu_folder(tmp_path):
    for name, data in cmu_files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def tar_gz():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in cmu_files().items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def check_cmu(found):
    assert found.images.shape == (12, 60, 64, 1) and found.images.dtype == np.float32
    assert found.people.tolist() == sorted(PEOPLE * 4)
    assert found.labels.tolist() == (found.poses == "left").astype(int).tolist()
    assert found.labels.sum() == 3 and found.skipped == 1
    assert found.class_names == ("not left", "left")


def test_cmu_from_a_folder(cmu_folder):
    found = load_faces("cmu", cmu_folder)
    check_cmu(found)
    assert found.images[0, 0, 0, 0] == pytest.approx(39 / 156, abs=1 / 255)
    assert found.images[-1].max() == pytest.approx(117 / 156, abs=1 / 255)


def test_gray_levels_are_over_the_maxval_of_their_header(cmu_folder):
    first = cmu_folder / "faces/ann/ann_left_neutral_open_2.pgm"
    first.write_bytes(p5(60, 64, 60, maxval=120))
    found = load_faces("cmu", cmu_folder)
    # 60/120 and 39/156 = 1/4, each to the nearest of 0/255 ... 255/255; neither reaches 1
    assert np.unique(found.images[0]) == pytest.approx(0.5, abs=0.5 / 255 + 1e-6)
    assert np.unique(found.images[1]) == pytest.approx(0.25, abs=0.5 / 255 + 1e-6)
    assert found.images.dtype == np.float32


def test_a_folder_beside_its_own_archive_counts_once(cmu_folder):
    (cmu_folder / "faces.tar.gz").write_bytes(tar_gz())
    check_cmu(load_faces("cmu", cmu_folder))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cmu.zip", b"PK\x03\x04 no zip"),
        ("faces.tar.gz", b"no tar"),
        ("half.tar.gz", tar_gz()[:-200]),
    ],
)
def test_a_damaged_archive_is_named(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=f"undamaged archives.*{name}"):
        load_faces("cmu", tmp_path / name)


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"P5\n64 60\n150\nshort", "undamaged pictures"), (p5(4, 4, 9), r"\(60, 64\).*\(4, 4\)")],
)
def test_a_damaged_picture_is_named(cmu_folder, data, says):
    (cmu_folder / "faces/bob/bob_left_neutral_open_2.pgm").write_bytes(data)
    with pytest.raises(ValueError, match=says) as raised:
        load_faces("cmu", cmu_folder)
    assert "bob_left_neutral_open_2" in str(raised.value)


@pytest.mark.parametrize(("size", "value"), [((120, 128), 39 / 156), ((30, 32), 1)])
def test_cmu_in_the_other_sizes_ascii_and_binary(cmu_folder, size, value):
    found = load_faces("cmu", cmu_folder, size=size)
    assert found.images.shape == (12, *size, 1)
    np.testing.assert_allclose(found.images, value, atol=1 / 255)


def test_cmu_in_all_sizes_scaled_to_one_in_rgb(cmu_folder):
    faces_found = load_faces("cmu", cmu_folder, size=(120, 128), all_sizes=True, channels=3)
    assert faces_found.images.shape == (36, 120, 128, 3) and faces_found.skipped == 1
    assert faces_found.people.tolist() == sorted(PEOPLE * 12)
    # ann, left: 39/156 at full size, 39/156 at half, 156/156 at a quarter
    ann = faces_found.images[:3].reshape(3, -1)
    np.testing.assert_allclose(ann, np.array([[0.25], [0.25], [1]]) + 0 * ann, atol=1 / 255)
    assert faces_found.labels.sum() == 9


def test_channels_of_a_source_can_be_changed(cmu_folder):
    rgb = load_faces("rendered", people=2, per_person=4)
    gray = load_faces("rendered", people=2, per_person=4, channels=1)
    np.testing.assert_allclose(gray.images[..., 0], rgb.images.mean(-1), atol=1e-6)
    with pytest.raises(ValueError, match="channels must be 1, 3 or None, got 2"):
        load_faces("rendered", channels=2)
    with pytest.raises(ValueError, match="all_sizes must be False .*'rendered'"):
        load_faces("rendered", all_sizes=True)


def test_cmu_from_an_archive_inside_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "cmu.zip", "w") as archive:
        archive.writestr("faces.tar.gz", tar_gz())
    check_cmu(load_faces("cmu", tmp_path / "cmu.zip"))
    (tmp_path / "faces.tar.gz").write_bytes(tar_gz())
    check_cmu(load_faces("cmu", tmp_path / "faces.tar.gz"))


def test_a_download_is_checked_by_its_content(tmp_path, monkeypatch):
    path = tmp_path / "faces.tar.gz"
    path.write_bytes(tar_gz())
    monkeypatch.setattr(keras.utils, "get_file", lambda *a, **k: str(path))
    with pytest.raises(ValueError, match="'pictures': 12.*delete .*faces.tar.gz"):
        load_faces("cmu")
    monkeypatch.setattr(cmu, "CONTENT", {"people": 3, "poses": 4, "pictures": 12})
    check_cmu(load_faces("cmu"))


def test_the_download_goes_through_keras(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    source = tmp_path / "there" / "cmu.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("faces.tar.gz", tar_gz())
    get_file = keras.utils.get_file
    monkeypatch.setattr(
        keras.utils, "get_file", lambda *a, **k: get_file(*a, **k, cache_dir=tmp_path)
    )
    monkeypatch.setattr(cmu, "URL", source.as_uri())
    monkeypatch.setattr(cmu, "CONTENT", {"people": 3, "poses": 4, "pictures": 12})
    check_cmu(load_faces("cmu"))


def test_offline_says_how_to_give_a_folder(monkeypatch):
    def refuse(*arguments, **options):
        raise Exception("URL fetch failure: no network")

    monkeypatch.setattr(keras.utils, "get_file", refuse)
    with pytest.raises(OSError, match="path="):
        load_faces("cmu")


def picture(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), colour).save(path)


def test_a_folder_of_your_own(tmp_path):
    picture(tmp_path / "dogs" / "rex" / "1.png", (255, 0, 0))
    picture(tmp_path / "dogs" / "rex" / "2.png", (255, 0, 0))
    picture(tmp_path / "cats" / "tom.jpg", (0, 0, 255))
    (tmp_path / "cats" / "broken.png").write_bytes(b"no picture")
    found = load_faces("folder", tmp_path, size=(8, 12))
    assert found.images.shape == (3, 8, 12, 3)
    assert found.class_names == ("cats", "dogs") and found.labels.tolist() == [0, 1, 1]
    assert found.people.tolist() == ["cats/tom.jpg", "rex", "rex"]
    assert found.skipped == 1
    np.testing.assert_allclose(found.images[1, 0, 0], [1, 0, 0])
    assert found.poses.tolist() == ["cats", "dogs", "dogs"]
    with pytest.raises(ValueError, match="poses"):
        found.by_pose()


@pytest.fixture(scope="module")
def rendered():
    return load_faces("rendered", seed=1, people=6, per_person=4)


def test_rendered_faces_are_labelled_by_pose(rendered):
    assert len(rendered) == 24 and set(rendered.poses) == set(faces.POSES)
    assert rendered.labels.tolist() == (rendered.poses == "left").astype(int).tolist()
    by_pose = rendered.by_pose()
    assert by_pose.class_names == faces.POSES
    assert by_pose.labels[:4].tolist() == [0, 1, 2, 3]
    assert by_pose[1:2].poses.tolist() == ["left"]
    np.testing.assert_array_equal(by_pose.images, rendered.images)


def test_nobody_is_in_train_and_test(rendered):
    train, test = split_by_person(rendered, 0.34, seed=0)
    assert set(train.people).isdisjoint(test.people)
    assert len(set(test.people)) == 2 and len(train) + len(test) == 24
    again = split_by_person(rendered, 0.34, seed=0)[1]
    assert again.people.tolist() == test.people.tolist()


def test_folds_test_everybody_once(rendered):
    tested = [set(test.people) for train, test in person_folds(rendered, 3, seed=0)]
    assert sum(map(len, tested)) == 6 and len(set.union(*tested)) == 6
    for train, test in person_folds(rendered, 3, seed=0):
        assert set(train.people).isdisjoint(test.people)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t, f: load_faces("paintings"), "source"),
        (lambda t, f: load_faces("cmu", t / "nothing"), "path"),
        (lambda t, f: load_faces("cmu", t), "CMU pictures"),
        (lambda t, f: load_faces("cmu", t, size=(64, 64)), "size"),
        (lambda t, f: load_faces("folder", t), "size"),
        (lambda t, f: load_faces("folder", t, size=(8, 8)), "two sub-folders"),
        (lambda t, f: load_faces("folder"), "path"),
        (lambda t, f: load_faces("folder", t, size=8), "size"),
        (lambda t, f: load_faces("folder", t, size=(0, 8)), "size"),
        (lambda t, f: load_faces("cmu", t, size=60), "size"),
        (lambda t, f: load_faces(size=(32, 32)), "size"),
        (lambda t, f: load_faces(people=0), "people"),
        (lambda t, f: load_faces(per_person=0), "per_person"),
        (lambda t, f: load_faces(seed=-1), "seed"),
        (lambda t, f: split_by_person(f, 1.5, seed=0), "test_fraction"),
        (lambda t, f: list(person_folds(f, 7, seed=0)), "people"),
        (lambda t, f: list(person_folds(f, 1, seed=0)), "n_folds"),
    ],
)
def test_bad_input_is_named(tmp_path, rendered, call, says):
    with pytest.raises(ValueError, match=says):
        call(tmp_path, rendered)
