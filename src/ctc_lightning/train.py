"""Train a network: compose the configuration, build the parts, run. No mathematics here."""

if __name__ == "__main__":  # before the imports that --help and mistakes do not need
    from ctc_lightning.cli.early import answer_early

    answer_early("train")

import logging
import math
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import DDPStrategy
from torch import distributed as dist

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.console import set_up_console
from ctc_lightning.cli.errors import launch, plain_errors, refuse_unused
from ctc_lightning.cli.option_types import check_types
from ctc_lightning.configured import module_parts
from ctc_lightning.data.record import data_record, image_record
from ctc_lightning.module import CTCModule
from ctc_lightning.networks.network import check_images
from ctc_lightning.networks.pretrained_network import PretrainedNetwork
from ctc_lightning.sweep.failures import SweepError
from ctc_lightning.sweep.interrupt import wait_for_jobs
from ctc_lightning.sweep.job import run_in_sweep
from ctc_lightning.sweep.objectives import check_objectives, final_objectives, forget_objectives
from ctc_lightning.training.callbacks.preemption import leave_if_told
from ctc_lightning.training.loggers import MetricsCSV
from ctc_lightning.training.private_names import ddp_options, splits_batches, synchronises_batch_norm
from ctc_lightning.training.resume import (
    check_fits,
    check_unchanged,
    checkpoint_to_resume,
    data_changes,
    finished_steps,
    forget_checkpoints,
)
from ctc_lightning.training.training_lock import training_lock

log = logging.getLogger("ctc_lightning")


def build(cfg: DictConfig) -> tuple[pl.Trainer, CTCModule, pl.LightningDataModule]:
    """Make everything that a training needs; whatever is wrong with the configuration fails here.

    Args:
        cfg: the composed configuration, never changed.

    Returns:
        The trainer, the module and the data module, ready for ``trainer.fit(module, data)``.

    Raises:
        ValueError: a value or a combination that cannot work.
    """
    check_numbers(cfg)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    if cfg.num_threads is not None:
        torch.set_num_threads(cfg.num_threads)
    data = instantiate(cfg.data)
    data.setup()
    label_N = data.train_label
    channels, image_size, _ = data.image_shape
    network = instantiate(
        cfg.network, num_classes=data.num_classes, image_channels=channels, image_size=image_size
    )
    if isinstance(network, PretrainedNetwork):
        # Not data.classes: a sweep's launcher pickles this function, and for that name torch.classes with it
        network.match_classes(data_record(data)["classes"])
    check_images(network, data.image_shape)
    module = CTCModule(
        network=network, label_N=label_N, max_epochs=cfg.trainer.max_epochs, **module_parts(cfg)
    )
    check_optimizer(module)
    callbacks = instantiate_all(cfg.get("callbacks"))
    if "provenance" in callbacks:
        callbacks["provenance"].config = plain(cfg)
    loggers = instantiate_all(cfg.get("logger"))
    trainer = instantiate(cfg.trainer, callbacks=list(callbacks.values()), logger=list(loggers.values()))
    check_strategy(trainer, module)
    return trainer, module, data


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as resolved, plain values."""
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    return values


def instantiate_all(parts: DictConfig | None) -> dict[str, Any]:
    """Make each of a group's parts; null leaves one out."""
    return {str(name): instantiate(part) for name, part in (parts or {}).items() if part}


def check_numbers(cfg: DictConfig) -> None:
    """Refuse what torch and Lightning would fail on less clearly."""
    check_types(cfg)
    limits = {"seed": 0, "num_threads": 1, "data.batch_size": 1, "data.eval_batch_size": 1}
    limits |= {
        "trainer.max_epochs": 1,
        "trainer.accumulate_grad_batches": 1,
        "trainer.check_val_every_n_epoch": 1,
    }
    for key, least in limits.items():
        value = OmegaConf.select(cfg, key)
        optional = key not in ("seed", "trainer.max_epochs")
        if not (isinstance(value, int) and least <= value < 2**32) and not (value is None and optional):
            raise ValueError(f"{key} is {value}; give a whole number of at least {least}, below 2^32.")
    if cfg.optim.optimizer is None:
        raise ValueError("optim.optimizer is null; name one, for example optim=sgd.")
    if cfg.trainer.get("barebones"):
        raise ValueError("trainer.barebones is true, which excludes logs and checkpoints; leave it out.")
    if cfg.trainer.get("overfit_batches"):
        raise ValueError(
            f"trainer.overfit_batches is {cfg.trainer.overfit_batches}, which replaces the data's sampler; "
            "choose few images with data.num_train=N and data.augmentation=null instead."
        )
    if cfg.trainer.get("limit_train_batches") == 0:
        raise ValueError("trainer.limit_train_batches is 0, which trains nothing; give at least 1 batch.")


def check_optimizer(module: CTCModule) -> None:
    """Make one optimizer now: later, processes have started already."""
    try:
        module.new_optimizer()
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{k}={v}" for k, v in getattr(module.make_optimizer, "keywords", {}).items())
        raise ValueError(f"optim.optimizer cannot have {given} ({error}); correct that value.") from error


def check_strategy(trainer: pl.Trainer, module: CTCModule) -> None:
    """Refuse what several processes would fail on in their first steps."""
    strategy = trainer.strategy
    if not isinstance(strategy, DDPStrategy):
        return
    if splits_batches(trainer):
        raise ValueError(
            "trainer.use_distributed_sampler is true, but data modules split images by rank; set it false."
        )
    if isinstance(trainer.accelerator, CPUAccelerator) and synchronises_batch_norm(strategy):
        raise ValueError(
            "trainer.sync_batchnorm=true needs GPUs, and this training is on the CPU; set it false, or take "
            "trainer=ddp_sim."
        )
    if ddp_options(strategy).get("broadcast_buffers", True):
        raise ValueError(
            f"the strategy of these {trainer.world_size} processes sends every buffer, all of the memory, to "
            "each of them in each step; take trainer=ddp (on the CPU ddp_sim), or set "
            "trainer.strategy.broadcast_buffers=false."
        )
    used = [set(stage.heads(module.network)) for stage in module.stages.values()]  # type: ignore[operator]
    everywhere = set.union(*used, set((module.network.projector or torch.nn.Module()).parameters()))
    if any(heads != everywhere for heads in used) and not ddp_options(strategy).get("find_unused_parameters"):
        raise ValueError(
            "trainer.strategy.find_unused_parameters is false, but a stage has a head that another does not "
            "use, at which DDP would stop; set it true."
        )


def train(cfg: DictConfig) -> float | tuple[float, ...]:
    """Train as ``cfg`` says and return the objectives in [0, 1], for sweepers: a number, of several a tuple.

    The default is the final validation accuracy; see `ctc_lightning.sweep.objectives`.
    """
    check_objectives(cfg)
    trainer, module, data = build(cfg)
    with training_lock(Path(cfg.paths.run_dir), needed=trainer.is_global_zero):
        return fit(cfg, trainer, module, data)


def fit(
    cfg: DictConfig, trainer: pl.Trainer, module: CTCModule, data: pl.LightningDataModule
) -> float | tuple[float, ...]:
    """Train what `build` made, in a run directory of its own; see `train`."""
    run_dir = Path(cfg.paths.run_dir)
    checkpoint = checkpoint_to_resume(cfg.resume, run_dir)
    if checkpoint is not None:
        changed = data_changes(checkpoint, data_record(data))
        check_fits(module, checkpoint, changed)
        images = cfg.data.batch_size * trainer.world_size * trainer.accumulate_grad_batches
        check_unchanged(plain(cfg), checkpoint, images, changed, allow=cfg.allow_changes)
        log.info("Resuming from %s", checkpoint)
    if trainer.is_global_zero:
        forget_objectives(run_dir)
        if checkpoint is None and cfg.resume == "never":
            forget_checkpoints(run_dir)
    for logger in trainer.loggers:
        if isinstance(logger, MetricsCSV):
            logger.begin_at(0 if checkpoint is None else finished_steps(checkpoint))
        logger.log_hyperparams({**plain(cfg), "images": image_record(data)})
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    if "val/top1" not in trainer.callback_metrics:  # the resumed run was over
        trainer.loggers = []
        trainer.validate(module, data, verbose=False)
    if not trainer.is_global_zero:
        return math.nan
    source = float(trainer.callback_metrics.get("val/top1", math.nan))
    values = final_objectives(cfg.objectives, source, run_dir)
    leave_if_told(trainer)
    return values[0] if len(values) == 1 else values


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
def run(cfg: DictConfig) -> Any:
    """One job of Hydra's."""
    job = HydraConfig.get()
    if job.mode == RunMode.MULTIRUN:
        return run_in_sweep(one_training, cfg, job.overrides.task)
    with plain_errors("train"):  # within the job, or Hydra announces a failure in words of its own
        set_up_console()
        return one_training(cfg, job.overrides.task)


def one_training(cfg: DictConfig, overrides: Sequence[str]) -> float | tuple[float, ...]:
    """Train, if the command line is no contradiction; the process can do so again afterwards."""
    refuse_unused(cfg, overrides)
    disband()  # of a sweep's job that has failed
    values = train(cfg)
    disband()
    return values


def disband() -> None:
    """Forget this job's ranks, so that a sweep's next job starts its own."""
    if dist.is_initialized():
        dist.destroy_process_group()
        for name in ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            os.environ.pop(name, None)


def main() -> None:
    """``python -m ctc_lightning.train``: errors of the user's are one sentence and exit code 2.

    A sweep of which jobs failed ends with exit code 1.
    """
    # Hydra takes flags before and after the settings, not between them
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in ("-m", "--multirun"))
    try:
        with wait_for_jobs() if "-m" in sys.argv or "--multirun" in sys.argv else nullcontext():
            launch(run, "train")
    except SweepError as failed:
        sys.stderr.write(f"error: {failed}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
