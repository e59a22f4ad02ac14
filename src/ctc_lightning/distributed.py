"""Talk between ranks: everything here is the identity on one process.

N: rows on this rank, W: ranks
"""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """The number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number in 0..W-1; 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


@torch.no_grad()
def gather(*rows: Tensor, even: bool = False) -> tuple[Tensor, ...]:
    """Concatenate each tensor's rows over all ranks, rank 0 first; ranks may hold different counts.

    Args:
        rows: tensors of any shape (N, ...) that share N on this rank; N may differ between ranks.
        even: N is known to be the same on all ranks: none asks the others, or its device, for theirs.

    Returns:
        The tensors of shape (sum of N over ranks, ...), identical on every rank, without gradient.
    """
    rows = tuple(tensor.detach() for tensor in rows)
    if world_size() == 1:
        return rows
    if even:
        return tuple(_gather_even(tensor) for tensor in rows)
    count = torch.tensor([len(rows[0])], device=rows[0].device)
    counts = torch.empty(world_size(), dtype=count.dtype, device=count.device)
    dist.all_gather_into_tensor(counts, count)
    return tuple(_gather_uneven(tensor, counts.tolist()) for tensor in rows)


def gather_objects(mine: Any) -> list[Any]:
    """What every rank has, rank 0's first; it is pickled, on all ranks at once."""
    everyone = [mine] * world_size()
    if world_size() > 1:
        dist.all_gather_object(everyone, mine)
    return everyone


def _gather_even(tensor: Tensor) -> Tensor:
    everyone = tensor.new_empty(world_size() * len(tensor), *tensor.shape[1:])
    dist.all_gather_into_tensor(everyone, tensor.contiguous())
    return everyone


def _gather_uneven(tensor: Tensor, counts: list[int]) -> Tensor:
    longest = max(counts)
    padded = tensor.new_zeros(longest, *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    everyone = _gather_even(padded)
    if min(counts) == longest:
        return everyone
    return torch.cat([part[:n] for part, n in zip(everyone.split(longest), counts, strict=True)])
