"""A small finished run, trained once for all these tests, and a broken disk."""

import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest

import programs

SMALL = ["experiment=digits_ce", "data.num_train=200", "data.num_val=60", "data.num_test=100"]
QUIET = ["trainer.max_epochs=3", "trainer.enable_progress_bar=false", "callbacks.transfer_probe=null"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "ce"
    done = programs.run("train", *SMALL, *QUIET, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run_dir(trained, tmp_path):
    """A copy of one's own of the run: checkpoints of epochs 0, 1, 2 and 3; nothing measured."""
    return shutil.copytree(trained, tmp_path / "ce")


@contextmanager
def limited(num_bytes):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def file_size_limit():
    """``with file_size_limit(1000):`` the system refuses to write more to a file, as a full disk does."""
    return limited


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk of its own that has room for 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
