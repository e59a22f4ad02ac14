"""Contrastive Temporal Coding: train classifiers that stay transferable, and see the trade-off."""

__version__ = "0.1.0"
