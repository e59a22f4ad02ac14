"""``python -m ctc_lightning.export``: a trained network for other programs, with a model card."""

from ctc_lightning.export.command import main

__all__ = ["main"]
