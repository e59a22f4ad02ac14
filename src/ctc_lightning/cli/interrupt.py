"""Ctrl-C ends a program with one line."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_interrupt() -> Iterator[None]:
    """Ctrl-C is one line and exit code 130, not a traceback."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        where = f" with {interrupt}" if str(interrupt) else ""
        sys.stderr.write(
            f"Interrupted: what is finished is kept. To continue, rerun the same command{where}.\n"
        )
        sys.exit(128 + signal.SIGINT)
