"""Scores of a classifier against their definitions. B: images, C: classes"""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ctc_lightning.metrics import ClassifierScores


def test_scores_are_those_of_their_definitions_whatever_the_batches():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(97, 6, generator=generator)
    label = torch.randint(5, (97,), generator=generator)  # no image of the last class
    scores = ClassifierScores(6)
    for part, of_part in zip(logits.split(20), label.split(20), strict=True):
        scores.update(part, of_part)
    hit, confidence = (logits.argmax(1) == label).numpy(), logits.softmax(1).amax(1).numpy()
    gaps = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        gaps += abs(hit[inside].sum() - confidence[inside].sum()) / 97
    found = {name: float(value) for name, value in scores.compute().items()}
    assert found == pytest.approx(
        {
            "top1": hit.mean(),
            "mean_per_class": np.mean([hit[label.numpy() == c].mean() for c in range(5)]),
            "ce": float(cross_entropy(logits, label)),
            "ece": gaps,
        },
        rel=1e-5,
    )


def test_reset_forgets_the_images():
    scores = ClassifierScores(3)
    scores.update(torch.eye(3), torch.tensor([1, 2, 0]))
    scores.reset()
    scores.update(9 * torch.eye(3), torch.arange(3))
    assert scores.compute()["top1"] == 1
    assert scores.compute()["ece"] < 0.01
