"""Stages and their lengths. N: training images."""

from functools import partial

import pytest
import torch
from torch import nn

from ctc_lightning.contrast import InfoNCE
from ctc_lightning.key_encoder import FrozenEncoder, MomentumEncoder, QueryEncoder
from ctc_lightning.memory import KeyQueue, MemoryBank
from ctc_lightning.stage import Stage, StageSchedule

LABEL_N = torch.tensor([0, 1, 0, 1])


class Head(nn.Linear):
    """g: F features to ``dim`` dimensions."""

    def __init__(self, num_features, dim=3):
        super().__init__(num_features, dim)
        self.dim = dim


def network(projector=None):
    """A backbone of five features, a head and a classifier."""
    network = nn.Module()
    network.backbone, network.projector, network.classifier = nn.Linear(6, 5), projector, nn.Linear(5, 2)
    network.backbone.num_features = 5
    return network


def contrast_stage(key_encoder=None, memory=None, **arguments):
    return Stage(
        key_encoder=key_encoder or MomentumEncoder(0.9),
        memory=memory or KeyQueue(4),
        contrast=InfoNCE(0.1),
        **arguments,
    )


@pytest.mark.parametrize(
    ("epochs", "max_epochs", "expected"),
    [
        ([None], 7, [(0, 7)]),
        ([3, 4], 7, [(0, 3), (3, 4)]),
        ([3, None], 10, [(0, 3), (3, 7)]),
        ([0.6667, None], 61, [(0, 41), (41, 20)]),
        ([0.25, 0.75], 8, [(0, 2), (2, 6)]),
        ([2.0, 0.5, None], 8, [(0, 2), (2, 4), (6, 2)]),
    ],
)
def test_stages_lie_end_to_end(epochs, max_epochs, expected):
    stages = {f"stage {i}": Stage(epochs=length) for i, length in enumerate(epochs)}
    positions = StageSchedule(stages, max_epochs).positions
    assert [(p.first_epoch, p.num_epochs) for p in positions] == expected
    assert [p.name for p in positions] == list(stages)


def test_at_names_the_stage_of_every_epoch_and_ends_with_its_last():
    schedule = StageSchedule({"a": Stage(epochs=2), "b": Stage(epochs=1), "c": Stage()}, 5)
    assert [schedule.at(epoch).name for epoch in range(7)] == ["a", "a", "b", "c", "c", "c", "c"]
    assert [schedule.ends_with(epoch) for epoch in range(7)] == [None, "a", "b", None, "c", None, None]


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        ([], "model.stages is empty; name at least one stage"),
        (
            [10, None],
            "stage '1' would have 0 epochs: trainer.max_epochs is 10 and the stages before it take 10",
        ),
        ([12, None], "stage '1' would have -2 epochs: trainer.max_epochs is 10"),
        ([0.01, None], "stage '0' would have 0 epochs: trainer.max_epochs is 10.*give it at least 1"),
        (
            [3, 4],
            r"the stages take 7 epochs \(0 3, 1 4\) but trainer.max_epochs is 10; make them equal, or set",
        ),
        ([8, 4], r"the stages take 12 epochs \(0 8, 1 4\) but trainer.max_epochs is 10"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(epochs, message):
    with pytest.raises(ValueError, match=message):
        StageSchedule({str(i): Stage(epochs=length) for i, length in enumerate(epochs)}, 10)


@pytest.mark.parametrize("epochs", [0, -1, 2.5, 0.0, float("inf"), float("nan")])
def test_a_length_that_is_no_number_of_epochs_is_refused(epochs):
    with pytest.raises(ValueError, match=rf"epochs is {epochs}; give a whole number of at least 1, a share"):
        Stage(epochs=epochs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -0.5}, "weight is -0.5; it must be at least 0"),
        ({"weight": float("nan")}, "weight is nan; it must be a finite number, at least 0"),
        ({"lr_scale": 0}, "lr_scale is 0; it must be above 0"),
        ({"weight_decay_scale": -1}, "weight_decay_scale is -1; it must be at least 0"),
        ({"refresh": True}, "refresh is True; leave both out, or name key_encoder, memory and contrast"),
        (
            {"projector": Head},
            "projector is .*Head.*; leave both out, or name key_encoder, memory and contrast",
        ),
        ({"contrast": InfoNCE(0.1)}, "but key_encoder and memory is null; name it, or set all three to null"),
        ({"memory": KeyQueue(4), "contrast": InfoNCE(0.1)}, "but key_encoder is null; name it"),
    ],
)
def test_wrong_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Stage(**arguments)


def test_a_query_that_would_be_its_own_positive_is_refused():
    with pytest.raises(
        ValueError, match=r"key_encoder=query and memory=KeyQueue .*; take memory=bank, or key_encoder="
    ):
        contrast_stage(QueryEncoder(), KeyQueue(4))
    contrast_stage(QueryEncoder(), MemoryBank(0.9))


@pytest.mark.parametrize(
    ("stage", "projector", "message"),
    [
        (
            contrast_stage,
            None,
            "stage 'late' contrasts embeddings, but the network has no projector: set network.",
        ),
        (
            partial(contrast_stage, FrozenEncoder(partial(Head, dim=7))),
            Head(5),
            "stage 'late': the key encoder's projector has 7 dimensions and the query's 3; they must be",
        ),
        (
            partial(contrast_stage, projector=partial(Head, dim=2), key_encoder=FrozenEncoder(Head)),
            Head(5),
            "the key encoder's projector has 3 dimensions and the query's 2",
        ),
        (
            partial(contrast_stage, memory=MemoryBank(0.9, 4)),
            Head(5),
            "num_negatives is 4, .*choose at most 3",
        ),
    ],
)
def test_parts_that_do_not_fit_the_network_or_the_data_are_refused(stage, projector, message):
    with pytest.raises(ValueError, match=message):
        stage().build("late", network(projector), LABEL_N)


@pytest.mark.parametrize("own_head", [False, True])
def test_a_stage_encodes_with_its_own_head_if_it_has_one(own_head):
    net = network(Head(5))
    stage = contrast_stage(projector=partial(Head, dim=2) if own_head else None)
    stage.build("only", net, LABEL_N)
    assert stage.encoder(net)[0] is net.backbone
    assert stage.encoder(net)[1] is (stage.projector if own_head else net.projector)
    assert stage.memory.key_KD.shape == (4, 2 if own_head else 3)


def test_cross_entropy_alone_needs_no_projector():
    stage = Stage()
    stage.build("only", network(), LABEL_N)
    assert list(stage.parameters()) == []
