"""``python -m ctc_lightning.information``: information of finished runs. See ``conf/information.yaml``."""

if __name__ == "__main__":  # before the imports that --help and mistakes do not need
    from ctc_lightning.cli.early import answer_early

    answer_early("information")

import sys
from typing import Any

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig

from ctc_lightning.checks import count
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.console import set_up_console
from ctc_lightning.cli.errors import launch, plain_errors
from ctc_lightning.cli.option_types import check_types
from ctc_lightning.evaluation.evaluate import evaluate_all
from ctc_lightning.evaluation.protocol import Protocol
from ctc_lightning.evaluation.results import Row
from ctc_lightning.information.protocols import InputInformation, LabelInformation


def information(cfg: DictConfig) -> list[Row]:
    """Estimate what ``cfg`` asks for; returns the rows of what failed.

    Raises:
        ValueError: a value that cannot work.
    """
    protocols = information_protocols(cfg)
    if not protocols:
        raise ValueError("there is no estimator; choose some, for example estimator@xt=[noisy_channel].")
    return evaluate_all(cfg, protocols)


def information_protocols(cfg: DictConfig) -> dict[str, Protocol]:
    """By name: ``xt_ESTIMATOR/X/NOISE`` and ``ty_ESTIMATOR``; what makes no difference is not in the name.

    Raises:
        ValueError: a value that cannot work.
    """
    folds = {"folds": cfg.folds, "max_images": cfg.max_images}
    count("information", **folds)
    noises = list(cfg.noise) if isinstance(cfg.noise, ListConfig) else [cfg.noise]
    if not noises or not all(isinstance(noise, int | float) for noise in noises):
        raise ValueError(f"noise is {cfg.noise}; it must be a number, or a list of some.")
    inputs = instantiate(cfg.input_view)
    protocols: dict[str, Protocol] = {}
    for name, estimator in _estimators(cfg, "xt").items():
        for noise in noises:
            x = f"/{inputs.name}" if estimator.uses_x else ""
            protocols[f"xt_{name}{x}" + (f"/{noise:g}" if noise else "")] = InputInformation(
                estimator=estimator, x=inputs, noise=noise, **folds
            )
    for name, estimator in _estimators(cfg, "ty").items():
        protocols[f"ty_{name}"] = LabelInformation(estimator=estimator, **folds)
    return protocols


def _estimators(cfg: DictConfig, quantity: str) -> dict[str, Any]:
    return {str(name): instantiate(node) for name, node in (cfg.get(quantity) or {}).items() if node}


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="information")
def run(cfg: DictConfig) -> None:
    """One evaluation; exit code 1 if something failed."""
    with plain_errors("information"):
        set_up_console()
        check_types(cfg)
        if cfg.num_threads is not None:
            torch.set_num_threads(cfg.num_threads)
        if information(cfg):
            sys.exit(1)


def main() -> None:
    """``python -m ctc_lightning.information``: configuration errors are one line and exit code 2."""
    launch(_run_or_refuse, "information")


def _run_or_refuse() -> None:
    if sys.argv[1:2] == ["calibrate"]:
        raise ValueError("calibrate is no longer a subcommand; run `make calibrate` in a checkout instead.")
    run()


if __name__ == "__main__":
    main()
