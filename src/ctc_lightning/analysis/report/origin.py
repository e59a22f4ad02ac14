"""Where the numbers of a data set come from, in one line."""

from typing import Any

import pandas as pd

from ctc_lightning.analysis.frames.runs import read_provenance

_PACKAGES = ("torch", "pytorch-lightning", "scikit-learn")  # that numbers depend on most


def origin(runs: pd.DataFrame) -> str:
    """Number of runs and seeds, duration, hardware, commit and versions."""
    trained = runs[~runs["plain"]]
    paths = (trained if len(trained) else runs)["path"].unique()
    records = [read_provenance(path) for path in paths]
    hardware, commit = (
        " and ".join(dict.fromkeys(str(record.get(key) or "unknown") for record in records))
        for key in ("hardware", "commit")
    )
    minutes = sum(record.get("seconds", 0) for record in records) / 60
    kind = "run" if len(trained) else "backbone"
    counted = (
        f"{_plural(len(records), kind)}, {_plural(runs['seed'].nunique(), 'seed')}, {minutes:.1f} minutes"
    )
    if unfinished := sum(record.get("status") == "running" for record in records):
        counted += f" ({unfinished} unfinished: the last epoch so far counts as the end)"
    versions = " and ".join(dict.fromkeys(_versions(record) for record in records))
    return f"{counted}; hardware: {hardware}; commit: {commit}; {versions}"


def _versions(record: dict[str, Any]) -> str:
    """``torch 2.6.0, …``, as far as the run recorded them."""
    known = record.get("versions") or {}
    shown = [f"{name} {known[name]}" for name in _PACKAGES if name in known]
    return ", ".join(shown) or "versions: unknown"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
