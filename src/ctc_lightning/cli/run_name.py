"""A run's name, the same on all ranks and when it is started again: what conf/train.yaml calls for it."""

import os
import re
import sys
import time
from datetime import timedelta
from hashlib import blake2b

_STEPS_OF_JOBS = 2**32 - 16  # SLURM's numbers from here on are no step's: shells and batch scripts
_STORE_KEY = "ctc_lightning/started"
_NOT_IN_NAMES = re.compile(r"""[/\\'"\x00-\x1f]+""")
_MAX_BYTES = 200  # of a file's name; systems allow 255


def started(pattern: str) -> str:
    """A name for the run by when it was started, the same on all ranks although none talks to others yet.

    In a job of SLURM's ``slurm_JOB_STEP_COMMAND``, which stays when the job is queued again: STEP is srun's
    number, ``batch`` in a batch script without srun; COMMAND is a digest of the command line, for scripts
    that train several times. Under torchrun the time of the first rank that asks, kept by torchrun's own
    store, so that it stays when torchrun starts its ranks again. Otherwise, and in a shell within a job,
    where a command may come again, the time now: ranks that Lightning starts are told the directory.

    Args:
        pattern: of the time, as for `time.strftime`.
    """
    if step := _slurm_step():
        command = blake2b(repr(sys.argv[1:]).encode(), digest_size=3).hexdigest()
        return f"slurm_{os.environ['SLURM_JOB_ID']}_{step}_{command}"
    now = time.strftime(pattern)
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return now
    from torch import distributed as dist  # noqa: PLC0415  # --help does not need it

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(host, port, is_master=False, timeout=timedelta(minutes=5))
    return store.compare_set(_STORE_KEY, "", now).decode()


def short(name: str) -> str:
    """One folder's name, at most 200 bytes; quotes and ``/`` become ``_``; a changed one ends in a digest."""
    plain = _NOT_IN_NAMES.sub("_", name)
    if plain == name and len(name.encode()) <= _MAX_BYTES:
        return name
    digest = blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{plain.encode()[: _MAX_BYTES - 9].decode(errors='ignore')}_{digest}"


def _slurm_step() -> str | None:
    """What of a SLURM job this process belongs to; None in a shell, or without a job."""
    in_shell = "SLURM_PTY_PORT" in os.environ or os.isatty(0)  # srun --pty; a terminal of a server in the job
    if "SLURM_JOB_ID" not in os.environ or in_shell:
        return None
    step = os.environ.get("SLURM_STEP_ID", "")
    if step.isdecimal() and int(step) < _STEPS_OF_JOBS:
        return step
    return "batch" if os.environ.get("ENVIRONMENT") == "BATCH" else None  # as SLURM sets it in a batch script


def num_started() -> int:
    """Processes that srun or torchrun started for this command; 1 without them."""
    by_srun = (_slurm_step() or "").isdecimal()
    by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    counts = {"SLURM_STEP_NUM_TASKS": by_srun, "WORLD_SIZE": by_torchrun}
    return max(int(os.environ.get(name, "1")) if known else 1 for name, known in counts.items())


def started_again() -> bool:
    """Whether SLURM has queued this job, or torchrun started these ranks, again: the same run goes on."""
    restarts = (os.environ.get(f"{by}_RESTART_COUNT", "0") for by in ("SLURM", "TORCHELASTIC"))
    return any(int(count) > 0 for count in restarts)
