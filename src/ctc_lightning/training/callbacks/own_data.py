"""The data module of a training, for callbacks that record or measure its images."""

from typing import Any

import pytorch_lightning as pl

from ctc_lightning.data.data_module import ImageDataModule


def own_data(trainer: pl.Trainer, callback: pl.Callback) -> Any:
    """The trainer's `ImageDataModule`.

    Raises:
        ValueError: the trainer was given loaders, or a data module of another package.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, ImageDataModule):
        given = "loaders" if data is None else type(data).__name__
        raise ValueError(  # noqa: TRY004  # a user's choice
            f"{type(callback).__name__} needs a data module of ctc_lightning, and the trainer was given "
            f"{given}; use trainer.fit(module, datamodule=ctc_lightning.load_data(...)), or leave it out."
        )
    return data
