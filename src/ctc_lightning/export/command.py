"""Export a network: find the checkpoint, write one format and the model card. See ``conf/export.yaml``."""

import logging
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.console import set_up_console
from ctc_lightning.cli.errors import launch, plain_errors
from ctc_lightning.cli.option_types import check_types
from ctc_lightning.export.card import model_card
from ctc_lightning.export.format import Format
from ctc_lightning.export.record import run_of
from ctc_lightning.export.trained import find_checkpoint, open_trained
from ctc_lightning.files.atomic_write import atomic_folder

log = logging.getLogger("ctc_lightning")

CARD = "README.md"


def export(cfg: DictConfig, format_name: str) -> Path:
    """Write what ``cfg`` names; returns the folder.

    Args:
        cfg: the composed configuration.
        format_name: the chosen one's, for the folder's name.

    Raises:
        ValueError: a value that cannot work, a checkpoint that cannot be read, a format that cannot hold it.
    """
    written: Format = instantiate(cfg.format)
    file = find_checkpoint(Path(cfg.checkpoint), cfg.which)
    home = run_of(file) or file.parent
    folder = Path(cfg.output) if cfg.output else home / "export" / f"{file.stem}_{format_name}"
    check_free(folder, overwrite=cfg.overwrite)
    trained = open_trained(file, classifier=cfg.classifier, trust=cfg.trust)
    with atomic_folder(folder) as beside:
        loading = written.write(trained, beside)
        card = model_card(
            trained,
            library=written.library,
            loading=loading,
            files=sorted(path.name for path in beside.iterdir()),
            license_id=cfg.license,
        )
        (beside / CARD).write_text(card, encoding="utf-8")
    what = f"{trained.num_features} features" + (
        f", {trained.num_classes} classes" if trained.num_classes else ""
    )
    log.info("%s (%s, %s) is in %s", trained.title, what, trained.snapshot.when, folder)
    return folder


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write where something is.

    Raises:
        ValueError: a file is there, or a folder that is not empty unless ``overwrite``.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output={folder} is a file; name a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ValueError(
            f"output={folder} exists; name another folder, or set overwrite=true to replace its files."
        )


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="export")
def run(cfg: DictConfig) -> None:
    """One export."""
    with plain_errors("export"):
        set_up_console()
        check_types(cfg)
        export(cfg, HydraConfig.get().runtime.choices["format"])


def main() -> None:
    """``python -m ctc_lightning.export``: errors of the user's are one sentence and exit code 2."""
    launch(run, "export")
