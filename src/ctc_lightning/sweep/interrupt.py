"""Ctrl-C in a sweep: its jobs save and end, wherever they run, and the sweep ends after them."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from joblib.externals.loky import reusable_executor
from joblib.externals.loky.process_executor import ProcessPoolExecutor

_NOTE = "CTC_LIGHTNING_INTERRUPTED"  # in the environment: a file that is there once the sweep is interrupted


class Interrupt:
    """Whether this process was interrupted, and whether it is the sweep's own or one of its jobs'."""

    noted = False
    in_sweep = False


@contextmanager
def wait_for_jobs() -> Iterator[None]:
    """While joblib's processes train, which get the signal too, the first Ctrl-C waits for them to save.

    Raises:
        KeyboardInterrupt: once the jobs have ended, at a second Ctrl-C, or where there are no such processes.
    """

    def note(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        Interrupt.noted = True
        Path(os.environ[_NOTE]).touch()
        if reusable_executor._executor is None:
            raise KeyboardInterrupt
        sys.stderr.write("Interrupted: the jobs save and end. Press Ctrl-C again to stop at once.\n")

    def start_processes(executor: ProcessPoolExecutor) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        with _handled_by(signal.SIG_IGN) if in_main else nullcontext():  # they inherit it
            adjust_process_count(executor)

    adjust_process_count = ProcessPoolExecutor._adjust_process_count
    with TemporaryDirectory() as folder, _handled_by(note):
        os.environ[_NOTE] = f"{folder}/interrupted"
        ProcessPoolExecutor._adjust_process_count = start_processes
        Interrupt.noted, Interrupt.in_sweep = False, True
        try:
            yield
        finally:
            Interrupt.in_sweep = Interrupt.noted = False
            ProcessPoolExecutor._adjust_process_count = adjust_process_count
            del os.environ[_NOTE]


@contextmanager
def heard_in_job() -> Iterator[None]:
    """In joblib's processes, which ignore Ctrl-C while they import, the job hears it.

    Raises:
        KeyboardInterrupt: it was pressed before.
    """
    if _NOTE not in os.environ or Interrupt.in_sweep:
        yield
        return
    with _handled_by(signal.default_int_handler):
        if Path(os.environ[_NOTE]).exists():
            raise KeyboardInterrupt
        yield


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def end_if_noted(folder: str) -> Iterator[None]:
    """Around a batch of jobs: after Ctrl-C no further one starts.

    Raises:
        KeyboardInterrupt: it was pressed; with the option that continues the sweep of this folder.
    """
    try:
        yield
    except KeyboardInterrupt:
        Interrupt.noted = True
    except BrokenExecutor:  # a second Ctrl-C ends joblib's processes
        if not Interrupt.noted:
            raise
    if Interrupt.noted:
        raise KeyboardInterrupt(shlex.quote(f"hydra.sweep.dir={folder}"))
