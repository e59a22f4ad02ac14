"""No training step waits for the device: torch says so itself, on a GPU."""

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir

from ctc_lightning.paths import config_dir
from ctc_lightning.train import build

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="asks a GPU")

SMALL = ["debug=fast", "data.batch_size=16", "trainer=gpu", "trainer.precision=bf16-mixed", "logger=csv"]
SMALL += ["trainer.max_epochs=2", "trainer.enable_progress_bar=false", "callbacks.transfer_probe=null"]
MODELS = {
    "ce": "model=ce",
    "queue": "model=ctc_queue model.queue_size=40",
    "queue, running statistics": "model=ctc_queue model.queue_size=40 "
    "model.stages.contrast.key_encoder.batch_norm=running",
    "bank": "model=ctc_bank",
    "sampled bank": "model=ctc_bank model.stages.contrast.memory.num_negatives=20",
    "two stages": "model=ctc_two_stage",
}


class NoSync(pl.Callback):
    """From the end of a batch's transfer to the end of its step; the first step of an epoch warms up."""

    def __init__(self):
        self.steps = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx > 0:
            torch.cuda.set_sync_debug_mode("error")

    def done(self):
        self.steps += torch.cuda.get_sync_debug_mode() == 2
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture(autouse=True)
def _as_before():
    yield
    torch.cuda.set_sync_debug_mode("default")


def test_torch_sees_who_waits():
    one = torch.ones((), device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match="synchroniz"):
        one.item()


@pytest.mark.parametrize("model", MODELS)
def test_a_training_step_does_not_wait_for_the_gpu(model, tmp_path):
    """Forward and backward pass, optimizer, moving average, memory, logging, watch for divergence."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        overrides = [*SMALL, *MODELS[model].split(), f"paths.run_dir={tmp_path}"]
        trainer, module, data = build(compose("train", overrides=overrides))
    watch = NoSync()
    trainer.callbacks.append(watch)
    remember = module.on_train_batch_end  # Lightning calls it after all callbacks

    def on_train_batch_end(outputs, batch, batch_idx):
        remember(outputs, batch, batch_idx)
        watch.done()

    module.on_train_batch_end = on_train_batch_end
    trainer.fit(module, data)
    assert watch.steps == 2 * (128 // 16 - 1)
