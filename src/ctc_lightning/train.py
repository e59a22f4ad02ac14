"""Train a network: compose the configuration, build the parts, run. No mathematics here."""

import logging
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

from ctc_lightning.checkpoint import check_fits, checkpoint_to_resume
from ctc_lightning.config_errors import plain_errors, refuse_unused
from ctc_lightning.module import CTCModule
from ctc_lightning.paths import config_dir


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
    callbacks = {name: instantiate(callback) for name, callback in cfg.callbacks.items() if callback}
    if "provenance" in callbacks:
        callbacks["provenance"].config = OmegaConf.to_container(cfg, resolve=True)
    loggers = [instantiate(logger) for logger in (cfg.logger or {}).values()]
    trainer = instantiate(cfg.trainer, callbacks=list(callbacks.values()), logger=loggers)
    return trainer, module, data


def train(cfg: DictConfig) -> float:
    """Train as ``cfg`` says and return the final validation accuracy in [0, 1] (for sweepers)."""
    trainer, module, data = build(cfg)
    checkpoint = checkpoint_to_resume(cfg.resume, Path(cfg.paths.run_dir))
    if checkpoint is not None:
        check_fits(module, checkpoint)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    return float(trainer.callback_metrics["val/top1"])


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
def run(cfg: DictConfig) -> Any:
    """One job of Hydra's."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    refuse_unused(cfg, HydraConfig.get().overrides.task)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        sys.argv[1:] = HydraConfig.get().overrides.task  # what Lightning's launcher starts further ranks with
    return train(cfg)


def main() -> None:
    """``python -m ctc_lightning.train``: errors of the user's are one sentence and exit code 2."""
    with plain_errors("train"):
        run()


if __name__ == "__main__":
    main()
