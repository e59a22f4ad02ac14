"""Loader processes: batches arrive whatever shared memory there is, and a process that fails is reported."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from ctc_lightning.data import workers
from ctc_lightning.data.workers import WorkerLoader, ship, shortage

NUM = 6
SIZE = 200  # 3 x 200 x 200 pixels are more than `ship` sends through a pipe by itself


class Sent(NamedTuple):
    image: torch.Tensor
    label: torch.Tensor
    worker: int


class Batches(torch.utils.data.Dataset):
    """Two images of noise a batch; a batch's number may be one at which its worker does something."""

    def __init__(self, at=-1, then=None):
        self.at, self.then = at, then

    def __len__(self):
        return NUM

    def __getitem__(self, row):
        if row == self.at:
            self.then()
        noise = torch.randint(0, 256, (2, SIZE, SIZE, 3), generator=torch.manual_seed(row), dtype=torch.uint8)
        return Sent(noise.permute(0, 3, 1, 2), torch.tensor([row, row]), os.getpid())


def load(dataset=None, **options):
    return WorkerLoader(dataset or Batches(), **{"batch_size": None, "collate_fn": ship, **options})


def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)


def stop_oneself():
    os.kill(os.getpid(), signal.SIGSTOP)


def leave():
    os._exit(3)


def refuse(tensor):
    raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")


@pytest.fixture(params=["room", "no room", "room that vanishes"])
def is_shared(request, monkeypatch):
    """Whether shared memory holds a batch."""
    free = 0 if request.param == "no room" else 2**30
    monkeypatch.setattr(workers, "free_shared_memory", lambda: free)
    if request.param == "room that vanishes":
        monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    return request.param == "room"


@pytest.mark.parametrize("persistent", [True, False])
def test_every_batch_arrives_whole_in_shared_memory_or_not(is_shared, persistent):
    expected = list(load(num_workers=0))
    loader = load(num_workers=2, persistent_workers=persistent)
    for _ in range(2):
        for sent, own in zip(loader, expected, strict=True):
            assert torch.equal(sent.image, own.image)
            assert torch.equal(sent.label, own.label)
            assert sent.image.is_contiguous(memory_format=torch.channels_last)
            assert sent.image.is_shared() == is_shared
            assert not sent.label.is_shared()
            assert sent.worker != os.getpid()


def test_a_batch_takes_at_most_half_of_what_is_free(monkeypatch):
    num_bytes = 2 * 3 * SIZE * SIZE
    for free, is_shared in ((2 * num_bytes, True), (2 * num_bytes - 1, False), (None, True)):
        monkeypatch.setattr(workers, "free_shared_memory", lambda free=free: free)
        assert next(iter(load(num_workers=1))).image.is_shared() == is_shared


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (kill_oneself, ("was killed by SIGKILL", "memory runs out", "data.num_workers", "data.batch_size")),
        (leave, ("ended with exit code 3", "data.num_workers=0")),
        (stop_oneself, ("sent no batch for 2 seconds", "data.worker_timeout")),
    ],
)
def test_a_worker_that_dies_or_is_silent_ends_the_loading_with_the_reason(then, words, one_sentence):
    before = set(multiprocessing.active_children())
    began = time.monotonic()
    seen = []
    with pytest.raises(ValueError, match="process") as error:
        seen.extend(load(Batches(at=3, then=then), num_workers=2, persistent_workers=True, silence=2))
    one_sentence(error, *words)
    assert time.monotonic() - began < 30
    for left in set(multiprocessing.active_children()) - before:
        left.join(10)
        assert not left.is_alive(), "it would keep the program from ending"


def test_an_error_of_a_worker_s_own_stays_what_it_is():
    with pytest.raises(RuntimeError, match="unable to allocate"):
        list(load(Batches(at=3, then=lambda: refuse(None)), num_workers=1))


def test_what_hears_of_ended_children_is_left_as_it_is():
    before = signal.getsignal(signal.SIGCHLD)
    next(iter(load(num_workers=1)))
    assert signal.getsignal(signal.SIGCHLD) == before


def test_workers_that_cannot_be_started_are_one_sentence(monkeypatch, one_sentence):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.multiprocessing, "Queue", full)
    with pytest.raises(ValueError, match="cannot be started") as error:
        list(load(num_workers=2))
    one_sentence(error, "2 loader processes", "No space left on device", "data.num_workers")


def test_a_shortage_is_said_with_need_and_remedy(monkeypatch):
    monkeypatch.setattr(workers, "free_shared_memory", lambda: 64 * 2**20)
    assert shortage(3, 16 * 2**20) is None
    text = shortage(8, 16 * 2**20)
    assert "has 64 MB free" in text
    assert "8 batches" in text
    assert "need 145 MB" in text
    assert "--shm-size=289m" in text


def test_without_a_known_folder_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "SHARED_MEMORY", tmp_path / "nowhere")
    assert workers.free_shared_memory() is None
    assert shortage(1000, 2**40) is None


PROGRAM = """
import sys
from tests.data.test_workers import load
loader = load(num_workers=1, persistent_workers=True)
next(iter(loader))
sys.exit(2)
"""


def run_here(*command):
    return subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
def test_a_program_does_not_wait_for_workers_that_outlive_signals():
    """As when training stops with an error while the validation's workers are there."""
    done = run_here(sys.executable, "-c", PROGRAM)
    assert (done.returncode, done.stderr) == (2, "")


IN_A_CONTAINER = ["unshare", "--map-root-user", "--mount", "bash", "-c"]
SMALL_MEMORY = """mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$0" -c '
from tests.data.test_workers import load
print([sent.label[0].item() for sent in load(num_workers=2, prefetch_factor=3)])'"""


def may_unshare():
    return (
        shutil.which("unshare")
        and not subprocess.run(
            [*IN_A_CONTAINER, "mount -t tmpfs tmpfs /dev/shm"], capture_output=True, check=False
        ).returncode
    )


@pytest.mark.slow
@pytest.mark.skipif(not may_unshare(), reason="this system lets nobody mount a small /dev/shm")
def test_a_container_s_shared_memory_may_be_too_small_for_the_batches():
    """Six batches of 240 kB in 1 MB, where torch loses some and waits for ever."""
    done = run_here(*IN_A_CONTAINER, SMALL_MEMORY, sys.executable)
    assert done.stdout.strip() == str(list(range(NUM))), done.stderr
