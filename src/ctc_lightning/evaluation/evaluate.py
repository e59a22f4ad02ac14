"""The evaluation of all that a configuration names: one subject after the other, as they come."""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from ctc_lightning.evaluation.closing_table import closing_table
from ctc_lightning.evaluation.evaluator import Networks, Work
from ctc_lightning.evaluation.measurement import FAILURES, ImageDigests, Moment
from ctc_lightning.evaluation.protocol import Protocol
from ctc_lightning.evaluation.results import NO_EPOCH, ResultsTable, Row
from ctc_lightning.evaluation.sources import WHOLE, Found, find_subjects, method_and_seed
from ctc_lightning.training.training_lock import is_in_training

log = logging.getLogger("ctc_lightning")

_POLL_SECONDS = 20


def evaluate_all(cfg: DictConfig, protocols: Mapping[str, Protocol]) -> list[Row]:
    """Evaluate what ``cfg`` names under every protocol; returns the rows of what failed.

    Args:
        cfg: with the keys of ``conf/evaluation/default.yaml``, ``network`` and ``paths``.
        protocols: by the name that stands in the table.

    Raises:
        ValueError: a value that cannot work.
    """
    device = find_device(cfg.device)
    failed: list[Row] = []
    subjects = find_subjects(cfg)
    for folder, found in subjects.items():
        while True:
            # before looking: what comes later is seen next
            in_training = cfg.watch and is_in_training(folder)
            try:
                failed += evaluate(cfg, found, protocols, device)
            except FAILURES as error:
                if len(subjects) == 1:
                    raise
                failed.append(note_failure(folder, error))
            if not in_training:
                if cfg.watch and not has_finished(folder):
                    log.warning(
                        "%s is no longer in training and has not finished; resume it (resume=auto), then run "
                        "this command again.",
                        folder,
                    )
                break
            time.sleep(_POLL_SECONDS)
    for (protocol, target, note), rows in group_failures(failed).items():
        epoch = "" if rows[0].epoch == NO_EPOCH else f", epoch {rows[0].epoch}"
        where = f"{rows[0].run}{epoch}" + (f" and {len(rows) - 1} more" if rows[1:] else "")
        log.warning("failed: %s on %s: %s (%s)", protocol, target, note, where)
    return failed


def note_failure(folder: Path, error: Exception) -> Row:
    """Of a run that cannot be evaluated at all, in its table: the other runs go on."""
    row = Moment(folder.name, *method_and_seed(folder), NO_EPOCH, NO_EPOCH).failure(
        "setup", WHOLE, str(error)
    )
    ResultsTable(folder / "results.csv").put([row])
    return row


def group_failures(failed: list[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """Those of the same (protocol, target, reason)."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in failed:
        groups.setdefault((row.protocol, row.target, row.note), []).append(row)
    return groups


def evaluate(
    cfg: DictConfig,
    found: Found,
    protocols: Mapping[str, Protocol],
    device: torch.device,
) -> list[Row]:
    """One subject, as far as it has come; returns the rows of what failed."""
    work, broken = begin(cfg, found, protocols, device)
    if work is None:
        return broken
    work.run(cfg.target)
    work.subject.table.compact()
    log.info("%s", closing_table(work.subject, protocols))
    if work.elsewhere:
        log.info("%d measurements are left to other processes that are at them.", work.elsewhere)
    return [*broken, *work.failed]


def begin(
    cfg: DictConfig, found: Found, protocols: Mapping[str, Protocol], device: torch.device
) -> tuple[Work | None, list[Row]]:
    """The work on one subject (None: there is none yet), and a row for each checkpoint that is unreadable."""
    subject, broken = found()
    if subject is None:
        return None, broken
    networks = Networks(subject, device, ImageDigests(), keep_features=cfg.keep_features)
    return Work(subject, protocols, networks), broken


def make_protocols(cfg: DictConfig) -> dict[str, Protocol]:
    """The protocols that the configuration names.

    Raises:
        ValueError: there are none.
    """
    made = {str(name): instantiate(p) for name, p in (cfg.get("protocol") or {}).items() if p}
    if not made:
        raise ValueError("there is no protocol; choose some, for example protocol=[logreg,knn].")
    return made


def has_finished(folder: Path) -> bool:
    """Whether the run has recorded its end, or nothing at all."""
    try:
        return json.loads((folder / "provenance.json").read_text())["status"] != "running"
    except (OSError, ValueError, KeyError):
        return True


def find_device(name: str) -> torch.device:
    """``auto``: a GPU if there is one.

    Raises:
        ValueError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={name} cannot be used ({reason}); choose auto, cpu or cuda.") from error
