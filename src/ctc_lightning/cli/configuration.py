"""Where the configuration is (the wheel's copy, else the checkout's ``conf/``), and what loggers write."""

import shutil
import textwrap
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ctc_lightning.cli.run_name import short, started

_PACKAGE = Path(__file__).resolve().parents[1]

# Below a run's directory
TENSORBOARD = "tensorboard"  # the folder of event files
WANDB_ID = Path("wandb") / "ctc_run_id"  # the file that keeps the id of its W&B run


def config_dir() -> Path:
    """The folder of YAML files that belongs to this installation.

    Raises:
        FileNotFoundError: neither the checkout nor the wheel has one.
    """
    candidates = (_PACKAGE / "conf", _PACKAGE.parents[1] / "conf")  # a wheel may lie beside another's conf/
    for folder in candidates:
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no train.yaml in {' or '.join(map(str, candidates))}; reinstall ctc_lightning.")


def choices(*groups: str) -> str:
    """Lines for a ``--help``: each group of the configuration and its files, wrapped to the terminal."""
    width, indent = min(shutil.get_terminal_size().columns, 100), max(map(len, groups), default=0) + 4
    return "\n".join(
        textwrap.fill(
            ", ".join(sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))),
            width,
            initial_indent=f"  {group}".ljust(indent),
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
        )
        for group in groups
    )


def on_gpu(value: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """``value`` where ``trainer.accelerator`` is a GPU, else ``otherwise``."""
    import torch  # noqa: PLC0415  # --help does not need it

    accelerator = _root_.trainer.accelerator
    chosen = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    return value if chosen else otherwise


# What conf/ calls
OmegaConf.register_new_resolver("started", started, use_cache=True, replace=True)
OmegaConf.register_new_resolver("short", short, replace=True)
OmegaConf.register_new_resolver("choices", choices, replace=True)
OmegaConf.register_new_resolver("on_gpu", on_gpu, replace=True)
OmegaConf.register_new_resolver("conf", lambda: str(config_dir()), replace=True)
