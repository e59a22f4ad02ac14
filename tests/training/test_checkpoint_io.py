"""A checkpoint is whole or not there, whatever happens while it is written."""

import os
import resource
import signal

import pytest
import torch

import programs
from ctc_lightning.training.checkpoint_io import AtomicCheckpointIO

BEFORE, AFTER = {"weight": torch.zeros(4)}, {"weight": torch.ones(2_000_000)}

WRITE = """
import resource, sys, torch
from ctc_lightning.training.checkpoint_io import AtomicCheckpointIO
{prepare}
AtomicCheckpointIO().save_checkpoint({{"weight": torch.ones(2_000_000)}}, sys.argv[1])
"""
FULL_DISK = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""
KILLED = """
import os, signal
import torch.serialization as serialization
def half(obj, file):
    file.write_bytes(b"x" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)
torch.save = half
"""


def write(path, prepare):
    program = path.with_name("write.py")
    program.write_text(WRITE.format(prepare=prepare))
    ended = programs.run(str(program), path)
    program.unlink()
    return ended


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "deep" / "last.ckpt"
    for content in (BEFORE, AFTER):
        AtomicCheckpointIO().save_checkpoint(content, path)
        assert torch.equal(torch.load(path, weights_only=True)["weight"], content["weight"])
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_full_disk_leaves_the_last_good_one_and_says_so(tmp_path):
    """The system refuses to write more than 100 kB to a file."""
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(BEFORE, path)
    ended = write(path, FULL_DISK)
    assert ended.returncode == 1
    assert f"{path} cannot be written (File too large" in ended.stderr
    assert "the previous version is intact: raise the limit" in ended.stderr
    assert ended.stderr.endswith("then rerun with resume=auto.\n")
    assert torch.equal(torch.load(path, weights_only=True)["weight"], BEFORE["weight"])
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


def test_a_kill_in_the_middle_leaves_the_last_good_one(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(BEFORE, path)
    assert write(path, KILLED).returncode == -signal.SIGKILL
    assert torch.equal(torch.load(path, weights_only=True)["weight"], BEFORE["weight"])
    assert not list(tmp_path.glob("*.ckpt.*.ckpt"))
    AtomicCheckpointIO().save_checkpoint(AFTER, path)  # what the kill left is no obstacle
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_folder_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OSError, match=r"file"):
        AtomicCheckpointIO().save_checkpoint(BEFORE, blocked / "last.ckpt")
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208
