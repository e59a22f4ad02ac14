"""Answer ``--help`` and refuse unknown keys and choices before torch and the rest are imported."""

import sys
from importlib import import_module
from string import Template

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.errors import plain_errors
from ctc_lightning.cli.overrides import literal

_HELP = ("--help", "-h")


def answer_early(config_name: str) -> None:
    """End the process if the command line needs no work; else return.

    Hydra composes again for the program: that costs less than importing what a mistake does not need.

    Args:
        config_name: of the program's configuration.
    """
    arguments = sys.argv[1:]
    if set(arguments) & set(_HELP):
        given = literal([word for word in arguments if not word.startswith("-")])
        with plain_errors(config_name), initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose(config_name, given, return_hydra_config=True)
            text = cfg.hydra.help.template
            with open_dict(cfg):
                del cfg["hydra"]
            sys.stdout.write(f"{Template(text).substitute(CONFIG=OmegaConf.to_yaml(cfg))}\n")
        sys.exit(0)
    if any(word.startswith(("-", "hydra", "sweep")) or "," in word for word in arguments):
        return  # a sweep, or another search path
    with plain_errors(config_name), initialize_config_dir(str(config_dir()), version_base="1.3"):
        compose(config_name, literal(arguments))
    GlobalHydra.instance().clear()


def start(module: str, config_name: str) -> None:
    """Run an installed command: the ``main`` of a module that is imported only if there is work."""
    answer_early(config_name)
    import_module(module).main()


def train() -> None:
    """``ctc-train``."""
    start("ctc_lightning.train", "train")


def transfer() -> None:
    """``ctc-transfer``."""
    start("ctc_lightning.transfer", "transfer")


def information() -> None:
    """``ctc-information``."""
    start("ctc_lightning.information.__main__", "information")


def export() -> None:
    """``ctc-export``."""
    start("ctc_lightning.export.command", "export")


def predict() -> None:
    """``ctc-predict``."""
    start("ctc_lightning.predict", "predict")
