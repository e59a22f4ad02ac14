"""The commit of the checkout that the package runs from."""

import subprocess
from pathlib import Path

import pytest

from ctc_lightning.files import git_commit


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with the package's file at its usual place, as the place the package runs from."""
    file = tmp_path / "src" / "ctc_lightning" / "files" / "git_commit.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(git_commit, "__file__", str(file))
    head = ["git", "rev-parse", "--short", "HEAD"]
    return tmp_path, subprocess.run(
        head, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_commit_of_a_clean_and_of_a_changed_checkout(checkout):
    folder, commit = checkout
    assert git_commit.git_commit() == commit
    folder.joinpath("src", "new.py").write_text("")
    assert git_commit.git_commit() == f"{commit}+changes"


def test_the_commit_of_somebody_elses_repository_is_not_ours(checkout, monkeypatch):
    folder, _ = checkout
    installed = folder / "venv" / "lib" / "ctc_lightning" / "files" / "git_commit.py"
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr(git_commit, "__file__", str(installed))
    assert git_commit.git_commit() is None


def test_without_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(git_commit, "__file__", str(Path(tmp_path, "a", "b", "git_commit.py")))
    assert git_commit.git_commit() is None
    tmp_path.joinpath("a", "b").mkdir(parents=True)
    assert git_commit.git_commit() is None
