"""Locks between processes, released when their holder ends, however it ends."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def locked(path: Path | str, patience: float = -1) -> Iterator[None]:
    """Hold the lock of a path; on a file system without locks, only warn.

    Args:
        path: of the lock, in a folder that exists.
        patience: seconds to wait for another process; -1: any number.

    Raises:
        Timeout: another process holds it.
        OSError: the file cannot be made.
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=patience)
    except OSError as error:
        if isinstance(error, Timeout) or error.errno not in _NO_LOCKS:
            raise
        _warn(Path(path).parent, error.strerror)
    try:
        yield
    finally:
        lock.release()


@cache  # once for a folder
def _warn(folder: Path, reason: str) -> None:
    log.warning(
        "%s has no file locks (%s): run one process at a time that trains, measures or caches there.",
        folder,
        reason,
    )
