"""Loader processes: how batches come back from them, and how the end of one of them is reported."""

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from weakref import WeakSet

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where Linux keeps it; containers often have 64 MB
SILENCE = 600.0  # seconds

_SMALL = 2**16  # bytes; cheaper through a pipe than as a file
_END = object()
_OF_THE_JOB = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_started: WeakSet[BaseProcess] = WeakSet()


class WorkerLoader(DataLoader[Any]):
    """A `DataLoader` that reports why its worker processes fail, instead of waiting for them.

    They start with the first batch: a resumed run tells the sampler its epoch after ``iter``. A signal to the
    whole job, as Ctrl-C is, does not reach them: a training needs batches until it has saved.

    Args:
        dataset: as for `DataLoader`.
        num_workers: processes; 0 loads in this one.
        silence: seconds without a batch after which the processes are stuck; None: no limit.
        **options: of `DataLoader`.

    Raises:
        ValueError: while iterating; a worker was killed or ended, none has sent a batch for too long, or they
            cannot be started.
    """

    def __init__(
        self, dataset: Any, *, num_workers: int, silence: float | None = SILENCE, **options: Any
    ) -> None:
        # A loader draws a seed for its workers: not from the global generator
        super().__init__(dataset, num_workers=num_workers, generator=torch.Generator(), **options)
        self.silence = silence
        self.workers: list[BaseProcess] = []
        self._is_silent = False

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # less than torch promises
        if self.num_workers == 0:
            yield from super().__iter__()
            return
        with self._failures():
            batches = self._start()
        while True:
            with self._failures():
                batch = next(batches, _END)
            if batch is _END:
                return
            yield batch

    def _start(self) -> Iterator[Any]:
        """Start the workers, or let those of the last epoch start the next one."""
        before = multiprocessing.active_children()
        handler = signal.getsignal(signal.SIGCHLD)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_JOB)  # inherited
        try:
            batches = super().__iter__()
        except OSError as error:
            raise ValueError(
                f"{self.num_workers} loader processes cannot be started ({error.strerror or error}): lower "
                f"data.num_workers, 0 needs none, or free memory and {SHARED_MEMORY}."
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # torch's handler raises wherever the program happens to be, for instance within a checkpoint
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)
        self.workers = [c for c in multiprocessing.active_children() if c not in before] or self.workers
        _started.update(self.workers)
        return batches

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn torch's errors about dead workers into one sentence, after at most `silence` seconds."""
        arrived = threading.Event()
        if self.workers:  # not before they start: threads and forking do not mix
            threading.Thread(target=self._watch, args=(arrived,), daemon=True).start()
        try:
            yield
        except RuntimeError as error:
            dead = [worker for worker in self.workers if not worker.is_alive()]
            if not dead:
                raise
            for worker in self.workers:
                worker.kill()
            raise ValueError(self._reason(dead[0])) from error
        finally:
            arrived.set()

    def _watch(self, arrived: threading.Event) -> None:
        """Kill silent workers, which torch then notices."""
        waited = 0.0
        while self.silence is None or waited < self.silence:
            if arrived.wait(1.0):
                return
            waited += 1.0  # not by the clock: the whole job may have been suspended
        if all(worker.is_alive() for worker in self.workers):  # torch notices dead ones by itself
            self._is_silent = True
            for worker in self.workers:
                worker.kill()

    def _reason(self, worker: BaseProcess) -> str:
        if self._is_silent:
            return (
                f"The {self.num_workers} loader processes sent no batch for {self.silence} seconds: check "
                "the disk or network that the images are on, or raise data.worker_timeout."
            )
        code = worker.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        why = {
            -signal.SIGKILL: ", as happens when memory runs out: lower data.num_workers or data.batch_size, "
            "or give the job more memory.",
            -signal.SIGBUS: f", as happens when {SHARED_MEMORY} is full: give it more space (docker run "
            "--shm-size=1g), or set data.num_workers=0.",
        }.get(code, ": set data.num_workers=0 to see its error.")
        return f"Loader process {worker.pid} {how}{why}"


@atexit.register
def _end_workers() -> None:
    """Kill what is left: Python would wait for workers that ignore its SIGTERM."""
    for worker in _started:
        worker.kill()


class ByValue:
    """A tensor that is pickled with its values, not as a file in shared memory; unpickled, it is a tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __reduce__(self) -> tuple[Any, ...]:
        stride = self.tensor.stride()
        order = sorted(range(len(stride)), key=lambda axis: -stride[axis])
        return _to_tensor, (self.tensor.permute(order).numpy(), order)


def _to_tensor(array: NDArray[Any], order: list[int]) -> Tensor:
    return torch.from_numpy(array).permute([order.index(axis) for axis in range(len(order))])


def ship(batch: Any) -> Any:
    """Make a named tuple ready to leave a worker: the ``collate_fn`` of a loader of whole batches.

    Large tensors move to shared memory where they take at most half of what is free; the rest goes through
    the worker's pipe. Left to torch, a batch that finds no room is lost, and training waits for it for ever.
    """
    if get_worker_info() is None:
        return batch
    return type(batch)(*(_shipped(part) if isinstance(part, Tensor) else part for part in batch))


def _shipped(tensor: Tensor) -> Tensor | ByValue:
    free = free_shared_memory()
    if tensor.nbytes < _SMALL or (free is not None and 2 * tensor.nbytes > free):
        return ByValue(tensor)
    try:
        return tensor.share_memory_()
    except RuntimeError:  # another process was faster
        return ByValue(tensor)


def shortage(num_batches: int, batch_bytes: int) -> str | None:
    """What is lacking to so many batches in shared memory, and the remedy; None where they fit."""
    free = free_shared_memory()
    needed = (num_batches + 1) * batch_bytes  # `ship` leaves as much free as the last one takes
    if free is None or needed <= free:
        return None
    return (
        f"{SHARED_MEMORY} has {free >> 20} MB free, and the {num_batches} batches that loader processes "
        f"prepare need {(needed >> 20) + 1} MB: those that do not fit are copied, which is slower. Give it "
        f"more space (docker run --shm-size={(needed >> 19) + 1}m), or lower data.num_workers or "
        "data.prefetch_factor."
    )


def free_shared_memory() -> int | None:
    """Bytes; None where the system does not say."""
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
