"""Random numbers go on where they stopped: every rank's RNG state in the checkpoint."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from ctc_lightning.distributed import gather_objects, rank


class RandomState(pl.Callback):
    """Saves the states of torch (CPU and this rank's CUDA device), NumPy and Python, and restores them.

    They are restored when training starts again, so that whatever a resumed process drew before its first
    step leaves no trace. A run resumed on more ranks than it was saved from keeps the new ranks' own states.
    """

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Every rank's state, gathered."""
        return {"ranks": gather_objects(_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts."""
        self.states = state_dict["ranks"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore this rank's state."""
        if rank() < len(self.states):
            _restore(self.states[rank()])
        self.states = []


def _state() -> dict[str, Any]:
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - the global state is meant
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
    }


def _restore(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002 - as above
