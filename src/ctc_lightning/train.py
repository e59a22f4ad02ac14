"""Train a network: compose the configuration, build the parts, run. No mathematics here."""

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import hydra
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import distributed as dist

from ctc_lightning.checkpoint import check_fits, checkpoint_to_resume
from ctc_lightning.config_errors import plain_errors, refuse_unused
from ctc_lightning.module import CTCModule
from ctc_lightning.paths import config_dir

log = logging.getLogger("ctc_lightning")

_NOISE = (
    ".*LeafSpec.*",  # between Lightning and torch
    ".*`broadcast_buffers` is deprecated.*",  # its successor is younger than the oldest torch that we support
    ".*does not have many workers.*",  # images are in memory
    ".*smaller than the logging interval.*",  # short epochs: their means are logged
    ".*[Dd]irectory .* exists and is not empty.*",  # a resumed run's own
)


def build(cfg: DictConfig) -> tuple[pl.Trainer, CTCModule, pl.LightningDataModule]:
    """Make everything that a training needs; whatever is wrong with the configuration fails here.

    Args:
        cfg: the composed configuration, never changed.

    Returns:
        The trainer, the module and the data module, ready for ``trainer.fit(module, data)``.

    Raises:
        ValueError: a value or a combination that cannot work.
    """
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    if cfg.num_threads is not None:
        torch.set_num_threads(cfg.num_threads)
    data = instantiate(cfg.data)
    data.setup()
    network = instantiate(cfg.network, num_classes=data.num_classes, image_channels=data.image_shape[0])
    module = CTCModule(
        network=network,
        stages=dict(instantiate(cfg.model.stages)),
        optimizer=instantiate(cfg.optim.optimizer),
        schedule=instantiate(cfg.optim.schedule),
        label_N=data.train_label,
        max_epochs=cfg.trainer.max_epochs,
    )
    callbacks = {name: instantiate(callback) for name, callback in (cfg.get("callbacks") or {}).items() if callback}
    if "provenance" in callbacks:
        callbacks["provenance"].config = OmegaConf.to_container(cfg, resolve=True)
    loggers = [instantiate(logger) for logger in (cfg.get("logger") or {}).values()]
    trainer = instantiate(cfg.trainer, callbacks=list(callbacks.values()), logger=loggers)
    return trainer, module, data


def train(cfg: DictConfig) -> float:
    """Train as ``cfg`` says and return the final validation accuracy in [0, 1] (for sweepers)."""
    trainer, module, data = build(cfg)
    checkpoint = checkpoint_to_resume(cfg.resume, Path(cfg.paths.run_dir))
    if checkpoint is not None:
        check_fits(module, checkpoint)
        log.info("Resuming from %s", checkpoint)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    if "val/top1" not in trainer.callback_metrics:  # the resumed run was over
        trainer.validate(module, data, verbose=False)
    return float(trainer.callback_metrics["val/top1"])


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
def run(cfg: DictConfig) -> Any:
    """One job of Hydra's."""
    with plain_errors("train"):  # within the job, or Hydra announces a failure in words of its own
        speak_plainly()
        job = HydraConfig.get()
        refuse_unused(cfg, job.overrides.task)
        if job.mode == RunMode.RUN:
            return train(cfg)
        sys.argv[1:] = [*job.overrides.task, f"paths.run_dir='{cfg.paths.run_dir}'"]  # Lightning's further ranks
        try:
            return train(cfg)
        finally:
            disband()


def speak_plainly() -> None:
    """Say what concerns this run; leave out what Lightning tells everybody."""
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    for message in _NOISE:
        warnings.filterwarnings("ignore", message)


def disband() -> None:
    """Forget the ranks of a sweep's job that is over, so that the next one starts its own."""
    if dist.is_initialized():
        dist.destroy_process_group()
        for name in ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            os.environ.pop(name, None)


def main() -> None:
    """``python -m ctc_lightning.train``: errors of the user's are one sentence and exit code 2."""
    with plain_errors("train"):
        run()


if __name__ == "__main__":
    main()
