"""Hydra's sweep over all combinations, with an account of its failures at the end."""

import logging
import shlex
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn, JobStatus

from ctc_lightning.cli.console import set_up_console
from ctc_lightning.sweep.failures import failed, refuse_failed
from ctc_lightning.sweep.interrupt import end_if_noted
from ctc_lightning.sweep.job import refuse_ranks

log = logging.getLogger(__name__)

AGAIN = "The same command with {folder} tries them again, and leaves alone what is finished."


class GridSweeper(BasicSweeper):
    """``-m a=1,2 b=3,4``: four jobs, of which each runs whatever happens to the others.

    Args:
        max_batch_size: jobs given to the launcher at once; None: all.
        params: what is swept, beside the command line.
    """

    def __init__(self, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        super().__init__(max_batch_size, params)

    def sweep(self, arguments: list[str]) -> Any:
        """Run all jobs.

        Raises:
            ValueError: this is one of several ranks.
            SweepError: some failed; all others are finished.
        """
        set_up_console()
        refuse_ranks()
        assert self.config is not None
        launcher: Any = self.launcher
        folder = self.config.hydra.sweep.dir
        launch, jobs = launcher.launch, list[JobReturn]()

        def launch_and_note(batch: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
            with end_if_noted(folder):
                returned = launch(batch, initial_job_idx=initial_job_idx)
            jobs.extend(returned)
            return [job for job in returned if job.status == JobStatus.COMPLETED]  # Hydra stops at others

        launcher.launch = launch_and_note
        try:
            returned = super().sweep(arguments)
        finally:
            launcher.launch = launch
        refuse_failed(
            failed(jobs), len(jobs), folder, AGAIN.format(folder=shlex.quote(f"hydra.sweep.dir={folder}"))
        )
        log.info(
            "All %d jobs are finished; python -m ctc_lightning.report %s", len(jobs), shlex.quote(folder)
        )
        return returned
