"""``metrics.csv`` that survives a resume."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment

from ctc_lightning.files.atomic_write import RESUME, atomic_file, write_errors


class MetricsCSV(CSVLogger):
    """Lightning's CSVLogger, writing ``metrics.csv`` straight into ``run_dir`` and at once.

    Lightning's own deletes the file of the run that is resumed; this one continues it, dropping only the
    rows of steps that the resumed run makes again.

    Args:
        run_dir: the run's directory.
    """

    def __init__(self, run_dir: str) -> None:
        super().__init__(save_dir=run_dir, name="", version="", flush_logs_every_n_steps=1)
        self.first_step = 0

    def begin_at(self, step: int) -> None:
        """Keep the rows of the steps (from 0) before this one, which training goes on with."""
        self.first_step = step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made on first use."""
        if self._experiment is None:
            self._experiment = _ContinuedWriter(self.save_dir, self.first_step)
        return self._experiment


class _ContinuedWriter(ExperimentWriter):
    """Goes on below the rows that an earlier process left; a file is replaced as a whole."""

    def __init__(self, log_dir: str, first_step: int) -> None:
        super().__init__(log_dir)
        self.first_step = first_step

    def _check_log_dir_exists(self) -> None:
        self.path = Path(self.metrics_file_path)
        self.continues = self.path.exists()
        if self.continues:
            self.metrics_keys = list(self._read().fieldnames or [])

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        if self.continues:
            self.continues = False
            self._replace(row for row in self._read() if int(row["step"]) < self.first_step)
        super().log_metrics(metrics_dict, step)

    def save(self) -> None:
        with write_errors(self.path, RESUME):
            super().save()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        self._replace(self._read())

    def _read(self) -> "csv.DictReader[str]":
        """Whole lines only: the process may have been killed while it wrote."""
        lines = self.path.read_text().splitlines(keepends=True)
        return csv.DictReader(line for line in lines if line.endswith("\n"))

    def _replace(self, rows: Iterable[dict[str, Any]]) -> None:
        with atomic_file(self.path, RESUME) as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
