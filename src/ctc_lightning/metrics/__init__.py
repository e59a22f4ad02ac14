"""Numbers about features that need no training, accumulated over batches and ranks."""

from ctc_lightning.metrics.classifier_scores import ClassifierScores
from ctc_lightning.metrics.effective_rank import EffectiveRank
from ctc_lightning.metrics.feature_norm import FeatureNorm
from ctc_lightning.metrics.h_score import HScore
from ctc_lightning.metrics.hypersphere import Alignment, Uniformity
from ctc_lightning.metrics.leep import LEEP
from ctc_lightning.metrics.linear_cka import LinearCKA
from ctc_lightning.metrics.logme import LogME
from ctc_lightning.metrics.n_leep import NLEEP
from ctc_lightning.metrics.nearest_centre import NearestCentreAgreement
from ctc_lightning.metrics.negative_conditional_entropy import NegativeConditionalEntropy
from ctc_lightning.metrics.neural_collapse import NeuralCollapse
from ctc_lightning.metrics.sfda import SFDA
from ctc_lightning.metrics.variability_collapse_index import VariabilityCollapseIndex

__all__ = [
    "LEEP",
    "NLEEP",
    "SFDA",
    "Alignment",
    "ClassifierScores",
    "EffectiveRank",
    "FeatureNorm",
    "HScore",
    "LinearCKA",
    "LogME",
    "NearestCentreAgreement",
    "NegativeConditionalEntropy",
    "NeuralCollapse",
    "Uniformity",
    "VariabilityCollapseIndex",
]
