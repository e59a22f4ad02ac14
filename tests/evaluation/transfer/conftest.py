"""Small runs in this process, and such as were told to go."""

import signal

import pytest
from hydra import compose, initialize_config_dir

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import train
from ctc_lightning.training.callbacks import Preemption

SMALL = ["experiment=digits_ce", "data.num_train=200", "data.num_val=60", "data.num_test=100"]
QUIET = ["trainer.max_epochs=3", "trainer.enable_progress_bar=false", "callbacks.transfer_probe=null"]


@pytest.fixture
def train_small(tmp_path):
    """A function: train for 3 epochs of 3 steps; the run's directory."""

    def run(*overrides):
        run_dir = tmp_path / "small"
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose("train", [*SMALL, *QUIET, *overrides, f"paths.run_dir={run_dir}"])
        train(cfg)
        return run_dir

    return run


@pytest.fixture
def stopped(train_small, tmp_path, monkeypatch):
    """A function: the same, told to go before a batch (its epoch and itself counted from 0)."""
    begin = Preemption.on_train_batch_start

    def run(epoch, batch, *overrides):
        def told(self, trainer, pl_module, images, batch_idx):
            if (trainer.current_epoch, batch_idx) == (epoch, batch):
                self.received = signal.SIGTERM
            begin(self, trainer, pl_module, images, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(Preemption, "on_train_batch_start", told)
            with pytest.raises(SystemExit):
                train_small(*overrides)
        return tmp_path / "small"

    return run
