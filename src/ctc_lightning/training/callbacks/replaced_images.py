"""Counts the unreadable images that others stood in for."""

from typing import Any

import pytorch_lightning as pl
import torch

from ctc_lightning.epoch_means import log_epoch


class ReplacedImages(pl.Callback):
    """Logs ``data/replaced``, the images replaced so far on all ranks, where ``data.on_error=skip``."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sum over ranks once an epoch."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if getattr(data, "on_error", "stop") == "skip":
            count = torch.tensor(float(data.num_replaced), device=pl_module.device)
            total = trainer.strategy.reduce(count, reduce_op="sum")
            log_epoch(trainer, pl_module, {"data/replaced": total})
