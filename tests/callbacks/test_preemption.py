"""Ranks that are told to go name one step, whoever was told first."""

import signal
from types import SimpleNamespace

import pytest
import torch
from torch.distributed import HashStore

from ctc_lightning.callbacks import Preemption, preemption


class SeenBefore(HashStore):
    """What is there is not seen yet, as by a rank that looked a moment before another wrote."""

    def check(self, keys):
        return False


def trainer(begun, every):
    progress = SimpleNamespace(total=SimpleNamespace(ready=begun))
    return SimpleNamespace(
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        accumulate_grad_batches=every,
    )


@pytest.mark.parametrize("store", [HashStore, SeenBefore])
@pytest.mark.parametrize("every", [1, 4])
def test_ranks_told_at_once_in_different_steps_leave_at_the_same(store, every, monkeypatch):
    store = store()
    monkeypatch.setattr(preemption, "world_size", lambda: 2)
    monkeypatch.setattr(preemption.dist.distributed_c10d, "_get_default_store", lambda: store)
    ranks = [Preemption("checkpoints") for _ in range(2)]
    left = []
    for rank, first in zip(ranks, (7, 7 + every), strict=True):
        rank.received = signal.SIGUSR1
        left.append(
            next(step for step in range(first, 100) if rank._is_time(trainer(step + 1, every), begun=1))
        )
    assert left[0] == left[1]
    assert left[0] > 7 + every, "the other rank has begun that one"
