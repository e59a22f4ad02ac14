"""From a frozen network to rows: what is computed once, what is measured again, and what fails alone.

N: images, F: features
"""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ctc_lightning.data import Digits, ImageFiles
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.evaluation import FewShot, KNearestNeighbours, Measured, Protocol
from ctc_lightning.evaluation import measurement as measuring
from ctc_lightning.evaluation.feature_cache import FeatureCache
from ctc_lightning.evaluation.measurement import (
    FrozenNetwork,
    ImageDigests,
    Moment,
    applicable,
    headlines,
    measure,
    missing,
    settings_of,
    source_rows,
    task_of,
)
from ctc_lightning.evaluation.results import Row
from ctc_lightning.evaluation.targets import Target

SPLITS = ("train", "val", "test")
SIZES = {"train": 40, "val": 20, "test": 30}
CPU = torch.device("cpu")
MOMENT = Moment("a run", "ce", 5, 3, 12)


class Backbone(nn.Module):
    """f: a layer and a BatchNorm; counts the images that went through."""

    num_features = 6

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6))
        self.num_seen = 0

    def forward(self, x):
        self.num_seen += len(x)
        return self.layers(x)


def make_data(**options):
    options = {
        "num_train": 40,
        "num_val": 20,
        "num_test": 30,
        "batch_size": 20,
        "eval_batch_size": 17,
        **options,
    }
    data = Digits(**options)
    data.setup()
    return data


@pytest.fixture
def data():
    return make_data()


@pytest.fixture
def target(data):
    return Target("digit", data, "source", "digit")


def make_network(folder=None, **changes):
    torch.manual_seed(0)
    backbone, classifier = Backbone().eval(), nn.Linear(6, 2)
    parts = {"backbone": backbone, "classifier": classifier, "device": CPU}
    return FrozenNetwork(**{**parts, **changes}, cache=FeatureCache(folder), image_digests=ImageDigests())


@pytest.fixture
def network():
    return make_network()


class Fixed(Protocol):
    """Answers with one number, or fails."""

    def __init__(self, value=0.5, error=None):
        self.value, self._error = value, error

    def measure(self, task):
        if self._error is not None:
            raise self._error
        return [Measured("top1", self.value, n=30, chosen="k=3"), Measured("val_top1", 0.25, n=20)]


# -------------------------------------------------------------------------------------------------- features


def test_an_image_set_goes_through_the_network_once(data, target, network):
    other = replace(target, name="parity", label="source")
    source_rows(network, data, MOMENT)
    assert network.backbone.num_seen == 20 + 30
    for one in (target, other):
        task_of(one, network)
        assert network.backbone.num_seen == sum(SIZES.values())
    for split in SPLITS:
        assert network.features(data, "source", split)[0].shape == (SIZES[split], 6)
    assert network.backbone.num_seen == sum(SIZES.values())


def test_the_second_time_they_come_from_the_folder(tmp_path, target):
    first, second = make_network(tmp_path), make_network(tmp_path)
    expected = task_of(target, first).features
    found = task_of(target, second).features
    assert (first.backbone.num_seen, second.backbone.num_seen) == (90, 0)
    for split in SPLITS:
        assert torch.equal(found[split], expected[split])


def test_a_damaged_file_costs_one_more_pass_of_its_own_images(tmp_path, target):
    expected = task_of(target, make_network(tmp_path)).features
    sizes = {path: path.stat().st_size for path in tmp_path.iterdir()}
    smallest = min(sizes, key=sizes.get)  # of validation
    smallest.write_bytes(smallest.read_bytes()[:-9])
    again = make_network(tmp_path)
    found = task_of(target, again).features
    assert again.backbone.num_seen == 20
    assert torch.equal(found["val"], expected["val"])


def test_kept_features_are_not_those_of_other_weights_or_another_input(tmp_path, target):
    task_of(target, make_network(tmp_path))
    changed = make_network(tmp_path)
    with torch.no_grad():
        changed.backbone.layers[2].running_mean[0] += 1e-3  # a buffer, not a weight
    task_of(target, changed)
    assert changed.backbone.num_seen == 90
    shown = make_network(tmp_path)
    seen = target.data.network_input
    target.data.show_as(seen._replace(mean=(0.25,)))
    task_of(target, shown)
    assert shown.backbone.num_seen == 90


def test_what_failed_once_is_not_tried_again(data, target, network, monkeypatch):
    calls = []

    def unreadable(*arguments):
        calls.append(arguments)
        raise OSError("the disk is gone")

    monkeypatch.setattr(data, "evaluation_batches", unreadable)
    for _ in range(2):
        with pytest.raises(OSError, match="the disk is gone"):
            task_of(target, network)
    assert len(calls) == 1


def test_a_task_holds_features_labels_and_source_probabilities(data, target, network):
    task = task_of(target, network)
    assert (task.target, task.metric, task.num_classes, task.multi_label) == ("digit", "top1", 10, False)
    assert task.images is task.classifier is None
    for split in SPLITS:
        images = data.image_sets["source"][split]
        with torch.no_grad():
            h_NF = network.backbone(data.standardise(images.image))
            p_NS = network.classifier(h_NF).softmax(1)
        torch.testing.assert_close(task.features[split], h_NF)
        torch.testing.assert_close(task.source_probabilities[split], p_NS)
        assert torch.equal(task.label[split], images.labels["digit"])
    source = task_of(Target("source", data, "source", "source"), network)
    assert source.classifier is network.classifier
    bare = task_of(target, make_network(classifier=None))
    assert bare.source_probabilities is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_another_precision_give_float32(dtype, target):
    network = make_network()
    network.backbone.to(dtype)
    network.classifier.to(dtype)
    task = task_of(target, network)
    assert {h.dtype for h in task.features.values()} == {torch.float32}
    assert {p.dtype for p in task.source_probabilities.values()} == {torch.float32}


def test_other_moments_give_their_test_features(target, network):
    first = make_network()
    with torch.no_grad():
        first.backbone.layers[1].weight.mul_(2)
    task = task_of(target, network, compared_to={"first": first})
    assert first.backbone.num_seen == SIZES["test"]
    assert task.compared_to["first"].shape == task.features["test"].shape
    assert not torch.equal(task.compared_to["first"], task.features["test"])


def test_features_that_are_not_finite_are_one_sentence(data, target, network):
    with torch.no_grad():
        network.backbone.layers[1].weight[:, 20] = math.inf  # a pixel that not every image has
    images = data.standardise(data.image_sets["source"]["train"].image)
    bad = int((~network.backbone(images).isfinite()).any(1).sum())
    assert bad > 0
    message = (
        f"^{bad} of 40 train images of digit have features that are not finite; the network has diverged, "
        r"lower the learning rate\.$"
    )
    with pytest.raises(ValueError, match=message):
        task_of(target, network)
    with pytest.raises(ValueError, match="val images of the source have features that are not finite"):
        source_rows(network, data, MOMENT)


# --------------------------------------------------------------------------------------------------- settings


def settings(target=None, network=None, protocol=None, **compared_to):
    target = target or Target("digit", make_data(), "source", "digit")
    return settings_of(protocol or Fixed(), target, network or make_network(), compared_to)


def changed_network(change):
    network = make_network()
    with torch.no_grad():
        change(network)
    return network


def changed_target(change):
    data = make_data()
    change(data)
    return Target("digit", data, "source", "digit")


def one_pixel(data):
    image = data.image_sets["source"]["test"].image
    image[29, 0, 7, 7] ^= 1


def one_label(data):
    label = data.image_sets["source"]["val"].labels["digit"]
    label[0] = (label[0] + 1) % 10


def test_settings_are_the_same_for_the_same_things():
    assert settings() == settings()
    assert len(settings()) == 16


def test_settings_do_not_depend_on_what_numbers_do_not_depend_on(tmp_path):
    others = [
        settings(
            Target("another name", make_data(eval_batch_size=3, batch_size=7, seed=4), "source", "digit")
        ),
        settings(network=make_network(tmp_path)),
        settings(protocol=Fixed(error=ValueError("internal"))),
    ]
    assert set(others) == {settings()}


OTHER_STATISTICS = NetworkInput((1, 8, 8), (0.3,), (0.4,))
OTHER_CHANNELS = NetworkInput((3, 8, 8), (0.3,) * 3, (0.4,) * 3)


class Other(Fixed):
    """The same options, another protocol."""


class Revised(Fixed):
    """The same protocol after a change of its code."""

    version = 2


Revised.__qualname__ = Fixed.__qualname__


@pytest.mark.parametrize(
    "changed",
    [
        lambda: settings(protocol=Fixed(0.6)),
        lambda: settings(protocol=Other()),
        lambda: settings(protocol=Revised()),
        lambda: settings(network=changed_network(lambda n: n.backbone.layers[1].weight[0, 0].add_(1e-6))),
        lambda: settings(network=changed_network(lambda n: n.backbone.layers[2].running_var[5].add_(1e-6))),
        lambda: settings(network=changed_network(lambda n: n.classifier.bias[1].add_(1e-6))),
        lambda: settings(network=make_network(classifier=None)),
        lambda: settings(changed_target(one_pixel)),
        lambda: settings(changed_target(one_label)),
        lambda: settings(changed_target(lambda data: data.show_as(OTHER_STATISTICS))),
        lambda: settings(changed_target(lambda data: data.show_as(OTHER_CHANNELS))),
        lambda: settings(changed_target(lambda data: setattr(data, "fit", "Fit(size=8, share=0.875)"))),
        lambda: settings(Target("digit", make_data(), "source", "source")),
        lambda: settings(Target("digit", make_data(split_seed=1), "source", "digit")),
        lambda: settings(first=make_network()),
        lambda: settings(first=changed_network(lambda n: n.classifier.bias[1].add_(1e-6))),
    ],
    ids=[
        "option", "protocol", "version", "weight", "buffer", "classifier", "no classifier", "pixel",
        "label value", "statistics", "channels", "cut of files", "label", "split", "comparison",
        "other comparison",
    ],
)  # fmt: skip
def test_settings_change_with_all_that_numbers_depend_on(changed):
    assert changed() != settings()


def test_settings_of_different_comparisons_differ():
    other = changed_network(lambda n: n.classifier.bias[1].add_(1e-6))
    assert settings(first=make_network()) != settings(first=other) != settings(previous=other)


def test_digests_are_computed_once(data, monkeypatch):
    counted = []
    monkeypatch.setattr(measuring, "digest_of_images", lambda images, **_: counted.append(images) or "digest")
    digests = ImageDigests()
    images = data.image_sets["source"]["test"]
    assert digests(images) == digests(images) == "digest"
    assert len(counted) == 1


# -------------------------------------------------------------------------------------------- what is missing


def row(protocol="knn", target="digit", settings="s1", epoch=3, step=12, metric="top1"):
    return Row("a run", "ce", 5, epoch, step, protocol, target, metric, 0.5, settings=settings)


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        ([], ["knn", "logreg"]),
        ([row()], ["logreg"]),
        ([row(), row("logreg", settings="s2")], []),
        ([row(settings="old")], ["knn", "logreg"]),
        ([row(settings="")], ["knn", "logreg"]),
        ([row(metric="failed")], ["knn", "logreg"]),
        ([row(target="hue")], ["knn", "logreg"]),
        ([row(epoch=2)], ["knn", "logreg"]),
        ([row(step=11)], ["knn", "logreg"]),
    ],
    ids=[
        "nothing", "one", "all", "other settings", "no settings", "failed", "other target", "epoch", "step",
    ],
)  # fmt: skip
def test_what_is_not_in_the_table_with_these_settings_is_missing(rows, left):
    protocols = {"knn": Fixed(), "logreg": Fixed(0.7)}
    found = missing(protocols, {"knn": "s1", "logreg": "s2"}, rows, MOMENT, "digit")
    assert list(found) == left
    assert all(found[name] is protocols[name] for name in left)


# ------------------------------------------------------------------------------------------------------- rows


def test_every_number_is_a_row_and_a_failure_is_one_too(target, network):
    protocols = {
        "good": Fixed(0.75),
        "refusing": Fixed(error=ValueError("too few\n  images.")),
        "too large": Fixed(error=RuntimeError("out of memory")),
        "last": Fixed(),
    }
    named = {name: f"settings of {name}" for name in protocols}
    found = list(measure(protocols, task_of(target, network), MOMENT, named, "ab"))
    assert [[r.protocol for r in rows] for rows in found] == [
        ["good"] * 2,
        ["refusing"],
        ["too large"],
        ["last"] * 2,
    ]
    good = found[0][0]
    assert good[:9] == ("a run", "ce", 5, 3, 12, "good", "digit", "top1", 0.75)
    assert (good.n, good.chosen, good.settings, good.note) == (30, "k=3", "settings of good", "")
    assert math.isnan(good.low)
    assert good.seconds >= 0
    assert [(rows[0].metric, rows[0].note) for rows in found[1:3]] == [
        ("failed", "too few images."),
        ("failed", "out of memory"),
    ]
    assert math.isnan(found[1][0].value)


def test_a_mistake_of_our_own_stands_there_by_its_kind_and_the_others_go_on(target, network):
    protocols = {"broken": Fixed(error=AssertionError("ours")), "good": Fixed()}
    broken, good = measure(protocols, task_of(target, network), MOMENT, dict.fromkeys(protocols, ""), "ab")
    assert [(r.metric, r.note) for r in broken] == [("failed", "AssertionError: ours")]
    assert {r.metric for r in good} == {"top1", "val_top1"}


def test_headlines_are_test_rows_of_what_was_also_measured_on_validation():
    rows = [
        row(metric="top1"),
        row(metric="ece"),
        row(metric="val_top1"),
        row("few_shot", metric="top1"),
        row("logreg", target="voc2007", metric="map_11_point"),
        row("logreg", target="voc2007", metric="val_map_11_point"),
        row("logreg", target="hue", metric="failed"),
    ]
    assert headlines(rows) == [rows[0], rows[4]]


def test_source_accuracy_is_that_of_the_networks_own_classifier(data, network):
    found = {r.metric: r for r in source_rows(network, data, MOMENT)}
    for metric, split in (("top1", "test"), ("val_top1", "val")):
        images = data.image_sets["source"][split]
        with torch.no_grad():
            guess = network.classifier(network.backbone(data.standardise(images.image))).argmax(1)
        right = sum(int(g == y) for g, y in zip(guess, images.labels["source"], strict=True))
        assert found[metric].value == pytest.approx(right / SIZES[split])
        assert found[metric].n == SIZES[split]
    assert {(r.protocol, r.target, r.epoch, r.step) for r in found.values()} == {
        ("classifier", "source", 3, 12)
    }


def test_a_real_protocol_from_images_to_rows(data, target, network):
    """1-NN by hand: the class of the training image of the largest cosine."""
    protocol = KNearestNeighbours(neighbours=[1], temperatures=[None], refit=False)
    (rows,) = measure({"knn": protocol}, task_of(target, network), MOMENT, {"knn": "s"}, "ab")
    h = {
        split: nn.functional.normalize(network.features(data, "source", split)[0].double())
        for split in SPLITS
    }
    nearest = (h["test"] @ h["train"].T).argmax(1)
    guess = target.labels("train")[nearest]
    expected = (guess == target.labels("test")).double().mean().item()
    assert next(r.value for r in rows if r.metric == "top1") == pytest.approx(expected)


# ---------------------------------------------------------------------------------------- images and labels


def images_of(target):
    return ImageDigests().of_target(target)


def folder_target(folder, place="", label=0):
    """A target of image files, by name alone."""
    split = ImageFiles.of(folder, ["a.png", "b.png"], {"y": torch.tensor([0, label])}, {})
    data = SimpleNamespace(image_sets={"source": dict.fromkeys(SPLITS, split)})
    return Target("toy", data, "source", "y", place)


def test_the_digest_of_images_is_of_pixels_labels_and_an_own_folders_place(tmp_path):
    same = images_of(Target("another name", make_data(seed=4, batch_size=7), "source", "digit"))
    digests = [
        images_of(Target("digit", make_data(), "source", "digit")),
        images_of(changed_target(one_pixel)),
        images_of(changed_target(one_label)),
        images_of(Target("digit", make_data(), "source", "source")),
        images_of(folder_target(tmp_path)),
        images_of(folder_target(tmp_path, label=1)),
        images_of(folder_target(tmp_path, place="B")),
        images_of(folder_target(tmp_path, place="C")),
    ]
    assert digests[0] == same
    assert len(set(digests)) == len(digests)
    assert images_of(folder_target(tmp_path / "moved")) == images_of(folder_target(tmp_path))


@pytest.mark.parametrize("several", [False, True])
def test_protocols_of_one_class_an_image_are_not_applicable_to_several(several, tmp_path):
    single = KNearestNeighbours(neighbours=[1], temperatures=[None], refit=False)
    few = FewShot(ways=2, shots=[1], queries=1, episodes=2)
    target = folder_target(tmp_path)
    if several:
        target.data.image_sets["source"]["train"].labels["y"] = torch.zeros(2, 3, dtype=torch.int8)
    expected = {"knn": single} if several else {"knn": single, "few_shot": few}
    assert applicable({"knn": single, "few_shot": few}, target) == expected
