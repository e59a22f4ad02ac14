"""LEEP against loops over images and classes, and against what it must be in closed form."""

import math
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import one_hot

from ctc_lightning.metrics import LEEP, NegativeConditionalEntropy


@pytest.fixture
def predicted():
    """Probabilities of four source classes for 60 images of three target classes, in float32."""
    generator = torch.Generator().manual_seed(0)
    label_N = torch.arange(60) % 3
    logit_NS = torch.randn(60, 4, generator=generator) + 2 * torch.eye(3, 4)[label_N]
    return logit_NS.softmax(1), label_N


def score(prob_NS, label_N, num_classes=3):
    metric = LEEP(prob_NS.shape[1], num_classes)
    metric.update(prob_NS, label_N)
    return metric.compute().item()


def entropy(label_N):
    share = torch.bincount(label_N).double() / len(label_N)
    return -(share * share.log()).sum().item()


def test_equals_the_formula_in_loops(predicted):
    theta, y = predicted[0].double().tolist(), predicted[1].tolist()
    joint = {}
    for row, target in zip(theta, y, strict=True):
        for source, probability in enumerate(row):
            joint[target, source] = joint.get((target, source), 0) + probability / len(y)
    total = 0
    for row, target in zip(theta, y, strict=True):
        expected = 0
        for source, probability in enumerate(row):
            marginal = sum(joint[other, source] for other in range(3))
            expected += joint[target, source] / marginal * probability
        total += math.log(expected)
    assert score(*predicted) == pytest.approx(total / len(y), rel=1e-10)


def test_decided_probabilities_give_the_negative_conditional_entropy(predicted):
    prob_NS, label_N = predicted
    source_N = prob_NS.argmax(1)
    nce = NegativeConditionalEntropy(4, 3)
    nce.update(source_N, label_N)
    assert score(one_hot(source_N, 4).float(), label_N) == pytest.approx(nce.compute().item(), rel=1e-10)


def test_a_source_that_tells_nothing_gives_minus_the_entropy(predicted):
    _, label_N = predicted
    label_N = label_N.clamp(max=1)
    assert score(torch.full((60, 4), 0.25), label_N) == pytest.approx(-entropy(label_N), rel=1e-10)


def test_zero_where_the_source_decides_the_target_even_with_unused_classes():
    source_N = torch.tensor([0, 1, 2, 0, 1, 2])
    # source classes 3 and 4 are never predicted
    assert score(one_hot(source_N, 5).float(), source_N.clamp(max=1)) == pytest.approx(0, abs=1e-12)


def test_permuted_source_classes_change_nothing(predicted):
    prob_NS, label_N = predicted
    assert score(prob_NS[:, [2, 0, 3, 1]], label_N) == pytest.approx(score(prob_NS, label_N), rel=1e-10)


def test_the_more_confident_a_right_source_the_higher():
    label_N = torch.arange(60) % 3
    found = [score((s * torch.eye(3, 4)[label_N]).softmax(1), label_N) for s in (0, 1, 2, 4, 8)]
    assert all(low < high for low, high in pairwise(found))


def test_the_same_however_images_are_split(predicted, assert_same_however_split):
    assert_same_however_split(lambda **kw: LEEP(4, 3, **kw), *predicted)


def test_bad_input_is_one_sentence(predicted):
    prob_NS, label_N = predicted
    with pytest.raises(ValueError, match="num_classes is 1; it must be a whole number of at least 2"):
        LEEP(4, 1)
    with pytest.raises(ValueError, match="60 of 60 images have rows that are not probabilities"):
        score(prob_NS.log(), label_N)
    broken_NS = prob_NS.clone()
    broken_NS[7, 1] = float("nan")
    with pytest.raises(ValueError, match="1 of 60 images have rows that are not probabilities"):
        score(broken_NS, label_N)
    with pytest.raises(ValueError, match="label 2 with num_classes = 2"):
        score(prob_NS, label_N, 2)
    with pytest.raises(ValueError, match="images of 1 target classes; at least 2"):
        score(prob_NS, 0 * label_N)
    with pytest.raises(ValueError, match=r"shape \(60, 4\); it was built for \(images, 5\)"):
        LEEP(5, 3).update(prob_NS, label_N)
