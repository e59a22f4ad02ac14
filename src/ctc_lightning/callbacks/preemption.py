"""A run that is told to go: SIGTERM or SIGUSR1 saves ``last.ckpt`` between two steps and ends the process."""

import logging
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import distributed as dist

from ctc_lightning.distributed import world_size

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
_STORE_KEY = "ctc_lightning/leave_at"


class Preemption(pl.Callback):
    """Saves where no step is half done, queues the job again under SLURM, and exits with 128 + the signal.

    ``resume=auto`` goes on from there with the next batch: weights, memories, optimizer and random numbers
    are those of a run that was never stopped. One signalled rank is enough: in the process group's store it
    names a step that no rank has begun, and every rank looks there before each step, at most one step ahead
    of its GPU; no device waits for it.

    Args:
        dirpath: of ``last.ckpt``.
        requeue: whether to call ``scontrol requeue`` where SLURM runs the job.
    """

    def __init__(self, dirpath: str, *, requeue: bool = True) -> None:
        self.path = Path(dirpath) / "last.ckpt"
        self.requeue = requeue
        self.received: int | None = None
        self._leave_at: int | None = None
        self._launched: torch.cuda.Event | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen; after Lightning, which would end the process in the middle of an epoch unsaved."""
        self.received = self._leave_at = self._launched = None
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._note)
        # Under DDP it broadcasts from the device, and waits for the answer, before every batch
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def _note(self, number: int, frame: object) -> None:
        self.received = number

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch's own checkpoint has just been written."""
        if self._is_time(trainer, begun=0):
            self._leave(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The step before is complete, its keys stored; this one has not begun."""
        if not self._is_time(trainer, begun=1):
            return
        if batch_idx % trainer.accumulate_grad_batches == 0:
            loop = trainer.fit_loop.epoch_loop
            for counted in (loop.batch_progress.total, loop.batch_progress.current):
                counted.ready -= 1  # it will be fetched again
            if batch_idx == 0 and loop._should_check_val_epoch():
                loop._batches_that_stepped -= (
                    1  # Lightning counts one as it skips the last epoch's validation
                )
            trainer.save_checkpoint(self.path)
            log.info("Saved %s before batch %d of epoch %d.", self.path, batch_idx, trainer.current_epoch)
            self._leave(trainer)

    def _is_time(self, trainer: pl.Trainer, begun: int) -> bool:
        if world_size() == 1:
            return self.received is not None
        self._stay_near(trainer.strategy.root_device)
        now = trainer.fit_loop.epoch_loop.batch_progress.total.ready - begun
        if self._leave_at is None:
            store = dist.distributed_c10d._get_default_store()
            if self.received is not None:
                # Ranks meet at every optimizer step: none is further than the next one
                every = trainer.accumulate_grad_batches
                named = store.compare_set(_STORE_KEY, "", str((now // every + 2) * every))
                self._leave_at = int(named)  # the step of whoever was first
            elif store.check([_STORE_KEY]):
                self._leave_at = int(store.get(_STORE_KEY))
        return self._leave_at is not None and now >= self._leave_at

    def _stay_near(self, device: torch.device) -> None:
        """Wait for the GPU's last step but one: with it, gradients of all ranks have met.

        A process that only ever launches would be many steps ahead of others when it looks.
        """
        if device.type == "cuda":
            launched = torch.cuda.Event(blocking=True)
            launched.record(torch.cuda.current_stream(device))
            if self._launched is not None:
                self._launched.synchronize()
            self._launched = launched

    def _leave(self, trainer: pl.Trainer) -> None:
        number = self.received or signal.SIGTERM
        if trainer.is_global_zero and self.requeue and "SLURM_JOB_ID" in os.environ:
            _requeue()
        log.info("Stopped by %s; resume=auto goes on.", signal.Signals(number).name)
        raise SystemExit(128 + number)


def _requeue() -> None:
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        log.warning("Job %s was not queued again (%s): submit it once more, with resume=auto.", job, error)
    else:
        log.info("Job %s is queued again.", job)
