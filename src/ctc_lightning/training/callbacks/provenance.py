"""What a run was: ``config.yaml`` and ``provenance.json`` beside it, the configuration in its checkpoints."""

import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from ctc_lightning import __version__
from ctc_lightning.data.record import checkpoint_record, data_record
from ctc_lightning.files.atomic_write import RESUME, write_text
from ctc_lightning.files.git_commit import git_commit
from ctc_lightning.training.callbacks.own_data import check_own_data

_PACKAGES = (
    "torch", "torchvision", "pytorch-lightning", "torchmetrics", "timm", "hydra-core",
    "omegaconf", "scikit-learn", "numpy", "pandas",
)  # fmt: skip


class Provenance(pl.Callback):
    """Writes the composed configuration, versions, commit, command, hardware and duration of a run.

    The duration of a resumed run includes the time up to the checkpoint that it resumed from.

    Args:
        run_dir: the run's directory.

    Attributes:
        config: the composed configuration as plain values; ``train.py`` sets it.
    """

    def __init__(self, run_dir: str) -> None:
        self.run_dir = Path(run_dir)
        self.config: Any = {}
        self.seconds_before = 0.0

    def state_dict(self) -> dict[str, float]:
        """How long the training has taken so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on counting."""
        self.seconds_before = state_dict["seconds"]

    @property
    def seconds(self) -> float:
        """Since training began, over all processes that resumed it."""
        return self.seconds_before + time.monotonic() - self.began

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a training of other data before it begins."""
        if stage == "fit":
            check_own_data(trainer, self)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write both files before the first step."""
        self.began = time.monotonic()
        if trainer.is_global_zero:
            write_text(self.run_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(self.config)), RESUME)
            self.write(trainer, "running")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add how long it took."""
        if trainer.is_global_zero:
            self.write(trainer, "finished")

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """A checkpoint says by itself how it was made, what it expects, and what its outputs are called."""
        checkpoint["config"] = self.config
        checkpoint |= checkpoint_record(trainer.datamodule)  # type: ignore[attr-defined]

    def write(self, trainer: pl.Trainer, status: str) -> None:
        """Write ``provenance.json``."""
        record = {
            "status": status,
            "seconds": round(self.seconds, 1),
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "commit": git_commit(),
            "hardware": hardware(trainer),
            "data": data_record(trainer.datamodule),  # type: ignore[attr-defined]
            "python": platform.python_version(),
            "versions": {"ctc-lightning": __version__}
            | {name: importlib.metadata.version(name) for name in _PACKAGES},
        }
        write_text(self.run_dir / "provenance.json", json.dumps(record, indent=2) + "\n", RESUME)


def hardware(trainer: pl.Trainer) -> str:
    """A line such as ``2 × cpu (2 cores, x86_64)``."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} × {torch.cuda.get_device_name(device)}"
    return f"{trainer.world_size} × {device.type} ({os.cpu_count()} cores, {platform.machine()})"
