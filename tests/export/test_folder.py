"""A folder appears whole or not at all, and nobody's files are lost."""

import pytest

from ctc_lightning.export.folder import check_free, whole_folder


def test_files_appear_together(tmp_path):
    with whole_folder(tmp_path / "new" / "out") as beside:
        (beside / "a").write_text("1")
        assert not (tmp_path / "new" / "out").exists()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["out"]
    assert (tmp_path / "new" / "out" / "a").read_text() == "1"


def test_after_an_error_nothing_is_there(tmp_path):
    def fail():
        with whole_folder(tmp_path / "out") as beside:
            (beside / "a").write_text("1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


def test_files_of_the_same_name_are_replaced_and_others_stay(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "notes").write_text("mine")
    with whole_folder(tmp_path) as beside:
        (beside / "a").write_text("new")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a": "new", "notes": "mine"}


def test_what_is_there_is_not_written_over_unasked(tmp_path):
    check_free(tmp_path / "absent", overwrite=False)
    check_free(tmp_path, overwrite=False)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match="exists; name another folder, or set overwrite=true"):
        check_free(tmp_path, overwrite=False)
    check_free(tmp_path, overwrite=True)
    with pytest.raises(ValueError, match="is a file; name a folder"):
        check_free(file, overwrite=True)
