"""Where the configuration is (the wheel's copy, else the checkout's ``conf/``), and what loggers write."""

from pathlib import Path

from omegaconf import OmegaConf

from ctc_lightning.run_name import started

_PACKAGE = Path(__file__).resolve().parent

# Below a run's directory
TENSORBOARD = "tensorboard"  # the folder of event files
WANDB_ID = Path("wandb") / "ctc_run_id"  # the file that keeps the id of its W&B run

OmegaConf.register_new_resolver("started", started, use_cache=True, replace=True)  # where conf/ is read


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
