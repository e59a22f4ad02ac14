"""Checkpoints that are whole or not there."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from ctc_lightning.files.atomic_write import RESUME, atomic_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """``torch.save`` through `atomic_file`. Nothing is copied in memory."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write one file.

        Raises:
            WriteError: it cannot be written.
        """
        if "://" in str(path):  # object storage replaces whole objects itself
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with atomic_file(Path(path), RESUME) as beside:
            torch.save(checkpoint, beside)
