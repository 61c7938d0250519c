import pytest

from helpers import files


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with files.atomic_write(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == ["a.txt"]
    assert path.read_text() == "old"


def test_a_write_makes_its_folder_and_replaces_the_file(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for text in ("one", "two"):
        with files.atomic_write(path) as part:
            part.write_text(text)
    assert path.read_text() == "two" and names(path.parent) == ["a.txt"]


def test_a_damaged_file_goes_into_quarantine(tmp_path):
    (tmp_path / "a.nc").write_text("damaged")
    with pytest.warns(UserWarning, match=r"a\.nc is damaged: renamed to a\.unreadable"):
        files.quarantine(tmp_path / "a.nc")
    assert names(tmp_path) == ["a.unreadable"]
    files.quarantine(tmp_path / "a.nc")


def test_a_lock_is_held_by_one(tmp_path):
    held = files.lock(tmp_path / "a.nc")
    assert files.lock(tmp_path / "a.nc") is None
    other = files.lock(tmp_path / "b.nc")
    files.unlock(held)
    files.unlock(files.lock(tmp_path / "a.nc"))
    files.unlock(other)
    assert names(tmp_path) == []


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    for name in (".a-x1.nc", ".b-x1.nc", "a.nc"):
        (tmp_path / name).write_text("")
    files.unlock(files.lock(tmp_path / "a.nc"))
    assert names(tmp_path) == [".b-x1.nc", "a.nc"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file/results must be a folder"):
        files.lock(tmp_path / "file" / "results" / "a.nc")
