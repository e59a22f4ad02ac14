"""A small finished run, trained once for all these tests, our programs as processes, and a broken disk."""

import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

SMALL = ["experiment=digits_ce", "data.num_train=200", "data.num_val=60", "data.num_test=100"]
QUIET = ["trainer.max_epochs=3", "trainer.enable_progress_bar=false", "callbacks.transfer_probe=null"]


def start(module, *arguments, cwd):
    """Start one of our programs."""
    return subprocess.Popen(
        [sys.executable, "-m", f"ctc_lightning.{module}", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(module, *arguments, cwd):
    """Run it to its end."""
    process = start(module, *arguments, cwd=cwd)
    out, err = process.communicate(timeout=300)
    return SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err)


@pytest.fixture(scope="session")
def program():
    return SimpleNamespace(start=start, run=run)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "ce"
    done = run("train", *SMALL, *QUIET, f"hydra.run.dir={folder}", cwd=folder.parent)
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
