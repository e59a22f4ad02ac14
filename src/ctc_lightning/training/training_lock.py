"""One training at a time in a run directory: a lock that is released however the training ends."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

_NAME = "training.lock"
_PATIENCE = 10.0  # seconds: the loader workers of a killed training hold its lock for up to 5


@contextmanager
def training_lock(run_dir: Path, *, needed: bool = True) -> Iterator[None]:
    """Hold the lock of a run directory; on a file system without locks go on with a warning.

    Args:
        run_dir: the run's directory.
        needed: False on ranks other than 0.

    Raises:
        ValueError: another training holds it.
    """
    if not needed:
        yield
        return
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir / _NAME)
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout as error:
        raise ValueError(
            f"{run_dir} is in use by another training; wait until it ends, or choose another directory by "
            "hydra.run.dir=RUN_DIR."
        ) from error
    except (OSError, NotImplementedError) as error:
        log.warning(
            "%s cannot be locked (%s): make sure that no other training uses it.", run_dir / _NAME, error
        )
    try:
        yield
    finally:
        lock.release()


def is_in_training(run_dir: Path) -> bool:
    """Whether a training holds the lock of the run directory now; False on a file system without locks."""
    path = run_dir / _NAME
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
