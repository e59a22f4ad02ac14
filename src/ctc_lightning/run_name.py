"""A run's name, the same on all ranks and after a requeue: ``${started:…}`` in conf/train.yaml."""

import os
import sys
import time
from datetime import timedelta
from hashlib import blake2b

from torch import distributed as dist

_STEPS_OF_JOBS = 2**32 - 16  # SLURM's numbers from here on are no step's: shells and batch scripts
_STORE_KEY = "ctc_lightning/started"


def started(pattern: str) -> str:
    """A name for the run by when it was started, the same on all ranks although none talks to others yet.

    Under srun ``slurm_JOB_STEP_COMMAND``, which stays when the job is queued again; the last part is a digest
    of the command line, for scripts that train several times. Under torchrun the time of the
    first rank that asks, kept by torchrun's own store, so that it stays when torchrun starts its ranks again.
    Otherwise the time now: ranks that Lightning starts are told the directory.

    Args:
        pattern: of the time, as for `time.strftime`.
    """
    job, step = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_STEP_ID", "")
    in_shell = "SLURM_PTY_PORT" in os.environ  # srun --pty: one step, and many runs
    if job and step.isdecimal() and int(step) < _STEPS_OF_JOBS and not in_shell:
        return f"slurm_{job}_{step}_{blake2b(repr(sys.argv[1:]).encode(), digest_size=3).hexdigest()}"
    now = time.strftime(pattern)
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return now
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(host, port, is_master=False, timeout=timedelta(minutes=5))
    return store.compare_set(_STORE_KEY, "", now).decode()
