"""Ranks that are told to go name one step, whoever was told first."""

import signal
from types import SimpleNamespace

import pytest
import torch
from torch.distributed import HashStore

from ctc_lightning.training.callbacks import Preemption, preemption


class SeenBefore(HashStore):
    """What is there is not seen yet, as by a rank that looked a moment before another wrote."""

    def check(self, keys):
        return False


@pytest.fixture(autouse=True)
def _signals_are_heard_by_whoever_heard_them():
    before = {number: signal.getsignal(number) for number in preemption.SIGNALS}
    yield
    Preemption.received = None
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def two_ranks(monkeypatch):
    """A function: the callbacks of two ranks when a training starts, which share a store."""

    def start(store, every, broadcast=lambda value: 0):
        monkeypatch.setattr(preemption, "world_size", lambda: 2)
        monkeypatch.setattr(preemption, "default_store", lambda: store)
        ranks = [Preemption("checkpoints") for _ in range(2)]
        for rank in ranks:
            rank.on_train_start(trainer(0, every, broadcast), None)
        return ranks

    return start


def trainer(begun, every, broadcast=None):
    progress = SimpleNamespace(total=SimpleNamespace(ready=begun))
    return SimpleNamespace(
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
        strategy=SimpleNamespace(root_device=torch.device("cpu"), broadcast=broadcast),
        accumulate_grad_batches=every,
    )


@pytest.mark.parametrize("store", [HashStore, SeenBefore])
@pytest.mark.parametrize("every", [1, 4])
def test_ranks_told_at_once_in_different_steps_leave_at_the_same(store, every, two_ranks):
    left = []
    for rank, first in zip(two_ranks(store(), every), (7, 7 + every), strict=True):
        rank.received = signal.SIGUSR1
        left.append(
            next(step for step in range(first, 100) if rank._is_time(trainer(step + 1, every), begun=1))
        )
    assert left[0] == left[1]
    assert left[0] > 7 + every, "the other rank has begun that one"


def test_the_ranks_that_were_not_told_know_the_signal(two_ranks):
    told, other = two_ranks(HashStore(), 1)
    told.received = signal.SIGUSR2
    assert not told._is_time(trainer(4, 1), begun=1)
    del told.received
    assert [step for step in range(3, 7) if other._is_time(trainer(step + 1, 1), begun=1)] == [5, 6]
    assert other.received == signal.SIGUSR2


def test_what_ranks_agreed_on_is_not_for_those_that_are_started_again_with_their_store(two_ranks):
    store = HashStore()
    told, other = two_ranks(store, 1, broadcast=lambda now: now)
    told._store_key = other._store_key
    told.received = signal.SIGTERM
    told._is_time(trainer(4, 1), begun=1)
    assert other._is_time(trainer(6, 1), begun=1)
    again, _ = two_ranks(store, 1, broadcast=lambda now: now)
    assert not any(again._is_time(trainer(step, 1), begun=1) for step in range(1, 20))


def test_a_second_ctrl_c_ends_at_once():
    Preemption("checkpoints")._listen(SimpleNamespace(is_global_zero=True))
    signal.raise_signal(signal.SIGINT)
    assert Preemption.received == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
