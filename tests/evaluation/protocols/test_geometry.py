"""Geometry is of the test images, and each number is what its name says. N: images, F, G: features."""

from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ctc_lightning.evaluation.protocol import Task
from ctc_lightning.evaluation.protocols.geometry import FeatureGeometry
from ctc_lightning.metrics import NeuralCollapse

OF_LABELS = {"nc1", "nc2_equinorm", "nc2_equiangular", "nc2_maximal_angle", "vci", "alignment"}
OF_FEATURES = {"effective_rank", "feature_norm", "feature_norm_variation", "uniformity"}


def values(task, images=None):
    return {n.metric: n.value for n in FeatureGeometry(uniformity_images=images).measure(task)}


@pytest.fixture
def task():
    """Three classes of 40, 30 and 20 test images in five features."""
    generator = torch.Generator().manual_seed(0)
    label_N = torch.tensor([0] * 40 + [1] * 30 + [2] * 20)[torch.randperm(90, generator=generator)]
    h_NF = 2 * torch.eye(3, 5)[label_N] + torch.randn(90, 5, generator=generator)
    return Task("shape", "top1", 3, {"test": label_N, "train": label_N[:0]}, {"test": h_NF}, seed=3)


def test_collapse_is_that_of_the_targets_classes(task):
    h, y = task.features["test"].double().numpy(), task.label["test"].numpy()
    mean = np.stack([h[y == c].mean(0) for c in range(3)])
    m = mean - mean.mean(0)
    within = (h - mean[y]).T @ (h - mean[y]) / 90
    found = values(task)
    assert found["nc1"] == pytest.approx(np.trace(within @ np.linalg.pinv(m.T @ m / 3)) / 3, rel=1e-9)
    norm = np.linalg.norm(m, axis=1)
    assert found["nc2_equinorm"] == pytest.approx(norm.std() / norm.mean(), rel=1e-9)
    # one-vs-all share of variance along the discriminant directions, by sklearn: its ratio is λ/(1 + λ)
    lda = LinearDiscriminantAnalysis(n_components=2, solver="svd").fit(h, y)
    projected = lda.transform(h)
    between = np.array([projected[y == c].mean(0) for c in range(3)])[y].var(0)
    assert found["vci"] == pytest.approx(1 - (between / projected.var(0)).sum() / 2, rel=1e-9)


def test_rank_norm_and_spread(task):
    h = task.features["test"].double().numpy()
    sigma = np.linalg.svd(h - h.mean(0), compute_uv=False)
    share = sigma / sigma.sum()
    length = np.linalg.norm(h, axis=1)
    z = h / length[:, None]
    distance = ((z[:, None] - z[None]) ** 2).sum(2)[np.triu_indices(90, 1)]
    expected = {
        "effective_rank": np.exp(-(share * np.log(share)).sum()),
        "feature_norm": length.mean(),
        "feature_norm_variation": length.std() / length.mean(),
        "uniformity": np.log(np.exp(-2 * distance).mean()),
    }
    found = values(task)
    # uniformity keeps its directions in float32
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_alignment_pairs_images_of_a_class_each_of_which_stands_in_two_pairs(task):
    # the class is written in the direction: within a class all agree, between classes all are orthogonal
    label_N = task.label["test"]
    one_way = replace(task, features={"test": torch.eye(3, 5)[label_N]})
    assert values(one_way)["alignment"] == pytest.approx(0, abs=1e-12)
    # one of a class's four images opposite to the other three: it is in two of the four pairs, at distance² 4
    h_NF = torch.tensor([[1.0], [1.0], [1.0], [-1.0], [1.0], [1.0], [1.0]])
    odd = replace(
        task, features={"test": h_NF}, label={"test": torch.tensor([0, 0, 0, 0, 1, 1, 2]), "train": label_N}
    )
    numbers = {n.metric: n for n in FeatureGeometry(uniformity_images=None).measure(odd)}
    assert numbers["alignment"].value == pytest.approx(2 * 4 / 6)
    assert numbers["alignment"].n == 6, "the single image of class 2 has no pair"


def test_alignment_pairs_are_drawn_by_the_tasks_seed(task):
    assert values(task) == values(task)
    assert values(task)["alignment"] != values(replace(task, seed=4))["alignment"]


def test_likeness_to_every_moment_of_the_run_that_is_given(task):
    h_NF = task.features["test"]
    generator = torch.Generator().manual_seed(1)
    turn_FF = torch.linalg.qr(torch.randn(5, 5, generator=generator))[0]
    unrelated_NG = torch.randn(90, 7, generator=generator)
    found = values(replace(task, compared_to={"previous": 3 * h_NF @ turn_FF + 2, "first": unrelated_NG}))
    assert found["cka_previous"] == pytest.approx(1, abs=1e-5)  # the other features are float32
    # debiased: 0 on average, with a spread of about 1/√(N F)
    assert abs(found["cka_first"]) < 0.1
    assert not [name for name in values(task) if name.startswith("cka")]


def test_unrelated_features_are_alike_neither_more_nor_less_than_by_chance():
    generator = torch.Generator().manual_seed(0)
    label = {"test": torch.arange(30) % 2, "train": torch.arange(2)}
    found = [
        values(Task("t", "top1", 2, label, {"test": x}, compared_to={"first": y}))["cka_first"]
        for x, y in zip(*(torch.randn(60, 30, 20, generator=generator) for _ in "xy"), strict=True)
    ]
    # without debiasing it would be about 0.4
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))


def test_training_images_are_not_looked_at(task):
    others = {"train": torch.full((4, 5), torch.nan), "val": torch.full((4, 5), torch.nan)}
    assert values(replace(task, features=task.features | others)) == values(task)


def test_several_labels_of_an_image_leave_what_needs_none(task):
    many = replace(task, label=dict.fromkeys(("train", "test"), torch.zeros(90, 3, dtype=torch.int8)))
    assert set(values(many)) == OF_FEATURES
    assert set(values(task)) == OF_FEATURES | OF_LABELS


def test_a_class_with_one_image_costs_its_collapse_alone(task, caplog):
    label_N = task.label["test"].clone()
    label_N[label_N == 2] = 0
    label_N[5] = 2
    found = values(replace(task, label={"train": label_N, "test": label_N}))
    assert set(found) == OF_FEATURES | {"alignment"}
    assert "nc left out on shape: neural collapse: class 2 has 1 images" in caplog.text


def test_features_without_any_direction_are_one_sentence(task):
    flat = replace(task, features={"test": torch.zeros(90, 5)})
    with pytest.raises(ValueError, match=r"geometry: nothing can be measured on shape: effective_rank \("):
        values(flat)


def test_uniformity_of_some_images_is_near_that_of_all(task):
    h_NF = torch.randn(400, 5, generator=torch.Generator().manual_seed(2))
    label_N = torch.arange(400) % 3
    many = replace(task, features={"test": h_NF}, label={"train": label_N, "test": label_N})
    numbers = {n.metric: n for n in FeatureGeometry(uniformity_images=200).measure(many)}
    assert (numbers["uniformity"].n, numbers["nc1"].n) == (200, 400)
    assert numbers["uniformity"].value == pytest.approx(values(many)["uniformity"], abs=0.1)
    assert numbers["uniformity"].value == values(many, images=200)["uniformity"]


def test_collapse_grows_as_classes_contract(task):
    label_N = task.label["test"]
    mean_NF = 2 * torch.eye(3, 5)[label_N]
    tight = replace(task, features={"test": mean_NF + 0.1 * (task.features["test"] - mean_NF)})
    found, loose = values(tight), values(task)
    assert all(found[name] < loose[name] for name in ("nc1", "vci", "alignment"))
    metric = NeuralCollapse(5, 3)
    metric.update(tight.features["test"], label_N)
    assert found["nc1"] == metric.compute()["nc1"].item()


def test_the_yaml_gives_every_option_and_a_pair_needs_two_images():
    config = OmegaConf.load(Path(__file__).parents[3] / "conf" / "protocol" / "geometry.yaml").geometry
    assert config.pop("_target_").endswith(".FeatureGeometry")
    assert set(config) == set(signature(FeatureGeometry).parameters)
    assert FeatureGeometry(**config).settings == dict(config)
    with pytest.raises(
        ValueError, match="uniformity_images is 1; it must be a whole number of at least 2, or null"
    ):
        FeatureGeometry(uniformity_images=1)


def test_of_the_source_the_classifier_is_compared_with_the_class_means(task):
    """NC3 by its formula; NC4 against the nearest mean of the training images, here the test images' own."""
    classifier = torch.nn.Linear(5, 3).requires_grad_(requires_grad=False)
    shown = {"test": task.features["test"], "train": task.features["test"]}
    labels = {"test": task.label["test"], "train": task.label["test"]}
    found = values(replace(task, classifier=classifier, features=shown, label=labels))
    h, y = shown["test"].double().numpy(), labels["test"].numpy()
    mean = np.stack([h[y == c].mean(0) for c in range(3)])
    m, w = mean - mean.mean(0), classifier.weight.double().numpy()
    difference = w / np.linalg.norm(w) - m / np.linalg.norm(m)
    assert found["nc3"] == pytest.approx((difference**2).sum(), rel=1e-6)
    nearest = ((h[:, None] - mean) ** 2).sum(2).argmin(1)
    decided = (h @ w.T + classifier.bias.double().numpy()).argmax(1)
    assert found["nc4"] == pytest.approx((nearest == decided).mean(), abs=1e-9)
    assert not {"nc3", "nc4"} & values(task).keys()
