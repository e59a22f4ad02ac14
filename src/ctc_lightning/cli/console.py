"""What the terminal shows: this run's messages, above the progress bar, and warnings that concern it."""

import logging
import sys
import warnings

from tqdm import tqdm

_NOISE = (
    ".*LeafSpec.*",  # between Lightning and torch
    ".*`broadcast_buffers` is deprecated.*",  # its successor is younger than the oldest torch that we support
    ".*module\\(s\\) in eval mode.*",  # a frozen key encoder is meant to be
    ".*does not have many workers.*",  # images are in memory
    ".*recommended to use `self.log.*sync_dist.*",  # epoch means are of rank 0: no step waits for the others
    ".*dataloader is not resumable.*",  # its sampler is
    ".*smaller than the logging interval.*",  # short epochs: their means are logged
    ".*[Dd]irectory .* exists and is not empty.*",  # a resumed run's own
)


class _AboveProgressBar(logging.Handler):
    """Makes tqdm's bar step aside; Rich's takes what goes to the standard output of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)


def set_up_console() -> None:
    """Show our own messages and everybody's warnings, but for those that everybody gets."""
    logging.basicConfig(format="%(message)s", handlers=[_AboveProgressBar()])
    logging.getLogger("ctc_lightning").setLevel(logging.INFO)
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    for message in _NOISE:
        warnings.filterwarnings("ignore", message)
