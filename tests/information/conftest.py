"""An estimator whose answers are known, and a task of known features."""

import pytest
import torch

from ctc_lightning.evaluation.protocol import Task
from ctc_lightning.information.estimators import Estimate, Estimator, Fitted


class Recorder(Estimator):
    """Notes what it is given; its answer is the number of held-out pairs in thousandths."""

    uses_x = False

    def __init__(self, *, ceiling=float("inf"), train=0.0):
        self.ceiling, self.train = ceiling, train
        self._fitted_on, self._judged_on = [], []

    def fit(self, train, *, seed):
        self._fitted_on.append(train)
        return RecorderFitted(self, len(train.y_NE))


class RecorderFitted(Fitted):
    def __init__(self, recorder, known):
        self.recorder, self.known = recorder, known

    def __call__(self, pairs):
        if len(pairs.y_NE) == self.known:
            return Estimate(self.recorder.train)
        self.recorder._judged_on.append(pairs)
        return Estimate(len(pairs.y_NE) / 1000, ceiling=self.recorder.ceiling)


@pytest.fixture
def recorder():
    return Recorder


@pytest.fixture
def task():
    draw = torch.Generator().manual_seed(0)
    features = {
        split: 3 + 5 * torch.randn(n, 4, generator=draw)
        for split, n in (("train", 9), ("val", 9), ("test", 100))
    }
    label = {split: torch.arange(len(h)) % 3 for split, h in features.items()}
    return Task("hue", "top1", 3, label, features)
