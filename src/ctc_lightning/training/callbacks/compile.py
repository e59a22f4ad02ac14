"""torch.compile for training steps: the network's backbone and each key encoder's, once for each stage."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn


class Compile(pl.Callback):
    """Compiles f and every f' in place when training first reaches them; evaluation stays as it is.

    Names in checkpoints do not change. Only training steps run compiled: the last batches of validation,
    probes and the filling of a memory are of other sizes, and each would be compiled anew.

    Args:
        backend: of ``torch.compile``: ``inductor``, or ``aot_eager`` and ``eager`` to look for faults;
            None compiles nothing.
        mode: of inductor, as ``max-autotune``; None: its default.
    """

    def __init__(
        self, backend: str | Callable[..., Any] | None = "inductor", mode: str | None = None
    ) -> None:
        self.backend, self.mode = backend, mode

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Mark what is to be compiled at its first training step."""
        if self.backend is None:
            return
        backbones: list[nn.Module] = [pl_module.network.backbone]
        for stage in pl_module.stages.values():
            encoder = getattr(stage.key_encoder, "encoder", None)
            backbones += [encoder[0]] if encoder is not None else []
        for backbone in backbones:
            backbone.compile(backend=self.backend, mode=self.mode, dynamic=False)
        torch.compiler.set_stance("force_eager")

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """A training step runs compiled."""
        torch.compiler.set_stance("default")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Everything else does not."""
        torch.compiler.set_stance("force_eager")

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Leave torch as it was."""
        torch.compiler.set_stance("default")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Leave torch as it was."""
        torch.compiler.set_stance("default")
