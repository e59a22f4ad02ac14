"""A loss that is no number, or too large, ends the training and says where.

B: images of a batch, S: those that are named
"""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.nn.functional import pad

from ctc_lightning.batch_forms import parts_of
from ctc_lightning.checks import count, in_range
from ctc_lightning.distributed import gather

_NUM_NAMED = 20


class StopWhenDiverged(pl.Callback):
    """Remembers on the device the first step whose loss is not finite or above a limit, and looks at times.

    No step waits for the device: the loss is read every n steps, at the end of each epoch, and before any
    checkpoint is written.

    Args:
        dirpath: of the checkpoints.
        max_loss: the limit > 0; None: only what is not finite.
        every_n_steps: n >= 1.

    Raises:
        ValueError: an argument out of range; while training, a loss that has diverged.
    """

    def __init__(self, dirpath: str, max_loss: float | None, every_n_steps: int) -> None:
        count("divergence", every_n_steps=every_n_steps)
        in_range("divergence", "(0, inf)", null=True, max_loss=max_loss)
        self.dirpath = Path(dirpath)
        self.max_loss = max_loss
        self.every_n_steps = every_n_steps
        self._first: tuple[Tensor, Tensor, Tensor] | None = None  # step (-1: none yet), loss, (S,) images

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the step, on the device."""
        loss = outputs["loss"].detach().float() * trainer.accumulate_grad_batches  # Lightning has divided
        step = torch.full((), trainer.global_step, device=loss.device)
        index_B = parts_of(batch).index
        shown = (
            torch.empty(0, dtype=torch.int64, device=loss.device)
            if index_B is None
            else index_B[: _NUM_NAMED + 1]
        )
        index_S = pad(shown, (0, _NUM_NAMED + 1 - len(shown)), value=-1)
        if self._first is None:
            self._first = torch.full_like(step, -1), torch.zeros_like(loss), index_S
        wrong = ~loss.isfinite() if self.max_loss is None else ~(loss.abs() <= self.max_loss)
        new = wrong & (self._first[0] < 0)
        now = (step, loss, index_S)
        self._first = tuple(torch.where(new, a, b) for a, b in zip(now, self._first, strict=True))  # type: ignore[assignment]
        if (batch_idx + 1) % self.every_n_steps == 0:
            self._look(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Look before the epoch is saved."""
        self._look(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Look before the network is judged, and saved by what it reached."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._look(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Look before anything is saved, also within an epoch on preemption."""
        self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        if self._first is None:
            return
        step_R, loss_R = gather(self._first[0][None], self._first[1][None], even=True)
        if (step_R < 0).all():
            return
        rank = int(torch.where(step_R < 0, step_R.max() + 1, step_R).argmin())
        (index,) = gather(self._first[2], even=True)
        rows = [row for row in index.tensor_split(len(step_R))[rank].tolist() if row >= 0]
        shown = ", ".join(map(str, rows[:_NUM_NAMED])) + (", …" if rows[_NUM_NAMED:] else "")
        where = f" (training images {shown})" if rows else ""
        raise ValueError(
            f"the loss is {loss_R[rank]:g} after step {step_R[rank]}{where}; lower optim.optimizer.lr, or "
            f"look at these images. {self._last_good()}"
        )

    def _last_good(self) -> str:
        last = self.dirpath / "last.ckpt"
        if last.is_file():
            return f"The last good checkpoint is {last}."
        return "There is no good checkpoint yet: the first epoch had not ended."
