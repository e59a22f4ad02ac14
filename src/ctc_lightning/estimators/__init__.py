"""Mutual information from samples: bounds, neighbours and closed forms, each fitted and judged apart."""

from ctc_lightning.estimators.classifier import ClassifierBound
from ctc_lightning.estimators.gaussian import Gaussian
from ctc_lightning.estimators.gaussian_forms import gaussian_information
from ctc_lightning.estimators.ksg import KSG
from ctc_lightning.estimators.noisy_channel import NoisyChannel
from ctc_lightning.estimators.protocol import Estimate, Estimator, Fitted, Pairs

__all__ = [
    "KSG",
    "ClassifierBound",
    "Estimate",
    "Estimator",
    "Fitted",
    "Gaussian",
    "NoisyChannel",
    "Pairs",
    "gaussian_information",
]
