"""Ctrl-C in a sweep: its jobs save and end, wherever they run, and the sweep ends after them."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from joblib.externals.loky import reusable_executor


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
        if reusable_executor._executor is None:
            raise KeyboardInterrupt
        sys.stderr.write("Interrupted: the jobs save and end. Press Ctrl-C again to stop at once.\n")

    before = signal.signal(signal.SIGINT, note)
    Interrupt.noted, Interrupt.in_sweep = False, True
    try:
        yield
    finally:
        Interrupt.in_sweep = Interrupt.noted = False
        signal.signal(signal.SIGINT, before)


def end_if_noted(folder: str = "") -> None:
    """Start no further jobs after Ctrl-C.

    Raises:
        KeyboardInterrupt: it was pressed; with the option that continues the sweep of this folder.
    """
    if Interrupt.noted:
        raise KeyboardInterrupt(*([shlex.quote(f"hydra.sweep.dir={folder}")] if folder else []))
