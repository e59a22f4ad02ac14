"""Several processes that end together: none waits for one that has failed."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy

from ctc_lightning.training.private_names import SubprocessLauncher, set_num_threads_if_needed

log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds for rank 0 to end by itself, and to say why, when another rank has failed


class DDP(DDPStrategy):
    """Lightning's strategy; a checkpoint that cannot be written, and an error of rank 0's, end all ranks.

    Args and errors as for ``pytorch_lightning.strategies.DDPStrategy``.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any | None = None
    ) -> None:
        """Rank 0 writes; what keeps it from that is known to all before they meet.

        Raises:
            OSError: on every rank.
        """
        failure = None
        try:
            super().save_checkpoint(checkpoint, filepath, storage_options)
        except OSError as error:
            failure = error
        reason = self.broadcast(failure and str(failure))
        if reason is not None:
            raise OSError(reason) from failure

    def _configure_launcher(self) -> None:
        super()._configure_launcher()
        if isinstance(self._launcher, SubprocessLauncher):
            self._launcher = Launcher(self.cluster_environment, self.num_processes, self.num_nodes)  # type: ignore[arg-type]


class Launcher(SubprocessLauncher):
    """Starts the further ranks of this machine, where nothing else has.

    When rank 0 fails the others are killed at once: Lightning leaves them waiting for it. When another one
    fails rank 0 has some seconds to end by itself: Lightning kills it, and a sweep with it, even if it was
    about to end for the same reason.
    """

    def launch(
        self, function: Callable[..., Any], *args: Any, trainer: pl.Trainer | None = None, **kwargs: Any
    ) -> Any:
        """Call the function on this rank, with the others beside it."""
        if not self.procs:
            if self.cluster_environment.creates_processes_externally:
                return super().launch(function, *args, trainer=trainer, **kwargs)
            self.cluster_environment.validate_settings(
                num_devices=self.num_processes, num_nodes=self.num_nodes
            )
            self._call_children_scripts()
            self._has_failed = threading.Event()
            threading.Thread(target=self._watch, daemon=True).start()
            set_num_threads_if_needed(num_processes=self.num_processes)
        try:
            return function(*args, **kwargs)
        except BaseException:
            self._has_failed.set()
            self.kill(signal.SIGKILL)
            raise

    def _watch(self) -> None:
        while not self._has_failed.wait(1.0):
            codes = [process.poll() for process in self.procs]
            if any(codes) and not self._has_failed.wait(_PATIENCE):
                log.error(
                    "A process of this training ended with %s; all are ended.", next(filter(None, codes))
                )
                self.kill(signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            if all(code == 0 for code in codes):
                return
