"""Mutual information from samples: bounds, neighbours and closed forms, each fitted and judged apart."""

from ctc_lightning.estimators.protocol import Estimate, Estimator, Fitted, Pairs

__all__ = ["Estimate", "Estimator", "Fitted", "Pairs"]
