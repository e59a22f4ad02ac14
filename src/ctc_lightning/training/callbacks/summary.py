"""A few plain sentences when a run is over."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl

from ctc_lightning.evaluation.results import ResultsTable

log = logging.getLogger(__name__)

Curves = Mapping[tuple[str, str, str], Mapping[int, float]]  # (protocol, target, metric) -> epoch -> value


class Summary(pl.Callback):
    """Tells, from ``results.csv``, where source accuracy and each target peaked and where they ended.

    The peak is the test accuracy at the epoch that was best on validation.

    Args:
        run_dir: the run's directory.
        protocol: the probe to tell of.
    """

    def __init__(self, run_dir: str, protocol: str) -> None:
        self.run_dir = Path(run_dir)
        self.protocol = protocol

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say it, on rank 0."""
        if not trainer.is_global_zero:
            return
        table = ResultsTable(self.run_dir / "results.csv")
        curves: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
        for row in table.rows():
            curves[row.protocol, row.target, row.metric][row.epoch] = row.value
        log.info("\n".join(["", *self.sentences(curves), f"Everything is in {self.run_dir}"]))

    def sentences(self, curves: Curves) -> list[str]:
        """One sentence for the source, one for each target."""
        lines = []
        for (protocol, target, metric), test in curves.items():
            val = curves.get((protocol, target, f"val_{metric}"))
            if val is None or protocol not in ("classifier", self.protocol):
                continue
            peak_epoch, last = max(val, key=lambda epoch: (val[epoch], -epoch)), max(test)
            peak, final = test[peak_epoch], test[last]
            if protocol == "classifier":
                lines.append(f"Source accuracy is {final:.1%} at epoch {last}.")
            elif peak_epoch == last:
                lines.append(f"  {target}: {final:.1%}, its best ({protocol} probe).")
            else:
                lines.append(
                    f"  {target}: {peak:.1%} at epoch {peak_epoch}, {final:.1%} at the end, "
                    f"{_change(100 * (final - peak))}."
                )
        return lines


def _change(points: float) -> str:
    if round(points, 1) == 0:
        return "no change"
    return f"{abs(points):.1f} points {'gained' if points > 0 else 'lost'}"
