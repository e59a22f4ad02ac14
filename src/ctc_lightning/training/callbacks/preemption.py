"""Preemption: on a signal, Ctrl-C included, save ``last.ckpt`` between two steps and exit."""

import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from ctc_lightning.distributed import world_size
from ctc_lightning.training.private_names import (
    default_store,
    last_saved_step,
    stop_broadcasting_sigterm,
    uncount_skipped_validation,
)

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)  # the last one is submitit's


class Preemption(pl.Callback):
    """Saves where no step is half done, queues the job again under SLURM, and exits with 128 + the signal.

    ``resume=auto`` goes on from there with the next batch: weights, memories, optimizer and random numbers
    are those of a run that was never stopped. One signalled rank is enough: in the process group's store it
    names a step that no rank has begun, and every rank looks there before each step, at most one step ahead
    of its GPU; no device waits for it.

    Args:
        dirpath: of ``last.ckpt``.
        requeue: whether to call ``scontrol requeue`` where SLURM runs the job. Submitit queues its jobs again
            by itself, in its own handler of SIGUSR2, which is called once all is saved.
    """

    received: ClassVar[int | None] = None  # signals are the process's, not a trainer's

    def __init__(self, dirpath: str, *, requeue: bool = True) -> None:
        self.path = Path(dirpath).resolve() / "last.ckpt"
        self.requeue = requeue
        self._leave_at: int | None = None
        self._resumed_at: int | None = None
        self._launched: torch.cuda.Event | None = None
        self._at_once = False
        self._of_submitit: Any = None

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember what this run's ``last.ckpt`` holds, if it is resumed from there."""
        if trainer.ckpt_path is not None and Path(trainer.ckpt_path).resolve() == self.path:
            self._resumed_at = checkpoint["global_step"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen; after Lightning, which would end the process in the middle of an epoch unsaved."""
        Preemption.received = self._leave_at = self._launched = None
        # The store outlives ranks that torchrun starts again: what they leave there is not for others
        self._store_key = f"ctc_lightning/leave_at/{trainer.strategy.broadcast(time.time_ns())}"
        self._listen(trainer)
        stop_broadcasting_sigterm(trainer)

    def _listen(self, trainer: pl.Trainer) -> dict[int, Any]:
        """Hear signals from now on; returns who heard them before."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
        if getattr(before[signal.SIGUSR2], "func", None) != self._note:
            self._of_submitit = before[signal.SIGUSR2]
        for number in SIGNALS:
            signal.signal(number, partial(self._note, trainer))
        return before

    def _note(self, trainer: pl.Trainer, number: int, _: Any) -> None:
        Preemption.received = number
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            if trainer.is_global_zero:
                log.info("Ctrl-C: saving after this step. Press it again to stop at once.")
        if self._at_once:
            self.leave_if_told(trainer)

    @contextmanager
    def at_once(self, trainer: pl.Trainer) -> Iterator[None]:
        """Inside, if the training is saved as it is, a signal ends rank 0 at once.

        Whoever started the ranks ends the others: `strategy.DDP`, torchrun, ``srun --kill-on-bad-exit``.
        """
        before = self._listen(trainer)  # Lightning stops listening when the last epoch is over
        self._at_once = trainer.global_step == 0 or self._is_saved(trainer)
        try:
            if self._at_once:
                self.leave_if_told(trainer)
            yield
        finally:
            self._at_once = False
            for number, handler in before.items():
                if handler is not None:  # one that Python did not install, and cannot
                    signal.signal(number, handler)

    def leave_if_told(self, trainer: pl.Trainer) -> None:
        """End rank 0 here, if it has got a signal."""
        if self.received is not None and trainer.is_global_zero:
            self._leave(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave before a stage begins, if the epoch's own checkpoint has just been written."""
        if self._is_saved(trainer) and self._is_time(trainer, begun=0):
            self._leave(trainer, together=True)

    def _is_saved(self, trainer: pl.Trainer) -> bool:
        return trainer.global_step == self._resumed_at or any(
            last_saved_step(saved) == trainer.global_step and Path(saved.best_model_path) == self.path
            for saved in trainer.checkpoint_callbacks
            if isinstance(saved, pl.callbacks.ModelCheckpoint)
        )

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
            if batch_idx == 0:
                uncount_skipped_validation(loop)
            trainer.save_checkpoint(self.path)
            self._leave(trainer, f" before batch {batch_idx} of epoch {trainer.current_epoch}", together=True)

    def _is_time(self, trainer: pl.Trainer, begun: int) -> bool:
        if world_size() == 1:
            return self.received is not None
        self._stay_near(trainer.strategy.root_device)
        now = trainer.fit_loop.epoch_loop.batch_progress.total.ready - begun
        if self._leave_at is None:
            store, named = default_store(), None
            if self.received is not None:
                # Ranks meet at every optimizer step: none is further than the next one
                every = trainer.accumulate_grad_batches
                named = store.compare_set(
                    self._store_key, "", f"{(now // every + 2) * every} {int(self.received)}"
                )
            elif store.check([self._store_key]):
                named = store.get(self._store_key)
            if named is not None:
                self._leave_at, Preemption.received = map(int, named.split())  # by whoever was first
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

    def _leave(self, trainer: pl.Trainer, where: str = "", *, together: bool = False) -> None:
        """Queue the job again and end; ``together``: with all ranks, of which none ends before that."""
        number, Preemption.received, self._at_once = self.received, None, False
        assert number is not None
        if trainer.is_global_zero:
            name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            saved = f"saved {self.path}{where}" if self.path.is_file() else "nothing to save yet"
            log.info("Stopped by %s: %s. To resume: %s", name, saved, self._command())
        try:
            if number == signal.SIGUSR2 and callable(self._of_submitit):
                self._of_submitit(number, None)
            elif trainer.is_global_zero and self.requeue and "SLURM_JOB_ID" in os.environ:
                _requeue()
        finally:
            if together:
                trainer.strategy.barrier()
        raise SystemExit(128 + number)

    def _command(self) -> str:
        """The command line that resumes this run; of a sweep, all its runs."""
        given = [word for word in sys.argv[1:] if not word.startswith(("resume=", "hydra.run.dir="))]
        if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
            again = shlex.quote(f"hydra.sweep.dir={HydraConfig.get().sweep.dir}")
            return f"rerun the sweep's command with {again}"
        where = f"hydra.run.dir={self.path.parent.parent}"
        return shlex.join(["python", "-m", "ctc_lightning.train", *given, where, "resume=auto"])

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Ctrl-C before the first step or in a validation: exit code 130, where Lightning's is 1."""
        if isinstance(exception, KeyboardInterrupt):
            Preemption.received = signal.SIGINT
            self._leave(trainer)


@contextmanager
def interruptible(trainer: pl.Trainer) -> Iterator[None]:
    """For work that may be done again: a signal ends it at once, not after it."""
    with ExitStack() as stack:
        for preemption in _preemptions(trainer):
            stack.enter_context(preemption.at_once(trainer))
        yield


def leave_if_told(trainer: pl.Trainer) -> None:
    """A signal after the last step has found nothing more to save; but no other training shall begin."""
    for preemption in _preemptions(trainer):
        preemption.leave_if_told(trainer)


def _preemptions(trainer: pl.Trainer) -> list[Preemption]:
    return [callback for callback in trainer.callbacks if isinstance(callback, Preemption)]  # type: ignore[attr-defined]


def _requeue() -> None:
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        log.warning("Job %s was not queued again (%s): submit it once more, with resume=auto.", job, error)
    else:
        log.info("Job %s is queued again.", job)
