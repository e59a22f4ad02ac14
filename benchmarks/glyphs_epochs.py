"""Epochs of the real Trainer on glyphs, some at a time, with validation and log."""

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

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import build

EPOCHS = 3  # per round; timed from the beginning of the first to the beginning of the last
OVERRIDES = ["callbacks=none", "trainer.enable_checkpointing=false"]


class TrainerEpochs:
    """``trainer=cpu`` with its progress bar and ``metrics.csv``, without probes and checkpoints.

    Attributes:
        training_alone: seconds of an epoch without its validation, for each call.
    """

    def __init__(self, *overrides: str) -> None:
        self.run_dir = TemporaryDirectory()
        here = [f"paths.run_dir={self.run_dir.name}", f"num_threads={torch.get_num_threads()}"]
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose("train", [*OVERRIDES, *here, *overrides])
        self.trainer, self.module, self.data = build(cfg)
        self.callbacks = list(self.trainer.callbacks)  # type: ignore[attr-defined]
        self.training_alone: list[float] = []

    def __call__(self) -> float:
        """Train ``EPOCHS`` more; return the seconds of one."""
        epochs = EpochClock()
        self.trainer.callbacks = [*self.callbacks, epochs]  # type: ignore[attr-defined]
        self.trainer.fit_loop.max_epochs = self.trainer.current_epoch + EPOCHS
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            self.trainer.fit(self.module, self.data)
        self.training_alone.append(epochs.seconds() - epochs.seconds_of_validation())
        return epochs.seconds()


class EpochClock(pl.Callback):
    """Notes when epochs and their validations begin and end."""

    def __init__(self) -> None:
        self.now = clock()
        self.begun: list[float] = []
        self.validated: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        """An epoch begins."""
        self.begun.append(self.now())

    def on_validation_start(self, *_: Any) -> None:
        """Its validation begins."""
        self.validated.append(-self.now())

    def on_validation_end(self, *_: Any) -> None:
        """Its validation ends."""
        self.validated[-1] += self.now()

    def seconds(self) -> float:
        """Mean over the epochs that were followed by another one: all that an epoch costs is in it."""
        return (self.begun[-1] - self.begun[0]) / (len(self.begun) - 1)

    def seconds_of_validation(self) -> float:
        """Mean over the same epochs."""
        return sum(self.validated[:-1]) / (len(self.begun) - 1)


warnings.filterwarnings("ignore", module="pytorch_lightning")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
