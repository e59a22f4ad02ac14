"""Runs from W&B's server: ``wandb:ENTITY/PROJECT`` or ``wandb:ENTITY/PROJECT/ID``."""

from importlib import import_module
from typing import Any

from ctc_lightning.analysis.frames.logged.run import Call, LoggedRun

PREFIX = "wandb:"
STEP = "trainer/global_step"  # Lightning's; W&B's own _step counts calls


def read_wandb_api(address: str, api: Any = None) -> list[LoggedRun]:
    """All runs of a project, or one, with their whole history.

    Args:
        address: as above.
        api: a ``wandb.Api``; None: one that is made with the user's key.

    Raises:
        ValueError: the address has another form, there is nothing at it, or W&B cannot be reached.
    """
    parts = address.removeprefix(PREFIX).split("/")
    if not (2 <= len(parts) <= 3 and all(parts)):
        raise ValueError(
            f"{address} is no W&B address: write wandb:ENTITY/PROJECT or wandb:ENTITY/PROJECT/ID"
        )
    wandb = import_module("wandb")
    project = "/".join(parts[:2])
    try:
        api = api or wandb.Api()
        found = [api.run("/".join(parts))] if len(parts) == 3 else api.runs(project)
        runs = [_read(run, f"{PREFIX}{project}/{run.id}") for run in found]
    except (wandb.errors.Error, ValueError, OSError) as problem:  # requests' errors are of the last kind
        reason = " ".join(str(problem).split()).rstrip(".")
        raise ValueError(
            f"{address} cannot be read ({reason}): check the address and the network, and log in with "
            "`wandb login`, or give the run's directory"
        ) from problem
    if not runs:
        raise ValueError(f"{address} holds no run: check the project's name")
    return runs


def _read(run: Any, path: str) -> LoggedRun:
    config = {key: value for key, value in dict(run.config).items() if key != "_wandb"}
    calls = [call for logged in run.scan_history() for call in _call_of(logged)]
    return LoggedRun(path, config, calls, run.name or "")


def _call_of(logged: dict[str, Any]) -> list[Call]:
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
