"""New heads, their loss and their random draws. B: batch, L: classes."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ctc_lightning.evaluation.heads import label_loss, new_head, own_randomness


def test_a_head_starts_uniform_in_one_over_the_root_of_the_features():
    state = torch.get_rng_state()
    head = new_head(400, 100, seed=0)
    values = torch.cat([head.weight.flatten(), head.bias])
    assert values.abs().max() <= 1 / 20
    # 40100 uniform draws: the standard deviation is 1/20/sqrt(3), its relative error about 0.2 %
    assert values.std().item() == pytest.approx(1 / 20 / 3**0.5, rel=0.01)
    assert torch.equal(head.weight, new_head(400, 100, seed=0).weight)
    assert not torch.equal(head.weight, new_head(400, 100, seed=1).weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_label_is_cross_entropy():
    label_B = torch.tensor([4, 0])
    assert label_loss(torch.zeros(2, 5), label_B).item() == pytest.approx(np.log(5), rel=1e-6)
    logits_BL = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(label_loss(logits_BL, label_B), cross_entropy(logits_BL, label_B))


def test_several_labels_leave_out_what_is_not_to_be_judged():
    logits_BL = torch.tensor([[0.3, -2.0, 1.0], [4.0, 0.0, -0.5]], dtype=torch.float64)
    label_BL = torch.tensor([[1, -1, 0], [-1, 0, 1]], dtype=torch.int8)
    judged = [(0.3, 1), (1.0, 0), (0.0, 0), (-0.5, 1)]
    by_hand = np.mean([np.log1p(np.exp(-z if y else z)) for z, y in judged])
    assert label_loss(logits_BL, label_BL).item() == pytest.approx(by_hand, rel=1e-12)
    assert label_loss(logits_BL, torch.full_like(label_BL, -1)).item() == 0


def test_randomness_inside_is_the_seeds_and_outside_goes_on():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with torch.no_grad(), own_randomness(7):
        inside = torch.rand(3)
        assert torch.is_grad_enabled()
    assert torch.equal(torch.rand(3), expected)
    with own_randomness(7):
        assert torch.equal(torch.rand(3), inside)
