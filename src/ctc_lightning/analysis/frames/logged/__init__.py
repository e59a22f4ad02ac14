"""What loggers wrote of runs: metrics.csv, TensorBoard's event files, W&B's files and W&B's API."""

from ctc_lightning.analysis.frames.logged.metrics import load_metrics

__all__ = ["load_metrics"]
