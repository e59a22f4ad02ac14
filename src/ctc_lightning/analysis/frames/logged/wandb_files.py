"""Runs from W&B's own files, offline or not: no server, no service."""

import json
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ctc_lightning.analysis.frames.logged.run import Call, LoggedRun
from ctc_lightning.analysis.frames.logged.wandb_log import wandb_records

STEP = "trainer/global_step"  # Lightning's; W&B's own _step counts calls


def read_wandb_files(path: str, files: Sequence[Path]) -> LoggedRun:
    """One run of one or several processes, which resumed it.

    Args:
        path: what the run is called by.
        files: ``run-ID.wandb`` of each process, in their order.

    Raises:
        ValueError: a file is none of W&B's.
    """
    record_type = import_module("wandb.proto.wandb_internal_pb2").Record
    config: dict[str, Any] = {}
    calls: list[Call] = []
    name = ""
    for file in files:
        for data in wandb_records(file):
            record = record_type.FromString(data)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                name = record.run.display_name or name
                _update(config, record.run.config.update)
            elif kind == "config":
                _update(config, record.config.update)
            elif kind == "history":
                logged: dict[str, Any] = {}
                _update(logged, record.history.item)
                calls += call_of(logged)
    config.pop("_wandb", None)
    return LoggedRun(path, config, calls, name)


def call_of(logged: dict[str, Any]) -> list[Call]:
    """The numbers of a row of W&B's history; none where the row has no step of Lightning's."""
    if not isinstance(logged.get(STEP), int | float):
        return []
    values = {
        name: float(value)
        for name, value in logged.items()
        if not name.startswith("_") and name != STEP and _is_number(value)
    }
    return [Call(int(logged[STEP]), values)] if values else []


def _is_number(value: Any) -> bool:
    """W&B writes what JSON has no number for as words."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number or value in ("NaN", "Infinity", "-Infinity")


def _update(values: dict[str, Any], items: Iterable[Any]) -> None:
    for item in items:
        node = values
        *parents, key = item.nested_key or [item.key]
        for parent in parents:
            node = node.setdefault(parent, {})
        node[key] = json.loads(item.value_json)
