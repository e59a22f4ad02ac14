"""What a training is judged by in a sweep: source accuracy and transfer, both on validation images."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ctc_lightning.files.atomic_write import RESUME, write_text

OBJECTIVES = ("source", "transfer")
FILE = "objectives.json"  # in the run's directory as long as the training there is over


def check_objectives(cfg: DictConfig) -> None:
    """Refuse before training what could not be answered after it.

    Raises:
        ValueError: an objective that there is not, one named twice, none, or transfer without a probe.
    """
    names: Any = OmegaConf.to_container(cfg.objectives) if OmegaConf.is_list(cfg.objectives) else None
    if not names or len({*names}) < len(names) or not {*names} <= {*OBJECTIVES}:
        raise ValueError(f"objectives is {cfg.objectives}; give a list of {' and '.join(OBJECTIVES)}.")
    if "transfer" in names and not OmegaConf.select(cfg, "callbacks.transfer_probe"):
        raise ValueError(
            "objectives has transfer, which nobody would measure: callbacks.transfer_probe is null; put it "
            "back, or set objectives=[source]."
        )


def final_objectives(names: Sequence[str], source: float, run_dir: Path) -> tuple[float, ...]:
    """The objectives of a finished training, in their order; also written to ``objectives.json``.

        source   = the network's own validation accuracy after the last epoch
        transfer = mean over targets of the probe's validation accuracy after the last epoch

    The probe is the headline (whitened, else logreg, else the first). Nothing here reads a test split: who
    chooses by these numbers may report test accuracy.

    Args:
        names: of `OBJECTIVES`.
        source: as above, in [0, 1].
        run_dir: with ``results.csv``.

    Raises:
        ValueError: a target could not be measured.
    """
    values = {name: source if name == "source" else _transfer(run_dir) for name in names}
    if not any(map(math.isnan, values.values())):  # NaN is no JSON
        write_text(run_dir / FILE, json.dumps(values, indent=2) + "\n", RESUME)
    return tuple(values.values())


def read_objectives(names: Sequence[str], run_dir: Path) -> tuple[float, ...] | None:
    """What `final_objectives` wrote; None where the training is not over, or was judged by less."""
    try:
        values = json.loads((run_dir / FILE).read_text())
        return tuple(float(values[name]) for name in names)
    except (OSError, ValueError, KeyError):
        return None


def forget_objectives(run_dir: Path) -> None:
    """Training begins, or goes on."""
    (run_dir / FILE).unlink(missing_ok=True)


def _transfer(run_dir: Path) -> float:
    import pandas as pd  # noqa: PLC0415  # only this objective needs it

    from ctc_lightning.analysis.frames.trade_off import headline, measured_targets  # noqa: PLC0415
    from ctc_lightning.evaluation.results import FAILED, ResultsTable  # noqa: PLC0415  # imports torch

    rows = ResultsTable(run_dir / "results.csv").rows()
    last = max((row.epoch for row in rows), default=0)
    rows = [row for row in rows if row.epoch == last]
    frame = pd.DataFrame(rows, columns=rows[0]._fields if rows else ["protocol", "target", "metric"])
    protocol = headline(frame)
    for row in rows:
        if row.metric == FAILED and row.protocol == protocol:
            raise ValueError(f"objectives: {protocol} on {row.target} was not measured: {row.note}")
    return float(frame.loc[measured_targets(frame) & (frame["protocol"] == protocol), "value"].mean())
