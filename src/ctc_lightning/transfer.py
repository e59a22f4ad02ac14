"""``python -m ctc_lightning.transfer``: compose, evaluate, tell. See ``conf/transfer.yaml``."""

if __name__ == "__main__":  # before the imports that --help and mistakes do not need
    from ctc_lightning.cli.early import answer_early

    answer_early("transfer")

import sys

import hydra
import torch
from omegaconf import DictConfig

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.console import set_up_console
from ctc_lightning.cli.errors import launch, plain_errors
from ctc_lightning.cli.option_types import check_types
from ctc_lightning.evaluation.evaluate import evaluate_all, make_protocols
from ctc_lightning.evaluation.results import Row


def transfer(cfg: DictConfig) -> list[Row]:
    """Evaluate what ``cfg`` names; returns the rows of what failed.

    Raises:
        ValueError: a value that cannot work.
    """
    return evaluate_all(cfg, make_protocols(cfg))


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="transfer")
def run(cfg: DictConfig) -> None:
    """One evaluation; exit code 1 if something failed."""
    with plain_errors("transfer"):
        set_up_console()
        check_types(cfg)
        if cfg.num_threads is not None:
            torch.set_num_threads(cfg.num_threads)
        if transfer(cfg):
            sys.exit(1)


def main() -> None:
    """``python -m ctc_lightning.transfer``: errors of the user's are one sentence and exit code 2."""
    launch(run, "transfer")


if __name__ == "__main__":
    main()
