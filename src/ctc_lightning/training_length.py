"""How long a training is: steps of an epoch, and stages laid out over the trainer's epochs."""

from collections.abc import Mapping
from itertools import count

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateFinder

from ctc_lightning.stage import Stage, StageSchedule


def refuse_callbacks(trainer: pl.Trainer) -> None:
    """Refuse callbacks that cannot work with stages.

    Raises:
        ValueError: names the callback and what to do instead.
    """
    if any(isinstance(callback, LearningRateFinder) for callback in trainer.callbacks):  # type: ignore[attr-defined]
        raise ValueError(
            "LearningRateFinder replaces the learning-rate schedule that stages need; leave it out and "
            "compare a few values of lr."
        )


def num_steps(trainer: pl.Trainer) -> int:
    """Optimizer steps of an epoch; of a loader without a length, of the whole training. Opens the loader.

    Raises:
        ValueError: no batch, or no limit to their number.
    """
    trainer.fit_loop.setup_data()
    num_batches = trainer.num_training_batches
    if trainer.limit_train_batches == 0:
        raise ValueError("limit_train_batches is 0, which trains nothing; give at least 1 batch.")
    if num_batches == 0:
        raise ValueError(
            "the training loader has 0 batches; it must have at least 1: add images, lower batch_size, or "
            "set drop_last=False."
        )
    if num_batches != float("inf"):
        return -(-int(num_batches) // trainer.accumulate_grad_batches)
    if trainer.max_steps < 1:
        raise ValueError(
            "the training loader has no length, which the learning-rate schedule needs; give the Trainer "
            "max_steps=N or limit_train_batches=N."
        )
    return trainer.max_steps


def lay_out(stages: Mapping[str, Stage], trainer: pl.Trainer, steps_per_epoch: int) -> StageSchedule:
    """The stages over the trainer's epochs; under ``fast_dev_run`` over as many as they need.

    Raises:
        ValueError: they do not fit, or the trainer has no limit but time.
    """
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return shortest(stages)
    if (trainer.max_epochs or -1) > 0:
        return StageSchedule(stages, int(trainer.max_epochs))  # type: ignore[arg-type]
    if trainer.max_steps > 0:
        return StageSchedule(stages, -(-trainer.max_steps // steps_per_epoch))
    raise ValueError(
        "the Trainer's max_epochs is -1 (no limit), but stages and the learning-rate schedule are laid out "
        "over the training; give max_epochs=N beside max_time."
    )


def shortest(stages: Mapping[str, Stage]) -> StageSchedule:
    """The stages over the fewest epochs that they fit."""
    for num_epochs in count(1):
        try:
            return StageSchedule(stages, num_epochs)
        except ValueError:
            if num_epochs == 100_000:
                raise
    raise AssertionError
