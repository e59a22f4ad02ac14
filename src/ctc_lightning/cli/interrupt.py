"""Ctrl-C ends a program with one line."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CODE = 128 + signal.SIGINT
FINISHED = "what is finished is kept"


def end_on_interrupt() -> None:
    """While a program is imported, which takes seconds, Ctrl-C ends it with the line of `plain_interrupt`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup and shells may ignore it
        signal.signal(signal.SIGINT, _end)


@contextmanager
def plain_interrupt(kept: str = FINISHED) -> Iterator[None]:
    """Ctrl-C is one line and exit code 130, not a traceback; a second one ends the process at once.

    Args:
        kept: what of the program's work is.
    """
    if signal.getsignal(signal.SIGINT) in (_end, signal.default_int_handler):
        signal.signal(signal.SIGINT, _raise)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        _report(kept, f" with {interrupt}" if str(interrupt) else "")
        sys.exit(CODE)


def _raise(*_: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def _end(*_: Any) -> None:
    _report()
    os._exit(CODE)  # an exception would be one of whatever is being imported


def _report(kept: str = FINISHED, where: str = "") -> None:
    if os.environ.get("LOCAL_RANK", "0") == "0":
        sys.stderr.write(f"Interrupted: {kept}. To continue, rerun the same command{where}.\n")
