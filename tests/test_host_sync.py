"""No training step waits for the device: torch says so itself on a GPU; elsewhere, none asks for a value.

This file is also a module of two ranks: ``+callbacks.watch._target_=test_host_sync.NoQuestions``.
"""

import os
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch.utils._python_dispatch import TorchDispatchMode

import programs
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import build

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="asks a GPU")

SMALL = ["debug=fast", "data.batch_size=16", "trainer.max_epochs=2", "trainer.enable_progress_bar=false"]
SMALL += ["callbacks.transfer_probe=null", "logger=csv"]
STEPS = 128 // 16 - 1  # of an epoch; its first one warms up
MODELS = {
    "ce": "model=ce",
    "queue": "model=ctc_queue model.queue_size=40",
    "queue, running statistics": "model=ctc_queue model.queue_size=40 "
    "model.stages.contrast.key_encoder.batch_norm=running",
    "bank": "model=ctc_bank",
    "sampled bank": "model=ctc_bank model.stages.contrast.memory.num_negatives=20",
    "batch": "model=ctc_queue memory@model.stages.contrast.memory=batch",
    "two stages": "model=ctc_two_stage",
}


class Watch(pl.Callback):
    """From the end of a batch's transfer to the end of its step, the memory's part included."""

    def __init__(self):
        self.steps, self.watching = 0, False

    def setup(self, trainer, pl_module, stage):
        remember = pl_module.on_train_batch_end  # Lightning calls it after all callbacks

        def on_train_batch_end(outputs, batch, batch_idx):
            remember(outputs, batch, batch_idx)
            self.steps += self.watching
            self.end()

        pl_module.on_train_batch_end = on_train_batch_end

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx > 0:
            self.watching = True
            self.begin()

    def on_exception(self, trainer, pl_module, exception):
        self.end()

    def on_fit_end(self, trainer, pl_module):
        assert self.steps == trainer.max_epochs * (trainer.num_training_batches - 1)


class NoSync(Watch):
    """By torch's own word."""

    def begin(self):
        torch.cuda.set_sync_debug_mode("error")

    def end(self):
        self.watching = False
        torch.cuda.set_sync_debug_mode("default")


class Refuse(TorchDispatchMode):
    """Stops at what a GPU would have to answer: a tensor's value, or a size that depends on values."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_consecutive", "equal")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split("::")[1].split(".")[0]
        by_mask = name == "index" and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name in self.NAMES or by_mask:
            raise AssertionError(f"the step asks for a value: {func.name()}")
        return func(*args, **(kwargs or {}))


class NoQuestions(Watch):
    """By the operations that are called; what leaves torch without one is replaced."""

    LEAVES = ("tolist", "numpy", "cpu")

    def begin(self):
        self.patch = pytest.MonkeyPatch()
        for name in self.LEAVES:
            self.patch.setattr(torch.Tensor, name, self.refuse)
        self.mode = Refuse()
        self.mode.__enter__()

    @staticmethod
    def refuse(tensor, *args, **kwargs):
        raise AssertionError("the step takes a tensor's values out of torch")

    def end(self):
        if self.watching:
            self.watching = False
            self.mode.__exit__(None, None, None)
            self.patch.undo()


def fit(watch, *overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        trainer, module, data = build(compose("train", overrides=[*SMALL, *overrides]))
    trainer.callbacks.append(watch)
    trainer.fit(module, data)
    assert watch.steps == 2 * STEPS


@on_gpu
def test_torch_sees_who_waits():
    one = torch.ones((), device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchroniz"):
            one.item()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@on_gpu
@pytest.mark.parametrize("model", MODELS)
def test_a_training_step_does_not_wait_for_the_gpu(model, tmp_path):
    """Forward and backward pass, optimizer, moving average, memory, logging, watch for divergence."""
    on_one = ["trainer=gpu", "trainer.precision=bf16-mixed", f"paths.run_dir={tmp_path}"]
    fit(NoSync(), *MODELS[model].split(), *on_one)


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x[0].item(),
        lambda x: bool(x[0] > 0),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x[x > 0],
        lambda x: x.unique(),
    ],
)
def test_the_watch_sees_who_asks(ask):
    watch = NoQuestions()
    watch.watching = True
    watch.begin()
    try:
        with pytest.raises(AssertionError, match=r"the step (asks|takes)"):
            ask(torch.ones(3))
    finally:
        watch.end()


@pytest.mark.parametrize("model", MODELS)
def test_a_training_step_asks_for_no_value(model, tmp_path):
    fit(NoQuestions(), *MODELS[model].split(), f"paths.run_dir={tmp_path}")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["queue", "sampled bank"])
def test_a_step_of_two_ranks_asks_for_no_value(model, tmp_path):
    """They exchange keys, labels and image numbers; as with ``trainer=ddp``, DDP looks for no idle heads."""
    watch = "+callbacks.watch._target_=test_host_sync.NoQuestions"
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    overrides = [*SMALL, *MODELS[model].split(), "trainer=ddp_sim", "data.batch_size=8", watch]
    overrides += ["trainer.strategy.find_unused_parameters=false", f"hydra.run.dir={tmp_path}"]
    ended = programs.run("train", *overrides, PYTHONPATH=paths)
    assert ended.returncode == 0, ended.stderr
