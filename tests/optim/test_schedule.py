"""Learning rates against METHOD's formulas."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from ctc_lightning.module import CTCModule
from ctc_lightning.optim import Constant, Cosine, LinearWarmupCosine, ReferenceCosine, WarmupCosine
from ctc_lightning.stage import Stage

STEPS_PER_EPOCH = 3


def learning_rates(schedule, stages, max_epochs, base_lr):
    """The rate of every step of a training."""
    network = nn.Module()
    network.projector = None
    network.classifier = nn.Linear(2, 2)
    sgd = partial(torch.optim.SGD, lr=base_lr)
    module = CTCModule(network, stages, sgd, schedule, torch.tensor([0, 1]), max_epochs)
    module.steps_per_epoch = STEPS_PER_EPOCH
    return [base_lr * module.lr_factor(step) for step in range(max_epochs * STEPS_PER_EPOCH)]


def test_the_references_two_stages_epoch_by_epoch():
    stages = {"instance": Stage(epochs=200), "temporal": Stage(lr_scale=0.1)}
    first = [0.05 * 0.5 * (1 + math.cos(e * math.pi / 201)) for e in range(1, 201)]
    second = [0.005 * 0.5 * (1 + math.cos(e * math.pi / 101)) for e in range(1, 101)]
    expected = [lr for lr in first + second for _ in range(STEPS_PER_EPOCH)]
    assert learning_rates(ReferenceCosine(), stages, 300, 0.05) == pytest.approx(expected, rel=1e-12)


def test_the_references_cross_entropy_baseline_epoch_by_epoch():
    warmup = [0.05 * e / 5 for e in range(1, 6)]
    cosine = [0.05 * (0.1 + 0.9 * 0.5 * (1 + math.cos(e * math.pi / 201))) for e in range(6, 201)]
    expected = [lr for lr in warmup + cosine for _ in range(STEPS_PER_EPOCH)]
    rates = learning_rates(WarmupCosine(5, 0.1), {"classify": Stage()}, 200, 0.05)
    assert rates == pytest.approx(expected, rel=1e-12)


def test_the_cosine_falls_at_every_step_and_restarts_with_the_stage():
    stages = {"first": Stage(epochs=2, lr_scale=2.0), "second": Stage(epochs=4)}
    first = [0.2 * 0.5 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    second = [0.1 * 0.5 * (1 + math.cos(math.pi * step / 12)) for step in range(12)]
    assert learning_rates(Cosine(), stages, 6, 0.1) == pytest.approx(first + second, rel=1e-12)


@pytest.mark.parametrize(
    ("schedule", "epoch", "factor"),
    [
        (Constant(), 7.5, 1.0),
        (Cosine(), 0, 1.0),
        (Cosine(), 2.5, (1 + math.sqrt(0.5)) / 2),
        (Cosine(), 5, 0.5),
        (ReferenceCosine(), 4.9, (1 + math.cos(math.pi * 5 / 11)) / 2),
        (WarmupCosine(0, 1.0), 3, 1.0),
        (WarmupCosine(4, 0.0), 2.9, 0.75),
        (WarmupCosine(4, 0.0), 4, (1 + math.cos(math.pi * 5 / 11)) / 2),
        (LinearWarmupCosine(4), 0, 0.0),
        (LinearWarmupCosine(4), 3, 0.75),
        (LinearWarmupCosine(4, initial_scale=0.2), 2, 0.6),
        (LinearWarmupCosine(4), 4, 1.0),
        (LinearWarmupCosine(4), 7, 0.5),
        (LinearWarmupCosine(4, final_scale=0.1), 10, 0.1),
        (LinearWarmupCosine(0), 2.5, (1 + math.sqrt(0.5)) / 2),
        (LinearWarmupCosine(10), 2.5, (1 + math.sqrt(0.5)) / 2),  # no longer than its warm-up: none
    ],
)
def test_closed_form_in_ten_epochs(schedule, epoch, factor):
    assert schedule(epoch, 10) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("schedule", "option", "value", "limit"),
    [
        (WarmupCosine, "warmup_epochs", -1, "at least 0"),
        (WarmupCosine, "final_scale", -0.1, "at least 0 and at most 1"),
        (WarmupCosine, "final_scale", 1.1, "at least 0 and at most 1"),
        (LinearWarmupCosine, "warmup_epochs", -1, "at least 0"),
        (LinearWarmupCosine, "initial_scale", 1.5, "at least 0 and at most 1"),
        (LinearWarmupCosine, "final_scale", -0.1, "at least 0 and at most 1"),
    ],
)
def test_wrong_values_are_refused(schedule, option, value, limit):
    with pytest.raises(ValueError, match=f"schedule: {option} is {value}; it must be {limit}"):
        schedule(**{"warmup_epochs": 5, option: value})
