"""What runs logged: metrics.csv, or W&B's cloud."""

from ctc_lightning.analysis.frames.logged.metrics import load_metrics

__all__ = ["load_metrics"]
