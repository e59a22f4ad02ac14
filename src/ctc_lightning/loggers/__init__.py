"""Loggers beyond Lightning's."""

from ctc_lightning.loggers.metrics_csv import MetricsCSV

__all__ = ["MetricsCSV"]
