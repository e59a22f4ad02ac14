"""``python -m ctc_lightning.export``: a trained network for other programs, with a model card."""
