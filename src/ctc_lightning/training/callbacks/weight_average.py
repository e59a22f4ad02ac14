"""Evaluation of the weights' moving average, beside a training that knows nothing of it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ctc_lightning.checks import in_range

_TRAINED = "trained_network"  # in the checkpoint: the weights that training goes on with


class WeightAverage(pl.Callback):
    """θ̄ ← μ θ̄ + (1 − μ) θ after every optimizer step, of f, g and W.

    Validation, the transfer probe and checkpoints see θ̄; so do transfer and export, which read these.
    BatchNorm's running statistics stay those of θ. A resumed run goes on with θ and θ̄ as they were.
    Lightning's own callback would average a queue's image numbers, or copy a whole bank at every step.

    Args:
        decay: μ in (0, 1), for example 0.9999.

    Raises:
        ValueError: ``decay`` out of range.

    Source: Polyak and Juditsky 1992; with exponential weights as in Tan and Le 2019, arXiv 1905.11946.
    """

    def __init__(self, *, decay: float) -> None:
        in_range("weight average", "(0, 1)", example=0.9999, decay=decay)
        self.decay = decay
        self._average: list[Tensor] = []
        self._trained: list[Tensor] = []
        self._step = 0

    @torch.no_grad()
    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begin at today's weights, unless the run was resumed."""
        self._step = trainer.global_step
        if not self._average:
            self._average = [parameter.clone() for parameter in pl_module.network.parameters()]

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Follow, once for an optimizer step."""
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            follow = get_ema_multi_avg_fn(self.decay)
            follow(self._average, list(pl_module.network.parameters()), None)

    @torch.no_grad()
    def show(self, network: torch.nn.Module) -> None:
        """Put θ̄ into the network, until `hide`."""
        if self._average:
            self._trained = [parameter.clone() for parameter in network.parameters()]
            _copy(self._average, network.parameters())

    @torch.no_grad()
    def hide(self, network: torch.nn.Module) -> None:
        """Put θ back."""
        if self._trained:
            _copy(self._trained, network.parameters())
            self._trained = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Judge θ̄."""
        self.show(pl_module.network)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Go on with θ."""
        self.hide(pl_module.network)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """θ̄ takes the network's place, θ stands beside it."""
        names = [f"network.{name}" for name, _ in pl_module.network.named_parameters()]
        state = checkpoint["state_dict"]
        checkpoint[_TRAINED] = {name: state[name] for name in names}
        average = self._average or [state[name] for name in names]
        checkpoint["state_dict"] = {**state, **dict(zip(names, average, strict=True))}

    @torch.no_grad()
    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """The network has been given θ̄: keep it, and go on with θ."""
        self._average = [parameter.detach().clone() for parameter in pl_module.network.parameters()]
        trained = checkpoint.get(_TRAINED, {})  # none in a checkpoint of a run without this callback
        for name, parameter in pl_module.network.named_parameters():
            if f"network.{name}" in trained:
                parameter.copy_(trained[f"network.{name}"])


@contextmanager
def averaged(trainer: pl.Trainer, network: torch.nn.Module) -> Iterator[None]:
    """The network has its averaged weights inside, if the training averages them."""
    averages = [callback for callback in trainer.callbacks if isinstance(callback, WeightAverage)]  # type: ignore[attr-defined]
    for average in averages:
        average.show(network)
    try:
        yield
    finally:
        for average in averages:
            average.hide(network)


def _copy(values: Iterable[Tensor], parameters: Iterable[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
