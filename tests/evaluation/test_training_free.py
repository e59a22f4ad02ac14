"""One number's failure is not another's, and a draw by class is fair and repeatable. N: images."""

import numpy as np
import pytest
import torch

from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.protocol import Task
from ctc_lightning.evaluation.training_free import draw_by_class, each_of, shuffled_by_class

TASK = Task("shape", "top1", 3, {}, {})
GOOD = Measured("good", 0.5, n=10)


def fails(error):
    raise error


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda: [GOOD._replace(metric="ratio", value=np.inf)], "ratio is inf"),
        (lambda: [GOOD, GOOD._replace(metric="ratio", value=np.nan)], "ratio is nan"),
        (lambda: fails(ValueError("too few\n  images.")), "too few images"),
        (lambda: fails(torch.linalg.LinAlgError("singular")), "singular"),
    ],
)
def test_a_number_that_fails_is_left_out_with_its_reason(bad, reason, caplog):
    assert each_of("scores", TASK, {"bad": bad, "good": lambda: [GOOD]}) == [GOOD]
    assert f"scores: bad left out on shape: {reason}." in caplog.text
    with pytest.raises(ValueError, match=rf"nothing can be measured on shape: bad \({reason}\)\.$"):
        each_of("scores", TASK, {"bad": bad})


def test_our_own_mistakes_are_not_left_out():
    with pytest.raises(TypeError):
        each_of("scores", TASK, {"bad": lambda: fails(TypeError()), "good": lambda: [GOOD]})


@pytest.mark.parametrize("size", [3, 10, 47, 99, 100, 500])
def test_a_draw_keeps_the_shares_of_classes_and_loses_none(size):
    generator = torch.Generator().manual_seed(0)
    label_N = torch.tensor([0] * 70 + [1] * 28 + [2] * 2)[torch.randperm(100, generator=generator)]
    drawn = draw_by_class(label_N, size, seed=0)
    assert len(drawn.unique()) == len(drawn) == min(size, 100)
    count_L = torch.bincount(label_N[drawn], minlength=3)
    share_L = torch.tensor([0.70, 0.28, 0.02]) * min(size, 100)
    assert count_L.min() >= 1
    # every class is rounded up or down by one share t, which the small classes' rounding up lowers
    assert (count_L - share_L).abs().max() <= 2
    assert torch.equal(drawn, draw_by_class(label_N, size, seed=0))


def test_another_seed_draws_other_images():
    label_N = torch.arange(100) % 4
    assert not torch.equal(draw_by_class(label_N, 20, seed=0), draw_by_class(label_N, 20, seed=1))


def test_classes_are_shuffled_within():
    label_N = torch.tensor([2, 0, 2, 2, 0, 5, 2])
    orders = set()
    for seed in range(40):
        by_class_N, place_N = shuffled_by_class(label_N, seed)
        assert label_N[by_class_N].tolist() == [0, 0, 2, 2, 2, 2, 5]
        assert place_N.tolist() == [0, 1, 0, 1, 2, 3, 0]
        orders.add(tuple(by_class_N.tolist()))
    assert len(orders) > 10  # of 2!·4! = 48
