"""Shared by the protocols that train nothing: one number after the other, and a draw by class.

N: images, M: drawn images
"""

import logging
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.protocol import Task

log = logging.getLogger(__name__)

# A protocol runs on one rank: a metric that waited for the others would wait for ever
LOCAL: dict[str, Any] = {"sync_on_compute": False}


def each_of(
    protocol: str, task: Task, computations: Mapping[str, Callable[[], list[Measured]]]
) -> list[Measured]:
    """The numbers of all computations that succeed; each that fails is a logged warning.

    A computation fails by a ValueError, by a RuntimeError (as of a singular matrix), or by a number that is
    not finite. Its numbers are not in the result then; those of the others are.

    Args:
        protocol: what messages call the protocol.
        task: on which.
        computations: name -> what to compute.

    Raises:
        ValueError: every one fails.
    """
    found: list[Measured] = []
    reasons: dict[str, str] = {}
    for name, compute in computations.items():
        try:
            numbers = compute()
            if wrong := [number for number in numbers if not isfinite(number.value)]:
                raise ValueError(f"{wrong[0].metric} is {wrong[0].value}")  # noqa: TRY301  # for one warning
        except (ValueError, RuntimeError) as error:
            reasons[name] = " ".join(str(error).split()).rstrip(".")
        else:
            found += numbers
    if not found:
        told = "; ".join(f"{name} ({reason})" for name, reason in reasons.items())
        raise ValueError(f"{protocol}: nothing can be measured on {task.target}: {told}.")
    for name, reason in reasons.items():
        log.warning("%s: %s left out on %s: %s.", protocol, name, task.target, reason)
    return found


def value_of(metric: Metric, device: torch.device, *columns: Tensor) -> Any:
    """What a metric says of all images at once: a number, or several by name."""
    metric = metric.to(device)
    metric.update(*(column.to(device) for column in columns))
    found = metric.compute()
    return {k: float(v) for k, v in found.items()} if isinstance(found, dict) else float(found)


def draw_by_class(label_N: Tensor, size: int, seed: int) -> Tensor:
    """(min(N, size),) rows, in increasing order, drawn without replacement by the classes' shares.

    Of a class with n_c of N images ⌈t n_c⌉ or one less are drawn, t the same for all classes; at least one,
    if there are no more classes than ``size``.

    Args:
        label_N: (N,) int64.
        size: how many at most.
        seed: of the draw.
    """
    num_images = len(label_N)
    if num_images <= size:
        return torch.arange(num_images)
    by_class_N, place_N = shuffled_by_class(label_N, seed)
    share_N = place_N / torch.bincount(label_N)[label_N[by_class_N]]
    return by_class_N[share_N.argsort(stable=True)[:size]].sort().values


def shuffled_by_class(label_N: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """(N,) rows sorted by class, in random order within each, and (N,) the place of each in its class."""
    shuffled_N = torch.randperm(len(label_N), generator=torch.Generator().manual_seed(seed))
    by_class_N = shuffled_N[label_N[shuffled_N].argsort(stable=True)]
    count_L = torch.bincount(label_N)
    first_L = count_L.cumsum(0) - count_L
    return by_class_N, torch.arange(len(label_N)) - first_L[label_N[by_class_N]]
