"""Checkpoints to look back at: every n epochs and at the end of each stage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from ctc_lightning.checks import count


class MilestoneCheckpoint(Checkpoint):
    """Saves ``epoch_005.ckpt`` (after 5 finished epochs, as in ``results.csv``) and ``stage_NAME.ckpt``.

    Args:
        dirpath: where they go.
        every_n_epochs: n >= 1; the last epoch is saved too.
        also_at: further epochs; 0 is before training.

    Raises:
        ValueError: n < 1.
    """

    def __init__(self, dirpath: str, every_n_epochs: int, also_at: Sequence[int] = ()) -> None:
        count("checkpoints", every_n_epochs=every_n_epochs)
        self.dirpath = Path(dirpath)
        self.every_n_epochs = every_n_epochs
        self.also_at = frozenset(also_at)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Save the network before its first step."""
        if trainer.global_step == 0 and 0 in self.also_at:
            trainer.save_checkpoint(self.dirpath / "epoch_000.ckpt")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Save what is due."""
        finished = trainer.current_epoch + 1
        if finished % self.every_n_epochs == 0 or finished in self.also_at or finished == trainer.max_epochs:
            trainer.save_checkpoint(self.dirpath / f"epoch_{finished:03d}.ckpt")
        stage = pl_module.stage_schedule.ends_with(trainer.current_epoch)
        if stage is not None:
            trainer.save_checkpoint(self.dirpath / f"stage_{stage}.ckpt")
