"""One run as its logger knows it: the configuration, and what was logged, call by call."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

Config = Mapping[str, Any]
PROBE = "transfer/"  # what `TransferProbe` logs; transfer/epoch says after how many epochs
DTYPES = {
    "run": "str",
    "method": "str",
    "seed": "int64",
    "step": "int64",
    "epoch": "Int64",
    "name": "str",
    "value": "float64",
}


class Call(NamedTuple):
    """What was logged at once, at Lightning's step: optimizer steps before the one that was just done."""

    step: int
    values: Mapping[str, float]


class LoggedRun(NamedTuple):
    """A run.

    Attributes:
        path: where it was read; in W&B's cloud ``wandb:ENTITY/PROJECT/ID``.
        config: the composed configuration.
        calls: in the order of logging.
        name: where the configuration does not say its directory.
    """

    path: str
    config: Config
    calls: list[Call]
    name: str = ""

    @property
    def run(self) -> str:
        """As in ``results.csv``: the name of its directory when it was trained."""
        folder = (self.config.get("paths") or {}).get("run_dir")
        return Path(folder).name if folder else self.name or Path(self.path).name

    def frame(self) -> pd.DataFrame:
        """Columns run, method, seed, step, epoch, name, value, see `load_metrics`.

        Raises:
            ValueError: the configuration does not name data, method and seed; nothing was logged.
        """
        method, seed = check_config(self.config, self.path)
        calls = continued(self.calls)
        epochs = _Epochs(calls)
        rows = [
            (call.step, epochs.of(call, name), name, value)
            for call in calls
            for name, value in call.values.items()
            if name not in ("epoch", f"{PROBE}epoch")
        ]
        if not rows:
            raise ValueError(f"{self.path} has logged nothing yet: wait for its first epoch to end")
        frame = pd.DataFrame(rows, columns=["step", "epoch", "name", "value"])
        frame = frame.drop_duplicates(["step", "epoch", "name"], keep="last")
        frame = frame.assign(run=self.run, method=method, seed=seed)
        return frame[[*DTYPES]].astype(DTYPES).reset_index(drop=True)


def check_config(config: Config, path: str) -> tuple[str, int]:
    """The method's name and the seed.

    Raises:
        ValueError: they or ``data.name`` are missing.
    """
    try:
        _, method, seed = config["data"]["name"], str(config["method"]), int(config["seed"])
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(
            f"{path} does not say its data.name, method and seed: its logger must be given the composed "
            "configuration, as python -m ctc_lightning.train does"
        ) from problem
    return method, seed


def continued(calls: list[Call]) -> list[Call]:
    """Without what a killed process logged of the steps that the one which resumed it logged again."""
    kept: list[Call] = []
    for call in calls:
        if kept and call.step < kept[-1].step:
            kept = kept[: bisect_left(kept, call.step, key=lambda before: before.step)]
        kept.append(call)
    return kept


class _Epochs:
    """The epoch of a number, from Lightning's own ``epoch`` (from 0, beside most numbers) and the steps."""

    def __init__(self, calls: list[Call]) -> None:
        last: dict[int, int] = {}
        for call in calls:
            if "epoch" in call.values:
                last[int(call.values["epoch"])] = call.step
        self.epochs, self.last_steps = sorted(last), [last[epoch] for epoch in sorted(last)]

    def of(self, call: Call, name: str) -> int | None:
        if name.startswith(PROBE):
            if f"{PROBE}epoch" in call.values:
                return int(call.values[f"{PROBE}epoch"])
            return self._finished(bisect_right(self.last_steps, call.step))
        if "epoch" in call.values:
            return int(call.values["epoch"]) + 1
        before = self._finished(bisect_left(self.last_steps, call.step))
        return None if before is None else before + 1

    def _finished(self, num_ends: int) -> int | None:
        if not self.epochs:
            return None
        return self.epochs[num_ends - 1] + 1 if num_ends else self.epochs[0]
