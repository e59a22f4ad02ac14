"""The reference code's probe. B: batch, N: images, F: features, L: classes."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ctc_lightning.evaluation.heads import new_head
from ctc_lightning.evaluation.protocol import TargetImages, Task
from ctc_lightning.evaluation.protocols.reference import ReferenceProbe

SIZES = {"train": 70, "val": 30, "test": 41}
CLASSES = 3


class ConvNet(nn.Module):
    """A small f with BatchNorm, and dropout on demand."""

    num_features = 6

    def __init__(self, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(dropout), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x):
        return self.layers(x).flatten(1)


class FakeImages(TargetImages):
    """Images in memory; ``train`` batches would be augmented."""

    def __init__(self, network, view, label):
        self.network, self.view, self.label, self.device = network, view, label, torch.device("cpu")
        self.view["trainval"] = torch.cat([view["train"], view["val"]])
        self.label["trainval"] = torch.cat([label["train"], label["val"]])
        self.opened = []

    def backbone(self):
        return copy.deepcopy(self.network).eval()

    def batches(self, split, *, batch_size=None, train=False, epoch=0):
        assert not train, "the reference probe does not augment"
        self.opened.append(split)
        yield from zip(self.view[split].split(32), self.label[split].split(32), strict=True)

    def inputs(self, split):
        yield self.view[split], torch.arange(len(self.view[split]))


@pytest.fixture
def task():
    draw = torch.Generator().manual_seed(0)
    network = ConvNet()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw))
    network.eval()
    label = {split: torch.randint(CLASSES, (n,), generator=draw) for split, n in SIZES.items()}
    view = {
        split: torch.randn(n, 3, 8, 8, generator=draw) + 0.4 * label[split][:, None, None, None]
        for split, n in SIZES.items()
    }
    with torch.no_grad():
        features = {split: network(view[split]) for split in SIZES}
    images = FakeImages(network, view, label)
    return Task("glyphs", "top1", CLASSES, label, features, images=images, seed=3)


def probe(**changed):
    values = {"learning_rate": 0.4, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 16, "epochs": 5}
    switches = dict.fromkeys(("batch_norm_in_train_mode", "best_epoch_on_test", "evaluate_on_val"), False)
    return ReferenceProbe(**(values | switches | changed))


def orders(num_images, epochs, seed):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randperm(num_images, generator=draw) for _ in range(epochs)]


def numpy_head(h_NF, label_N, seed, *, rate=0.4, momentum=0.9, decay=5e-4, batch=16, epochs=5):
    """SGD by hand in float64: softmax gradient, weight decay, heavy ball, one rate for each epoch."""
    head = new_head(h_NF.shape[1], CLASSES, seed)
    w_LG = np.hstack([head.weight.detach().numpy(), head.bias.detach().numpy()[:, None]]).astype(np.float64)
    h_NG = np.hstack([h_NF.numpy(), np.ones((len(h_NF), 1))]).astype(np.float64)
    one_hot_NL, velocity_LG = np.eye(CLASSES)[label_N.numpy()], np.zeros_like(w_LG)
    for epoch, order_N in enumerate(orders(len(h_NF), epochs, seed)):
        rate_e = rate * (1 + np.cos(np.pi * epoch / epochs)) / 2
        for start in range(0, len(h_NF), batch):
            index_B = order_N[start : start + batch].numpy()
            power_BL = np.exp(h_NG[index_B] @ w_LG.T)
            p_BL = power_BL / power_BL.sum(1, keepdims=True)
            gradient_LG = (p_BL - one_hot_NL[index_B]).T @ h_NG[index_B] / len(index_B) + decay * w_LG
            velocity_LG = momentum * velocity_LG + gradient_LG
            w_LG = w_LG - rate_e * velocity_LG
    return w_LG


def test_the_heads_have_the_weights_of_sgd_by_hand(task):
    # W and b can be read off the logits of 0 and of the unit vectors: first as the test split, then as val
    unit_NF = torch.cat([torch.zeros(1, 6), torch.eye(6)])
    h_NF, label_N = (torch.cat([of["train"], of["val"]]) for of in (task.features, task.label))
    seen_NL = probe().predict(replace(task, features={**task.features, "test": unit_NF})).test.double()
    w_LG = numpy_head(h_NF, label_N, task.seed)
    # about 35 steps in float32 on weights of about 1
    np.testing.assert_allclose(seen_NL[0], w_LG[:, -1], atol=2e-4)
    np.testing.assert_allclose((seen_NL[1:] - seen_NL[0]).T, w_LG[:, :-1], atol=2e-4)

    w_LG = numpy_head(task.features["train"], task.label["train"], task.seed)
    h_NG = torch.cat([task.features["val"], torch.ones(SIZES["val"], 1)], 1).double().numpy()
    np.testing.assert_allclose(probe().predict(task).val, h_NG @ w_LG.T, rtol=1e-3, atol=2e-3)


def transcribed(task, learnt, asked, *, epochs=5, batch=16):
    """The loop of transfer.py on the whole network: logits of ``asked`` after each epoch."""
    images = task.images
    network = nn.Sequential(images.backbone(), new_head(6, CLASSES, task.seed))
    sgd = torch.optim.SGD(network[1].parameters(), lr=0.4, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=epochs)
    answers = []
    for order_N in orders(len(images.label[learnt]), epochs, task.seed):
        network.train()
        for index_B in order_N.split(batch):
            sgd.zero_grad()
            cross_entropy(network(images.view[learnt][index_B]), images.label[learnt][index_B]).backward()
            sgd.step()
        network.eval()
        with torch.no_grad():
            answers.append(network(images.view[asked]))
        schedule.step()
    return answers


def top1(logits_NL, label_N):
    return (logits_NL.argmax(1) == label_N).double().mean().item()


def test_batch_norm_in_train_mode_is_the_loop_of_the_reference(task):
    answers = transcribed(task, "trainval", "test")
    predicted = probe(batch_norm_in_train_mode=True).predict(task)
    torch.testing.assert_close(predicted.test, answers[-1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(predicted.val, transcribed(task, "train", "val")[-1], rtol=1e-3, atol=1e-3)
    assert predicted.chosen == "BatchNorm in train mode"
    assert (predicted.test - probe().predict(task).test).abs().max() > 0.1, "the switch changes nothing"


def test_the_best_epoch_on_test_is_the_first_best_of_the_reference(task):
    answers = transcribed(task, "trainval", "test")
    # A test split on which epoch 2 is always right and no other epoch is
    task = replace(task, label={**task.label, "test": answers[1].argmax(1)})
    task.images.label["test"] = task.label["test"]
    scores = [top1(logits_NL, task.label["test"]) for logits_NL in answers]
    best = 1
    assert max(scores[:best] + scores[best + 1 :]) < scores[best] == 1
    predicted = probe(batch_norm_in_train_mode=True, best_epoch_on_test=True).predict(task)
    assert predicted.chosen == f"epoch={best + 1} of the test split; BatchNorm in train mode"
    torch.testing.assert_close(predicted.test, answers[best], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("switch", ["best_epoch_on_test", "evaluate_on_val", None])
def test_images_are_measured_by_the_labels_that_come_with_them(task, switch):
    """Where images stand in for unreadable ones, they come in another order than the task's labels."""
    protocol = probe(batch_norm_in_train_mode=True, **({switch: True} if switch else {}))
    task = replace(task, label=dict(task.label))  # not the images' own
    expected = protocol.measure(task)
    for split in ("val", "test"):
        task.images.view[split] = task.images.view[split].roll(1, 0)
        task.images.label[split] = task.images.label[split].roll(1, 0)
    found = protocol.measure(task)
    assert {row.metric for row in found} >= {"top1", "val_top1"}
    for row, known in zip(found, expected, strict=True):
        assert (row.metric, row.chosen) == (known.metric, known.chosen)
        # the sums of other batches; one image of 30 would change top1 by 0.03
        assert row.value == pytest.approx(known.value, rel=1e-4)


def test_of_equally_good_epochs_the_first_is_taken(task):
    predicted = probe(best_epoch_on_test=True, learning_rate=1e-9).predict(task)
    assert predicted.chosen == "epoch=1 of the test split"


def test_evaluated_on_val_learns_train_alone_and_never_sees_test(task):
    broken = {**task.label, "test": torch.full((SIZES["test"],), -100)}
    unseen = replace(task, label=broken, features={k: v for k, v in task.features.items() if k != "test"})
    rows = {row.metric: row for row in probe(evaluate_on_val=True).measure(unseen)}
    usual = {row.metric: row for row in probe().measure(task)}
    assert rows["top1"].value == usual["val_top1"].value
    assert rows["top1"].n == SIZES["val"]
    assert rows["top1"].chosen == "measured on val"
    assert usual["top1"].n == SIZES["test"]
    assert usual["top1"].chosen == ""


@pytest.mark.parametrize("train_mode", [False, True])
def test_the_network_and_global_random_numbers_stay_as_they_were(task, train_mode):
    task.images.network = ConvNet(dropout=0.5).eval()
    before, state = copy.deepcopy(task.images.network.state_dict()), torch.get_rng_state()
    first = probe(batch_norm_in_train_mode=train_mode).predict(task)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    with torch.no_grad():
        second = probe(batch_norm_in_train_mode=train_mode).predict(task)
    assert torch.equal(first.test, second.test)
    assert not task.images.network.training
    after = task.images.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_seed_decides(task):
    assert not torch.equal(probe().predict(task).test, probe().predict(replace(task, seed=4)).test)


def test_only_batch_norm_in_train_mode_needs_images(task):
    assert not probe().uses_images
    assert probe(batch_norm_in_train_mode=True).uses_images
    assert "uses_images" not in probe().settings
    assert probe().predict(replace(task, images=None)).test.shape == (SIZES["test"], CLASSES)
    with pytest.raises(ValueError, match="needs the images of glyphs"):
        probe(batch_norm_in_train_mode=True).predict(replace(task, images=None))


def test_views_that_do_not_fit_in_memory_are_refused(task):
    def huge(split, **_):
        while True:  # 1 GiB by its shape, without the memory
            yield torch.zeros(1).expand(2**18, 1, 32, 32), torch.zeros(2**18)

    task.images.batches = huge
    with pytest.raises(ValueError, match="at 32x32 they take over 16 GiB"):
        probe(batch_norm_in_train_mode=True).predict(task)


def test_several_labels_are_learnt(task):
    label = {split: torch.stack([y > 0, y > 1], 1).to(torch.int8) for split, y in task.label.items()}
    label["train"][::5, 0] = -1
    several = replace(task, label=label, num_classes=2, metric="map_11_point")
    logits_NL = probe(epochs=20, learning_rate=0.05).predict(several).test
    assert ((logits_NL > 0) == (label["test"] > 0)).double().mean() > 0.6


def test_divergence_is_one_sentence(task):
    features = {split: 1e30 * h_NF for split, h_NF in task.features.items()}
    with pytest.raises(ValueError, match=r"diverged on glyphs with learning_rate 0\.4"):
        probe().predict(replace(task, features=features))


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 0), ("momentum", 1), ("weight_decay", -1e-4), ("batch_size", 0), ("epochs", 0)],
)
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"reference probe: {name} is {value}"):
        probe(**{name: value})
