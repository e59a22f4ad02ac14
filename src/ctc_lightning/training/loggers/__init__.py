"""Loggers beyond Lightning's; `WandBRun` and `TensorBoardRun` are imported from their own files."""

from ctc_lightning.training.loggers.metrics_csv import MetricsCSV

__all__ = ["MetricsCSV"]
