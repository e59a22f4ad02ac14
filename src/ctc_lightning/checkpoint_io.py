"""Checkpoints that are whole or not there: written beside, then renamed."""

import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """``torch.save`` to ``NAME.ckpt.tmp``, flush to disk, rename to ``NAME.ckpt``.

    A kill, a full disk or a power cut leaves the file that was there before. Nothing is copied in memory.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write one file.

        Raises:
            OSError: it cannot be written; names the file that is still good.
        """
        if "://" in str(path):  # object storage replaces whole objects itself
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.tmp")
        try:
            with beside.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except (OSError, RuntimeError) as error:
            beside.unlink(missing_ok=True)
            kept = f"{path} of before is still whole" if path.exists() else "there is no earlier one"
            raise OSError(
                f"{path} could not be written ({str(error).splitlines()[0]}); {kept}: make room, then "
                "resume=auto."
            ) from error
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The new name, too, survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
