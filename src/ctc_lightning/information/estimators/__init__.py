"""Mutual information from samples: bounds, neighbours and closed forms, each fitted and judged apart."""

from ctc_lightning.information.estimators.classifier import ClassifierBound
from ctc_lightning.information.estimators.critic import JointDesign, SeparableDesign
from ctc_lightning.information.estimators.gaussian import Gaussian
from ctc_lightning.information.estimators.gaussian_forms import gaussian_information
from ctc_lightning.information.estimators.info_nce import InfoNCE
from ctc_lightning.information.estimators.ksg import KSG
from ctc_lightning.information.estimators.mine import MINE
from ctc_lightning.information.estimators.noisy_channel import NoisyChannel
from ctc_lightning.information.estimators.nwj import NWJ
from ctc_lightning.information.estimators.protocol import Estimate, Estimator, Fitted, Pairs
from ctc_lightning.information.estimators.smile import SMILE

__all__ = [
    "KSG",
    "MINE",
    "NWJ",
    "SMILE",
    "ClassifierBound",
    "Estimate",
    "Estimator",
    "Fitted",
    "Gaussian",
    "InfoNCE",
    "JointDesign",
    "NoisyChannel",
    "Pairs",
    "SeparableDesign",
    "gaussian_information",
]
