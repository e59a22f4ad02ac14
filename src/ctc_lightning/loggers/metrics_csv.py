"""``metrics.csv`` that survives a resume."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment


class MetricsCSV(CSVLogger):
    """Lightning's CSVLogger, writing ``metrics.csv`` straight into ``run_dir`` and at once.

    Lightning's own deletes the file of the run that is resumed; this one continues it, dropping only the
    rows of steps that the resumed run logs again.

    Args:
        run_dir: the run's directory.
    """

    def __init__(self, run_dir: str) -> None:
        super().__init__(save_dir=run_dir, name="", version="", flush_logs_every_n_steps=1)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made on first use."""
        if self._experiment is None:
            self._experiment = _ContinuedWriter(log_dir=self.save_dir)
        return self._experiment


class _ContinuedWriter(ExperimentWriter):
    """Goes on below the rows that an earlier process left."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        self.unchecked = path.exists()
        if self.unchecked:
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        if self.unchecked and step is not None:
            self._drop_steps_from(step)
            self.unchecked = False
        super().log_metrics(metrics_dict, step)

    def _drop_steps_from(self, step: int) -> None:
        path = Path(self.metrics_file_path)
        with path.open(newline="") as file:
            kept = [row for row in csv.DictReader(file) if int(row["step"]) < step]
        beside = path.with_suffix(".tmp")
        with beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            writer.writeheader()
            writer.writerows(kept)
        beside.replace(path)
