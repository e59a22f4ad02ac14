"""A small finished run, trained once for all these tests, and our programs as processes."""

import os
import shutil
import subprocess
import sys
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
