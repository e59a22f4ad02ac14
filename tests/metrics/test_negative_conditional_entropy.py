"""The negative conditional entropy against loops over the table of counts, and in closed form."""

import math
from itertools import pairwise

import pytest
import torch

from ctc_lightning.metrics import NegativeConditionalEntropy


def score(source_N, label_N, num_source_classes=4, num_classes=3):
    metric = NegativeConditionalEntropy(num_source_classes, num_classes)
    metric.update(source_N, label_N)
    return metric.compute().item()


@pytest.fixture
def pairs():
    generator = torch.Generator().manual_seed(0)
    source_N = torch.randint(4, (60,), generator=generator)
    label_N = torch.where(torch.rand(60, generator=generator) < 0.6, source_N.clamp(max=2), 1)
    return source_N, label_N


def test_equals_the_formula_in_loops(pairs):
    observed = list(zip(pairs[0].tolist(), pairs[1].tolist(), strict=True))
    total = 0
    for z, y in observed:
        total += math.log(observed.count((z, y)) / sum(other == z for other, _ in observed))
    assert score(*pairs) == pytest.approx(total / len(observed), rel=1e-12)


def test_zero_where_the_target_is_a_function_of_the_source():
    source_N = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    assert score(source_N, torch.tensor([2, 0, 0, 1])[source_N]) == pytest.approx(0, abs=1e-12)


def test_minus_the_entropy_where_both_are_independent():
    # every source class has one image of target 0 and three of target 1
    source_N, label_N = torch.arange(4).repeat_interleave(4), torch.tensor([0, 1, 1, 1]).repeat(4)
    expected = 0.25 * math.log(0.25) + 0.75 * math.log(0.75)
    assert score(source_N, label_N) == pytest.approx(expected, rel=1e-12)


def test_the_more_source_labels_agree_the_higher():
    label_N = torch.arange(60) % 3
    # independent, a third, two thirds and all of the images with the source label of their target
    guess_N = torch.arange(60).div(3, rounding_mode="floor") % 4
    found = [score(torch.where(torch.arange(60) < n, label_N, guess_N), label_N) for n in (0, 20, 40, 60)]
    assert found[0] == pytest.approx(-math.log(3), rel=1e-12)
    assert all(low < high for low, high in pairwise(found))


def test_the_same_however_images_are_split(pairs, assert_same_however_split):
    assert_same_however_split(lambda **kw: NegativeConditionalEntropy(4, 3, **kw), *pairs)


def test_bad_input_is_one_sentence(pairs):
    source_N, label_N = pairs
    with pytest.raises(ValueError, match="num_classes is 1; it must be a whole number of at least 2"):
        NegativeConditionalEntropy(4, 1)
    with pytest.raises(ValueError, match=r"\(source\): label 3 with num_classes = 3"):
        score(source_N, label_N, num_source_classes=3)
    with pytest.raises(ValueError, match="label 2 with num_classes = 2"):
        score(source_N, label_N, num_classes=2)
    with pytest.raises(ValueError, match="images of 1 target classes; at least 2"):
        score(source_N, 0 * label_N)
