"""Every private name of Lightning, torch and W&B that we use, with the reason.

`tests/training/test_private_names.py` fails with the name that is gone, and where one is used elsewhere.
"""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.distributed import _set_num_threads_if_needed
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from torch import distributed as dist

SubprocessLauncher = _SubprocessScriptLauncher  # no public launcher starts ranks as `strategy.Launcher` does
set_num_threads_if_needed = _set_num_threads_if_needed  # what Lightning's own launcher does before training

# What our subclasses override or set: the class that has it, the name, the reason
OVERRIDDEN = {
    "pytorch_lightning.strategies.DDPStrategy._configure_launcher": "the only place that chooses a launcher",
    "pytorch_lightning.strategies.DDPStrategy._launcher": "see _configure_launcher",
    "pytorch_lightning.strategies.launchers.subprocess_script._SubprocessScriptLauncher"
    "._call_children_scripts": "starts the further ranks without the watcher of launch(), which kills rank 0",
    "pytorch_lightning.loggers.csv_logs.ExperimentWriter._check_log_dir_exists": "deletes metrics.csv",
    "pytorch_lightning.loggers.csv_logs.ExperimentWriter._rewrite_with_new_header": "is not atomic",
    "pytorch_lightning.loggers.CSVLogger._experiment": "the property `experiment` keeps its writer there",
    "pytorch_lightning.loggers.WandbLogger._experiment": "the property `experiment` keeps its run there",
    "pytorch_lightning.loggers.WandbLogger._id": "the run's id is known on first use only",
    "pytorch_lightning.loggers.WandbLogger._wandb_init": "arguments of wandb.init that change on first use",
}
# W&B's own 15 seconds are lost with a process that is killed; read by name, as older versions lack it
WANDB_FLUSH_SECONDS = "x_transaction_log_flush_interval"


def splits_batches(trainer: pl.Trainer) -> bool:
    """Whether Lightning replaces samplers by a distributed one: the trainer has no public name for it."""
    return bool(trainer._accelerator_connector.use_distributed_sampler)


def ddp_options(strategy: DDPStrategy) -> Mapping[str, Any]:
    """Arguments for torch's DistributedDataParallel, which does not exist before training."""
    return strategy._ddp_kwargs


def synchronises_batch_norm(strategy: DDPStrategy) -> bool:
    """Whether BatchNorm layers will be converted: the strategy keeps that argument of the trainer there."""
    return strategy._layer_sync is not None


def training_source(trainer: pl.Trainer) -> Any:
    """Where ``trainer.fit`` gets its loader.

    ``fit_loop.setup_data`` opens the loader, which a data module may first have to be told where to resume.
    """
    return trainer.fit_loop._data_source


def stop_broadcasting_sigterm(trainer: pl.Trainer) -> None:
    """Under DDP Lightning broadcasts from the device, and waits for the answer, before every batch."""
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


def uncount_skipped_validation(loop: _TrainingEpochLoop) -> None:
    """Lightning counts a step as it skips the last epoch's validation, for a checkpoint before batch 0."""
    if loop._should_check_val_epoch():
        loop._batches_that_stepped -= 1


def last_saved_step(callback: ModelCheckpoint) -> int:
    """The step at which a callback has last saved: nothing public says so."""
    return callback._last_global_step_saved


def default_store() -> Any:
    """The process group's store, where ranks leave notes without waiting for each other."""
    return dist.distributed_c10d._get_default_store()
