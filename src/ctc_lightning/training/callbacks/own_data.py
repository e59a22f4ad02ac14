"""Refuses loaders for callbacks that record or measure the images of a data module."""

import pytorch_lightning as pl

from ctc_lightning.data.data_module import ImageDataModule


def check_own_data(trainer: pl.Trainer, callback: pl.Callback) -> None:
    """Refuse a trainer without an `ImageDataModule`.

    Raises:
        ValueError: it was given loaders, or a data module of another package.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, ImageDataModule):
        given = "loaders" if data is None else type(data).__name__
        raise ValueError(  # noqa: TRY004  # a user's choice
            f"{type(callback).__name__} needs a data module of ctc_lightning, and the trainer was given "
            f"{given}; use trainer.fit(module, datamodule=ctc_lightning.load_data(...)), or leave it out."
        )
