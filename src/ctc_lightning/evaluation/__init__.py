"""What frozen features are worth: protocols, their metrics, and what they are given."""

from ctc_lightning.evaluation.features import extract_features
from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.protocol import ClassifierProtocol, Predicted, Protocol, Task
from ctc_lightning.evaluation.protocols.few_shot import FewShot
from ctc_lightning.evaluation.protocols.finetune import FineTune
from ctc_lightning.evaluation.protocols.geometry import FeatureGeometry
from ctc_lightning.evaluation.protocols.knn import KNearestNeighbours
from ctc_lightning.evaluation.protocols.logreg import LogisticRegressionProbe
from ctc_lightning.evaluation.protocols.probe_bn import BatchNormProbe
from ctc_lightning.evaluation.protocols.reference import ReferenceProbe
from ctc_lightning.evaluation.protocols.scores import TransferabilityScores

__all__ = [
    "BatchNormProbe",
    "ClassifierProtocol",
    "FeatureGeometry",
    "FewShot",
    "FineTune",
    "KNearestNeighbours",
    "LogisticRegressionProbe",
    "Measured",
    "Predicted",
    "Protocol",
    "ReferenceProbe",
    "Task",
    "TransferabilityScores",
    "extract_features",
]
