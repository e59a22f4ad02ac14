"""Scores see the training split alone, one that fails costs the others nothing, and none trains anything.

N: images, F: features, L: classes, S: source classes
"""

from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from ctc_lightning.evaluation.protocol import Task
from ctc_lightning.evaluation.protocols.scores import TransferabilityScores
from ctc_lightning.evaluation.training_free import draw_by_class
from ctc_lightning.metrics import LEEP, NLEEP, SFDA, HScore, LogME

NAMES = ["logme", "h_score", "n_leep", "sfda", "leep", "nce"]


def scores(names=None, ratio=2, images=None):
    return TransferabilityScores(scores=names, n_leep_ratio=ratio, n_leep_images=images)


def values(protocol, task):
    return {number.metric: number.value for number in protocol.measure(task)}


@pytest.fixture
def task():
    """Three classes in five features, and a source classifier of four classes that knows a little of them."""
    generator = torch.Generator().manual_seed(0)
    label, features, probabilities = {}, {}, {}
    for split, num_images in (("train", 90), ("val", 30), ("test", 45)):
        label[split] = torch.arange(num_images) % 3
        noise_NF = torch.randn(num_images, 5, generator=generator)
        features[split] = 2 * torch.eye(3, 5)[label[split]] + noise_NF
        probabilities[split] = (features[split] @ torch.randn(5, 4, generator=generator)).softmax(1)
    return Task("shape", "top1", 3, label, features, source_probabilities=probabilities, seed=3)


def test_each_score_is_its_metric_on_the_training_split(task):
    h_NF, label_N, prob_NS = task.features["train"], task.label["train"], task.source_probabilities["train"]
    metrics = {
        "logme": (LogME(5, 3), h_NF),
        "h_score": (HScore(5, 3, shrinkage=True), h_NF),
        "n_leep": (NLEEP(5, 3, ratio=2, seed=3), h_NF),
        "sfda": (SFDA(5, 3), h_NF),
        "leep": (LEEP(4, 3), prob_NS),
    }
    expected = {}
    for name, (metric, seen) in metrics.items():
        metric.update(seen, label_N)
        expected[name] = metric.compute().item()
    source_N = prob_NS.argmax(1)
    expected["nce"] = mutual_info_score(label_N, source_N) - entropy(np.bincount(label_N))  # −H(Y | Z)
    found = scores().measure(task)
    assert [number.metric for number in found] == NAMES
    # the metrics compute in float64; N-LEEP starts from the same seed
    assert {number.metric: number.value for number in found} == pytest.approx(expected, rel=1e-9)
    assert {number.n for number in found} == {90}


def test_of_all_scores_clearer_classes_are_higher(task):
    generator = torch.Generator().manual_seed(1)
    noise_NF = torch.randn(90, 5, generator=generator)
    found = []
    for signal in (0.0, 2.0, 5.0):
        h_NF = signal * torch.eye(3, 5)[task.label["train"]] + noise_NF
        prob_NS = (2 * h_NF[:, :3]).softmax(1)
        seen = replace(task, features={"train": h_NF}, source_probabilities={"train": prob_NS})
        found.append(values(scores(), seen))
    for name in NAMES:
        low, middle, high = (score[name] for score in found)
        assert low < middle < high, name


def test_validation_and_test_are_not_looked_at(task):
    train_only = {name: {"train": getattr(task, name)["train"]} for name in ("label", "features")}
    probabilities = {"train": task.source_probabilities["train"]}
    blind = replace(task, **train_only, source_probabilities=probabilities)
    assert values(scores(), blind) == values(scores(), task)


def test_without_a_source_classifier_there_is_no_leep_and_no_nce(task):
    bare = replace(task, source_probabilities=None)
    assert list(values(scores(), bare)) == NAMES[:4]
    with pytest.raises(ValueError, match="leep, nce need the source classifier's probabilities"):
        scores(["leep", "nce"]).measure(bare)


def test_only_those_asked_for_are_computed(task):
    assert list(values(scores(["sfda", "logme", "sfda"]), task)) == ["sfda", "logme"]
    assert scores().settings == {"scores": NAMES, "n_leep_ratio": 2, "n_leep_images": None}


def test_a_score_that_fails_is_a_warning_and_the_others_are_measured(task, caplog):
    label_N = task.label["train"].clone()
    label_N[label_N == 2] = 0
    label_N[7] = 2  # H-score and SFDA need two images of a class
    found = values(scores(), replace(task, label={"train": label_N}))
    assert list(found) == ["logme", "n_leep", "leep", "nce"]
    assert "h_score left out on shape: H-score: class 2 has 1 images" in caplog.text
    assert "sfda left out on shape" in caplog.text


def test_where_every_score_fails_the_error_says_why(task):
    one_class = replace(task, label={"train": torch.zeros(90, dtype=torch.int64)})
    with pytest.raises(
        ValueError, match=r"nothing can be measured on shape: logme \(LogME: class 1 has 0 im"
    ):
        scores().measure(one_class)


def test_several_labels_of_an_image_are_one_sentence(task):
    many = replace(task, label={"train": torch.zeros(90, 3, dtype=torch.int8)})
    with pytest.raises(ValueError, match="images of shape may have several labels"):
        scores().measure(many)


def test_n_leep_is_of_so_many_images_and_the_same_at_every_checkpoint(task):
    few = {number.metric: number for number in scores(images=30).measure(task)}
    assert (few["n_leep"].n, few["logme"].n) == (30, 90)
    assert few["n_leep"] == scores(["n_leep"], images=30).measure(task)[0]
    drawn = draw_by_class(task.label["train"], 30, seed=3)
    alone = replace(
        task, features={"train": task.features["train"][drawn]}, label={"train": task.label["train"][drawn]}
    )
    assert few["n_leep"].value == scores(["n_leep"]).measure(alone)[0].value


def test_no_random_number_of_anyone_else_is_used(task):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  # the global one is meant
    scores(images=30).measure(task)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["logme", "log_me"]}, "scores: log_me asked for; choose from logme, h_score"),
        ({"names": []}, "scores: none asked for"),
        ({"ratio": 0}, "n_leep_ratio is 0; it must be at least 1"),
        ({"images": 0}, "n_leep_images is 0; it must be at least 1"),
    ],
)
def test_bad_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        scores(**options)


def test_the_yaml_gives_every_option(task):
    config = OmegaConf.load(Path(__file__).parents[3] / "conf" / "protocol" / "scores.yaml").scores
    assert config.pop("_target_").endswith(".TransferabilityScores")
    assert set(config) == set(signature(TransferabilityScores).parameters)
    assert list(values(TransferabilityScores(**config), task)) == NAMES
