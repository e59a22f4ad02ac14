"""Which jobs of a sweep failed, and why."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus


class JobError(Exception):
    """A job's failure as one sentence: what comes back whole from a sweep's other processes."""


class SweepError(Exception):
    """The sweep is over, and some of its jobs failed."""


def failed(jobs: Sequence[JobReturn]) -> dict[str, str]:
    """What sets each failed job apart from all others -> why it failed."""
    common = set.intersection(*(set(job.overrides or ()) for job in jobs)) if len(jobs) > 1 else set()
    reasons = {}
    for number, job in enumerate(jobs):
        if job.status == JobStatus.FAILED:
            own = [text for text in job.overrides or () if text not in common]
            reasons[" ".join(own) or f"job {number}"] = str(job._return_value)
    return reasons


def refuse_failed(reasons: dict[str, str], num_jobs: int, sweep_dir: str | Path, remedy: str) -> None:
    """End the sweep with a list of the failures, if there are any.

    Raises:
        SweepError: there are.
    """
    if reasons:
        lines = [f"  {name}: {reason}" for name, reason in reasons.items()]
        raise SweepError(
            "\n".join(
                [
                    f"{len(reasons)} of {num_jobs} jobs failed in {sweep_dir}:",
                    *lines,
                    remedy,
                ]
            )
        )
