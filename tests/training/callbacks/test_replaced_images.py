"""The count of replaced images in the logs."""

from types import SimpleNamespace

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from ctc_lightning.training.callbacks.replaced_images import ReplacedImages


class Module(pl.LightningModule):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.logged = {}

    def log_dict(self, values, **options):
        self.logged |= {name: (float(value), options) for name, value in values.items()}


class Strategy:
    """Adds what the other ranks count."""

    def __init__(self, elsewhere):
        self.elsewhere = elsewhere
        self.reduced = []

    def reduce(self, tensor, group=None, reduce_op="mean"):
        assert reduce_op == "sum"
        self.reduced.append(float(tensor))
        return tensor + self.elsewhere


def end_epoch(data, elsewhere=0):
    module, strategy = Module(), Strategy(elsewhere)
    trainer = SimpleNamespace(datamodule=data, strategy=strategy, is_global_zero=False)
    ReplacedImages().on_train_epoch_end(trainer, module)
    return module.logged, strategy


def test_the_sum_over_ranks_is_logged_once_an_epoch():
    logged, strategy = end_epoch(SimpleNamespace(on_error="skip", num_replaced=3), elsewhere=4)
    assert strategy.reduced == [3]
    assert logged == {"data/replaced": (7.0, {"logger": False, "rank_zero_only": True})}


def test_none_replaced_is_logged_as_0():
    logged, _ = end_epoch(SimpleNamespace(on_error="skip", num_replaced=0))
    assert logged["data/replaced"][0] == 0


@pytest.mark.parametrize("data", [SimpleNamespace(on_error="stop", num_replaced=0), SimpleNamespace()])
def test_nothing_is_logged_where_nothing_can_be_replaced(data):
    logged, strategy = end_epoch(data)
    assert logged == {}
    assert strategy.reduced == []


class Skipping(pl.LightningDataModule):
    """Says after every batch that two more images were replaced."""

    on_error = "skip"
    num_replaced = 0

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(3, 1))

    def on_after_batch_transfer(self, batch, dataloader_idx):
        self.num_replaced += 2
        return batch


class Linear(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_real_trainer_logs_the_count(tmp_path):
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=2,
        logger=CSVLogger(tmp_path, name="", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[ReplacedImages()],
        default_root_dir=tmp_path,
    )
    trainer.fit(Linear(), datamodule=Skipping())
    assert trainer.callback_metrics["data/replaced"] == 12
    logged = pd.read_csv(tmp_path / "metrics.csv")
    assert logged[["step", "epoch", "data/replaced"]].values.tolist() == [[2, 0, 6], [5, 1, 12]]
