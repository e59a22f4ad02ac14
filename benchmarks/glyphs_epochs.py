"""Epochs of the real Trainer on glyphs, some at a time: the training alone, the log on."""

import contextlib
import logging
import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from side_by_side import clock

from ctc_lightning.paths import config_dir
from ctc_lightning.train import build

EPOCHS = 3  # per round; timed from the beginning of the first to the beginning of the last
OVERRIDES = ["callbacks=none", "+trainer.enable_checkpointing=false", "+trainer.limit_val_batches=0"]


class TrainerEpochs:
    """``trainer=cpu`` with its progress bar and ``metrics.csv``, without validation, probes, checkpoints."""

    def __init__(self, *overrides: str) -> None:
        self.run_dir = TemporaryDirectory()
        here = [f"paths.run_dir={self.run_dir.name}", f"num_threads={torch.get_num_threads()}"]
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose("train", [*OVERRIDES, *here, *overrides])
        self.trainer, self.module, self.data = build(cfg)
        self.clock = EpochClock()
        self.trainer.callbacks.append(self.clock)  # type: ignore[attr-defined]

    def __call__(self) -> float:
        """Train ``EPOCHS`` more; return the seconds of one."""
        self.trainer.fit_loop.max_epochs = self.trainer.current_epoch + EPOCHS
        self.clock.begun.clear()
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            self.trainer.fit(self.module, self.data)
        return self.clock.seconds_per_epoch()


class EpochClock(pl.Callback):
    """Notes when each epoch begins."""

    def __init__(self) -> None:
        self.begun: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        """Note the time."""
        self.begun.append(clock()())

    def seconds_per_epoch(self) -> float:
        """Mean over the epochs that were followed by another one: all that an epoch costs is in it."""
        return (self.begun[-1] - self.begun[0]) / (len(self.begun) - 1)


warnings.filterwarnings("ignore", module="pytorch_lightning")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
