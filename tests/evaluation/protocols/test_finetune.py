"""Fine-tuning. B: batch, N: images, L: classes."""

import copy
import logging
from dataclasses import replace
from math import cos, pi

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ctc_lightning.evaluation.heads import new_head
from ctc_lightning.evaluation.protocol import TargetImages, Task
from ctc_lightning.evaluation.protocols.finetune import FineTune

SIZES = {"train": 48, "val": 40, "test": 60}


class BlindNet(nn.Module):
    """A small f whose pretrained weights do not look at the third channel."""

    num_features = 6

    def __init__(self, dropout=0.0):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout(dropout)
        draw = torch.Generator().manual_seed(1)
        with torch.no_grad():
            self.conv.weight.copy_(0.3 * torch.randn(6, 3, 3, 3, generator=draw))
            self.conv.weight[:, 2] = 0
            self.conv.bias.zero_()

    def forward(self, x):
        return self.drop(self.norm(self.conv(x)).relu().mean((2, 3)))


class FakeImages(TargetImages):
    """Images in memory; ``train`` batches are whole, and come in an order of their epoch."""

    def __init__(self, network, view, label):
        self.network, self.device, self.opened = network, torch.device("cpu"), []
        self.view = {**view, "trainval": torch.cat([view["train"], view["val"]])}
        self.label = {**label, "trainval": torch.cat([label["train"], label["val"]])}

    def backbone(self):
        return copy.deepcopy(self.network).eval()

    def order(self, split, epoch):
        return torch.randperm(len(self.view[split]), generator=torch.Generator().manual_seed(epoch))

    def batches(self, split, *, batch_size=None, train=False, epoch=0):
        self.opened.append((split, train, epoch))
        view, label, size = self.view[split], self.label[split], batch_size or 32
        rows = self.order(split, epoch) if train else torch.arange(len(view))
        for index in rows.split(size):
            if not train or len(index) == size:
                yield view[index], label[index]

    def inputs(self, split):
        yield self.view[split], torch.arange(len(self.view[split]))


@pytest.fixture
def task():
    """The class is the sign of the third channel's mean, which the pretrained f cannot see."""
    draw = torch.Generator().manual_seed(0)
    label = {split: torch.randint(2, (n,), generator=draw) for split, n in SIZES.items()}
    view = {split: torch.randn(n, 3, 6, 6, generator=draw) for split, n in SIZES.items()}
    for split in SIZES:
        view[split][:, 2] += (2 * label[split] - 1)[:, None, None] * 0.7
    images = FakeImages(BlindNet().eval(), view, label)
    with torch.no_grad():
        features = {split: images.network(view[split]) for split in SIZES}
    return Task("glyphs", "top1", 2, label, features, images=images, seed=5)


def finetune(**changed):
    values = {"learning_rates": [0.1], "step_decays": [0.0], "steps": 40, "batch_size": 16}
    return FineTune(**(values | changed))


def top1(logits_NL, label_N):
    return (logits_NL.argmax(1) == label_N).double().mean().item()


def test_it_learns_what_frozen_features_do_not_hold(task):
    h_NF, y_N = task.features["train"].double(), task.label["train"]
    g_NG = torch.cat([h_NF, torch.ones(len(h_NF), 1)], 1)
    w_GL = torch.linalg.lstsq(g_NG, torch.eye(2, dtype=torch.float64)[y_N]).solution
    frozen_NL = torch.cat([task.features["test"].double(), torch.ones(SIZES["test"], 1)], 1) @ w_GL
    assert top1(frozen_NL, task.label["test"]) < 0.7
    assert top1(finetune().predict(task).test, task.label["test"]) > 0.95


def by_hand(task, learnt, asked, *, rate, decay, steps=10, batch=16):
    """Nesterov's SGD written out, every batch from the fake images' own order."""
    images = task.images
    network = nn.Sequential(images.backbone(), new_head(6, task.num_classes, task.seed)).train()
    velocity = [torch.zeros_like(p) for p in network.parameters()]
    rows, epoch = [], 0
    while len(rows) < steps:
        order = images.order(learnt, epoch)
        rows += [index for index in order.split(batch) if len(index) == batch]
        epoch += 1
    for step, index_B in enumerate(rows[:steps]):
        network.zero_grad()
        cross_entropy(network(images.view[learnt][index_B]), images.label[learnt][index_B]).backward()
        with torch.no_grad():
            for p, v in zip(network.parameters(), velocity, strict=True):
                gradient = p.grad + decay * p
                v.mul_(0.9).add_(gradient)
                p.sub_(rate * (1 + cos(pi * step / steps)) / 2 * (gradient + 0.9 * v))
    with torch.no_grad():
        return network.eval()(images.view[asked])


def test_it_is_nesterov_sgd_with_a_cosine_by_step(task):
    predicted = finetune(steps=10, step_decays=[0.01]).predict(task)
    # 10 float32 steps; a rate or a decay of another step would move the logits by 1e-2 and more
    val_NL = by_hand(task, "train", "val", rate=0.1, decay=0.1)
    torch.testing.assert_close(predicted.val, val_NL, rtol=1e-4, atol=1e-4)
    test_NL = by_hand(task, "trainval", "test", rate=0.1, decay=0.1)
    torch.testing.assert_close(predicted.test, test_NL, rtol=1e-4, atol=1e-4)
    assert predicted.chosen == "lr=0.1, wd=0.1"


@pytest.mark.parametrize("rates", [[1e-7, 0.1], [0.1, 1e-7]])
def test_the_pair_with_the_best_validation_score_is_taken(task, rates):
    predicted = finetune(learning_rates=rates).predict(task)
    assert predicted.chosen == "lr=0.1, wd=0"
    assert torch.equal(predicted.test, finetune().predict(task).test)
    assert torch.equal(predicted.val, finetune().predict(task).val)


def test_the_choice_does_not_look_at_test(task):
    protocol = finetune(learning_rates=[0.1, 1e-7], step_decays=[0.0, 0.01], steps=15)
    seen = protocol.predict(task)
    splits = [split for split, _, _ in task.images.opened]
    assert splits.count("test") == 1
    assert splits[-1] == "test"
    images = FakeImages(task.images.network, task.images.view, task.images.label)
    images.view["test"] = 5 - images.view["test"]
    other = protocol.predict(
        replace(task, images=images, label={**task.label, "test": 1 - task.label["test"]})
    )
    assert other.chosen == seen.chosen
    assert torch.equal(other.val, seen.val)
    assert not torch.equal(other.test, seen.test)


def test_images_are_measured_by_the_labels_that_come_with_them(task):
    """Where images stand in for unreadable ones, they come in another order than the task's labels."""
    protocol = finetune(learning_rates=[1e-7, 0.1])
    for split in ("val", "test"):
        task.images.view[split] = task.images.view[split].roll(1, 0)
        task.images.label[split] = task.images.label[split].roll(1, 0)
    rows = {row.metric: row for row in protocol.measure(task)}
    predicted = protocol.predict(task)
    assert rows["top1"].value == pytest.approx(top1(predicted.test, task.images.label["test"]))
    assert rows["val_top1"].value == pytest.approx(top1(predicted.val, task.images.label["val"]))
    assert rows["top1"].chosen == "lr=0.1, wd=0"
    assert min(rows["top1"].value, rows["val_top1"].value) > 0.9


def test_epochs_follow_each_other_until_the_steps_are_done(task):
    finetune(steps=7).predict(task)  # 3 batches of 16 in 48 images, 5 in the 88 of train and val
    learnt = [(split, epoch) for split, train, epoch in task.images.opened if train]
    assert learnt == [("train", 0), ("train", 1), ("train", 2), ("trainval", 0), ("trainval", 1)]
    assert {split for split, train, _ in task.images.opened if not train} == {"val", "test"}


def test_the_network_and_global_random_numbers_stay_as_they_were(task):
    task.images.network = BlindNet(dropout=0.5).eval().requires_grad_(False)
    before, state = copy.deepcopy(task.images.network.state_dict()), torch.get_rng_state()
    first = finetune().predict(task)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    with torch.no_grad():
        second = finetune().predict(task)
    assert torch.equal(first.test, second.test)
    assert top1(first.test, task.label["test"]) > 0.8, "frozen parameters did not learn"
    assert not task.images.network.training
    assert all(not p.requires_grad and p.grad is None for p in task.images.network.parameters())
    after = task.images.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_pair_that_diverges_is_out(task, caplog):
    with caplog.at_level(logging.WARNING):
        predicted = finetune(learning_rates=[1e30, 0.1]).predict(task)
    assert predicted.chosen == "lr=0.1, wd=0"
    assert torch.equal(predicted.test, finetune().predict(task).test)
    assert "lr=1e+30, wd=0: the loss is not finite" in caplog.text
    with pytest.raises(ValueError, match=r"not finite with any of the learning rates \[1e\+30, 1e\+29\]"):
        finetune(learning_rates=[1e30, 1e29]).predict(task)


def test_several_labels_with_some_not_to_be_judged(task):
    label = {split: torch.stack([y, 1 - y], 1).to(torch.int8) for split, y in task.label.items()}
    label["train"][::4, 0] = -1
    label["val"][::4, 1] = -1
    images = FakeImages(task.images.network, {s: task.images.view[s] for s in SIZES}, label)
    predicted = finetune().predict(replace(task, metric="map_11_point", label=label, images=images))
    assert ((predicted.test > 0) == (label["test"] > 0)).double().mean() > 0.9


def test_too_few_images_or_none_are_one_sentence(task):
    with pytest.raises(ValueError, match="the train images fill no batch of 64"):
        finetune(batch_size=64).predict(task)
    with pytest.raises(ValueError, match="glyphs is at hand as frozen features only"):
        finetune().predict(replace(task, images=None))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rates", []),
        ("learning_rates", [0.1, 0.0]),
        ("step_decays", []),
        ("step_decays", [-1e-3]),
        ("step_decays", [1.0]),
        ("steps", 0),
        ("batch_size", 0),
    ],
)
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"finetune: {name} is"):
        finetune(**{name: value})
