"""What a run left beside its checkpoint, and its configuration as it may be published."""

import json
from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

from ctc_lightning.evaluation.measurement import headlines
from ctc_lightning.evaluation.results import FAILED, ResultsTable, Row

_PUBLISHED = ("method", "seed", "data", "network", "model", "optim", "trainer")
_OF_THIS_MACHINE = {"root", "cache_dir", "shard_cache", "default_root_dir"}
_OF_THIS_MACHINE |= {"num_workers", "prefetch_factor", "worker_timeout"}


def run_of(checkpoint: Path) -> Path | None:
    """The run directory of ``RUN_DIR/checkpoints/FILE.ckpt``; None of a file that lies elsewhere."""
    folder = checkpoint.resolve().parent
    return folder.parent if folder.name == "checkpoints" else None


def provenance(checkpoint: Path) -> dict[str, Any]:
    """``provenance.json`` of its run; empty without one."""
    run_dir = run_of(checkpoint)
    try:
        record = json.loads((run_dir / "provenance.json").read_text()) if run_dir else {}
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def figures(checkpoint: Path, epoch: int) -> list[Row]:
    """What was measured at an epoch: each target's own test metric, and what else has an interval.

    Raises:
        ValueError: ``results.csv`` is damaged.
    """
    run_dir = run_of(checkpoint)
    if run_dir is None:
        return []
    rows = [
        row
        for row in ResultsTable(run_dir / "results.csv").rows()
        if row.epoch == epoch and row.metric != FAILED
    ]
    own = headlines(rows)
    judged = {(row.protocol, row.target) for row in own}
    return [
        row for row in rows if row in own or ((row.protocol, row.target) not in judged and not isnan(row.low))
    ]


def published_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the training depended on, without the places of one machine and one account."""
    return {key: _without_places(config[key]) for key in _PUBLISHED if key in config}


def _without_places(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_places(value) for key, value in node.items() if key not in _OF_THIS_MACHINE}
    if isinstance(node, list | tuple):
        return [_without_places(value) for value in node]
    if isinstance(node, str) and (Path(node).is_absolute() or node.startswith("~")):
        return Path(node).name
    return node
