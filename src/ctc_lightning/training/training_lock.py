"""One training at a time in a run directory: a lock that is released however the training ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout

from ctc_lightning.files.locks import locked

_NAME = "training.lock"
_PATIENCE = 10.0  # seconds: the loader workers of a killed training hold its lock for up to 5


@contextmanager
def training_lock(run_dir: Path, *, needed: bool = True) -> Iterator[None]:
    """Hold the lock of a run directory; see `locked` for file systems without locks.

    Args:
        run_dir: the run's directory.
        needed: False on ranks other than 0.

    Raises:
        ValueError: another training holds it.
    """
    with ExitStack() as stack:
        if needed:
            run_dir.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(locked(run_dir / _NAME, _PATIENCE))
            except Timeout as error:
                raise ValueError(
                    f"{run_dir} is in use by another training; wait until it ends, or choose another "
                    "directory by hydra.run.dir=RUN_DIR."
                ) from error
        yield


def is_in_training(run_dir: Path) -> bool:
    """Whether a training holds the lock of the run directory now; False on a file system without locks."""
    path = run_dir / _NAME
    if not path.exists():
        return False
    try:
        with locked(path, patience=0):
            return False
    except Timeout:
        return True
