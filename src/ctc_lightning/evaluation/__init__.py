"""What frozen features are worth: extraction, probes, kNN."""

from ctc_lightning.evaluation.features import extract_features
from ctc_lightning.evaluation.knn import NearestNeighbours
from ctc_lightning.evaluation.linear_probe import LinearProbe
from ctc_lightning.evaluation.protocol import Features, Probe, Score

__all__ = ["Features", "LinearProbe", "NearestNeighbours", "Probe", "Score", "extract_features"]
