"""Means over an epoch that survive a resume, logged before the epoch's checkpoints are written."""

from collections.abc import Mapping

import pytorch_lightning as pl
import torch
from torch import Tensor


class EpochMeans:
    """Σ n v / Σ n for each named value v, each a mean over n images; on the device, so that no step waits."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def add(self, num_images: int, **values: Tensor) -> None:
        """Add one step's values, each a scalar."""
        for name, value in values.items():
            now = value.detach().to(torch.promote_types(value.dtype, torch.float32))
            total, count = self._sums.get(name, (torch.zeros_like(now), 0))
            self._sums[name] = total.to(now.device) + num_images * now, count + num_images

    def means(self) -> dict[str, Tensor]:
        """The means so far."""
        return {name: total / count for name, (total, count) in self._sums.items()}

    def clear(self) -> None:
        """Begin a new epoch."""
        self._sums = {}

    def state_dict(self) -> dict[str, tuple[Tensor, int]]:
        """The sums, on the CPU."""
        return {name: (total.cpu(), count) for name, (total, count) in self._sums.items()}

    def load_state_dict(self, state: Mapping[str, tuple[Tensor, int]]) -> None:
        """Continue from these sums."""
        self._sums = dict(state)


def log_epoch(trainer: pl.Trainer, module: pl.LightningModule, values: Mapping[str, Tensor]) -> None:
    """Log an epoch's values now, from ``on_train_epoch_end``: what ``self.log`` is given comes too late.

    Lightning writes that to the loggers after the epoch's checkpoints, and a run killed in between never
    would. Callbacks may monitor the values.
    """
    module.log_dict(dict(values), logger=False, rank_zero_only=True)
    if trainer.is_global_zero:
        row = {name: value.item() for name, value in values.items()} | {"epoch": trainer.current_epoch}
        for logger in trainer.loggers:
            logger.log_metrics(row, step=max(trainer.global_step - 1, 0))
