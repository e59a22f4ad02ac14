"""Talk between ranks: everything here is the identity on one process.

N: rows on this rank, W: ranks
"""

import os
import sys
import time
from datetime import timedelta
from hashlib import blake2b

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch import distributed as dist

_STEPS_OF_JOBS = 2**32 - 16  # SLURM's numbers from here on are no step's: shells and batch scripts
_STORE_KEY = "ctc_lightning/started"


def world_size() -> int:
    """The number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number in 0..W-1; 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


@torch.no_grad()
def gather(*rows: Tensor) -> tuple[Tensor, ...]:
    """Concatenate each tensor's rows over all ranks, rank 0 first; ranks may hold different counts.

    Args:
        rows: tensors of any shape (N, ...) that share N on this rank; N may differ between ranks.

    Returns:
        The tensors of shape (sum of N over ranks, ...), identical on every rank, without gradient.
    """
    rows = tuple(tensor.detach() for tensor in rows)
    if world_size() == 1:
        return rows
    count = torch.tensor([len(rows[0])], device=rows[0].device)
    counts = torch.empty(world_size(), dtype=count.dtype, device=count.device)
    dist.all_gather_into_tensor(counts, count)
    return tuple(_gather_uneven(tensor, counts.tolist()) for tensor in rows)


def _gather_uneven(tensor: Tensor, counts: list[int]) -> Tensor:
    longest = max(counts)
    padded = tensor.new_zeros(longest, *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    everyone = tensor.new_empty(len(counts) * longest, *tensor.shape[1:])
    dist.all_gather_into_tensor(everyone, padded)
    if min(counts) == longest:
        return everyone
    return torch.cat([part[:n] for part, n in zip(everyone.split(longest), counts, strict=True)])


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


OmegaConf.register_new_resolver("started", started, use_cache=True, replace=True)  # of conf/train.yaml
