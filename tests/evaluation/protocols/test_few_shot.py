"""Episodes are fair draws, the same for every network, and classified as by hand.

N: images, F: features, L: classes, E: episodes, W: ways, M: images of a class in an episode
"""

from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy.spatial.distance import cosine, euclidean
from scipy.stats import chisquare

from ctc_lightning.evaluation.protocol import Task
from ctc_lightning.evaluation.protocols import few_shot
from ctc_lightning.evaluation.protocols.few_shot import FewShot

QUERIES = 4


def protocol(ways=3, shots=(1, 5), queries=QUERIES, episodes=200, metric="euclidean"):
    return FewShot(ways=ways, shots=list(shots), queries=queries, episodes=episodes, metric=metric)


def episodes_of(few, task):
    return torch.cat(list(few._episodes(task)))


@pytest.fixture(scope="module")
def task():
    """Six classes of 9 to 40 test images, in a random order, around random centres."""
    random = np.random.default_rng(0)
    label_N = random.permutation(np.repeat(np.arange(6), [9, 40, 12, 9, 25, 30]))
    centre_LF = random.normal(size=(6, 8))
    h_NF = torch.tensor(centre_LF[label_N] + random.normal(size=(len(label_N), 8)), dtype=torch.float32)
    label, none = torch.tensor(label_N), torch.zeros(1, dtype=torch.int64)
    return Task(
        "letters",
        "top1",
        6,
        {"train": none, "val": none, "test": label},
        {"train": torch.zeros(1, 8), "val": torch.zeros(1, 8), "test": h_NF},
        seed=5,
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equals_a_loop_over_episodes(metric, task):
    few = protocol(episodes=40, metric=metric)
    distance = {"euclidean": euclidean, "cosine": cosine}[metric]
    h_NF = task.features["test"].double().numpy()
    for measured, shots in zip(few.measure(task), [1, 5], strict=True):
        accuracy = []
        for image_WM in episodes_of(few, task).tolist():
            means = [np.mean(h_NF[images[QUERIES : QUERIES + shots]], axis=0) for images in image_WM]
            right = [
                np.argmin([distance(h_NF[query], mean) for mean in means]) == way
                for way, images in enumerate(image_WM)
                for query in images[:QUERIES]
            ]
            accuracy.append(np.mean(right))
        mean, half = np.mean(accuracy), 1.96 * np.std(accuracy, ddof=1) / 40**0.5
        assert measured.metric == f"accuracy_3way_{shots}shot"
        assert (measured.n, measured.chosen) == (40, "")
        # the same queries are right: only means of a few fractions are rounded
        assert measured[1:4] == pytest.approx((mean, mean - half, mean + half))


def test_episodes_have_different_classes_and_images(task):
    few = protocol(episodes=300)
    image_EWM = episodes_of(few, task)
    assert image_EWM.shape == (300, 3, QUERIES + 5)
    class_EWM = task.label["test"][image_EWM]
    assert (class_EWM == class_EWM[:, :, :1]).all()
    for class_W, image_WM in zip(class_EWM[:, :, 0], image_EWM, strict=True):
        assert len(class_W.unique()) == 3
        assert len(image_WM.unique()) == image_WM.numel()


def test_all_classes_and_images_are_equally_likely(task):
    few = protocol(shots=[2], queries=3, episodes=4000)
    image_EWM = episodes_of(few, task)
    label_N = task.label["test"]
    of_class_L = torch.bincount(label_N[image_EWM[:, :, 0]].flatten(), minlength=6)
    assert chisquare(of_class_L).pvalue > 1e-3
    for place in (0, 4):  # the first query and the last shot
        drawn_N = torch.bincount(image_EWM[:, :, place].flatten(), minlength=len(label_N))
        for c in range(6):
            assert chisquare(drawn_N[label_N == c]).pvalue > 1e-3


def test_classes_with_too_few_images_do_not_take_part(task):
    image_EWM = episodes_of(protocol(shots=[10], queries=15), task)
    assert set(task.label["test"][image_EWM].flatten().tolist()) == {1, 4, 5}


def test_separated_classes_are_always_right(task):
    h_NF = 100 * torch.eye(6)[task.label["test"]] + 0.1 * task.features["test"][:, :6]
    for measured in protocol().measure(replace(task, features={"test": h_NF})):
        assert measured[1:4] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_collapsed_features_are_right_by_chance_exactly(metric, task):
    h_NF = torch.ones(len(task.label["test"]), 8)
    for measured in protocol(metric=metric).measure(replace(task, features={"test": h_NF})):
        assert measured[1:4] == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_a_common_mean_does_not_change_euclidean_neighbours(task):
    # 2^12 away, coordinates of about 1 keep 11 bits; a product of matrices would keep none of the distances
    h_NF = (task.features["test"] * 64).round() / 64
    near, far = (protocol().measure(replace(task, features={"test": h_NF + mean})) for mean in (0.0, 4096.0))
    assert [m.value for m in far] == pytest.approx([m.value for m in near], abs=0.01)


def test_the_interval_holds_the_mean_of_many_episodes(task):
    truth = [m.value for m in protocol(episodes=20_000).measure(task)]
    few = protocol(episodes=100)
    found = [few.measure(replace(task, seed=seed)) for seed in range(100)]
    for shots in (0, 1):
        inside = np.mean([m[shots].low <= truth[shots] <= m[shots].high for m in found])
        # binomial of 100 draws with 0.95: standard deviation 0.022
        assert 0.86 <= inside <= 1.0
        width = np.mean([m[shots].high - m[shots].low for m in found])
        spread = np.std([m[shots].value for m in found])
        assert width == pytest.approx(2 * 1.96 * spread, rel=0.25)  # a deviation of 100 draws: 7 %


def test_every_network_meets_the_same_episodes(task, monkeypatch):
    few = protocol()
    asked = []
    draw = few._episodes
    monkeypatch.setattr(few, "_episodes", lambda task: asked.append(list(draw(task))) or asked[-1])
    wide = torch.randn(len(task.label["test"]), 3000, generator=torch.Generator().manual_seed(0))
    few.measure(task)
    few.measure(replace(task, features={"test": wide}))
    few.measure(replace(task, seed=6))
    first, second, other_seed = (torch.cat(parts) for parts in asked)
    assert torch.equal(first, second)
    assert not torch.equal(first, other_seed)


def test_parts_of_features_change_nothing(task, monkeypatch):
    few = protocol(episodes=50)
    expected, drawn = few.measure(task), episodes_of(few, task)
    monkeypatch.setattr(few, "_episodes", lambda _: [drawn])
    monkeypatch.setattr(few_shot, "_CELLS", 1000)
    assert few.measure(task) == expected


def test_more_shots_keep_the_classes_and_queries(task):
    alone, both = protocol(shots=[5]).measure(task), protocol(shots=[5, 1]).measure(task)
    assert [m.metric for m in both] == ["accuracy_3way_1shot", "accuracy_3way_5shot"]
    assert both[1] == alone[0]
    assert both[0].value < both[1].value


@pytest.mark.usefixtures("global_randomness_untouched")
def test_only_the_test_split_counts(task):
    h_NF, label_N = task.features["test"].flip(0), task.label["test"].flip(0)
    changed = replace(
        task,
        label={**task.label, "train": label_N, "val": label_N},
        features={**task.features, "train": h_NF, "val": h_NF},
    )
    assert protocol().measure(changed) == protocol().measure(task)


def test_too_few_classes_are_counted_and_the_remedy_named(task):
    with pytest.raises(ValueError, match="4 of 6 classes of letters have the 12 test images") as failure:
        protocol(ways=5, shots=[2, 1], queries=10).measure(task)
    assert "2 shots and 10 queries take, and an episode needs 5" in str(failure.value)
    assert "protocol.few_shot.ways=4, or fewer shots or queries" in str(failure.value)
    assert len(protocol(ways=4, shots=[2, 1], queries=10).measure(task)) == 2  # the remedy is one
    with pytest.raises(ValueError, match=r"1 of 6 classes .* needs 2; choose fewer shots or queries\."):
        protocol(ways=2, shots=[30], queries=10).measure(task)


def test_several_labels_are_refused(noisy_multi_label_task):
    with pytest.raises(ValueError, match="images of noise may have several labels"):
        protocol().measure(noisy_multi_label_task)


def test_the_yaml_gives_every_option(task):
    config = OmegaConf.load(Path(__file__).parents[3] / "conf" / "protocol" / "few_shot.yaml").few_shot
    assert config.pop("_target_") == "ctc_lightning.evaluation.FewShot"
    assert set(config) == set(signature(FewShot).parameters)
    few = FewShot(**config)
    assert few.settings == OmegaConf.to_container(config)
    large = replace(task, label={"test": torch.arange(125) % 5, "train": torch.zeros(1)}, num_classes=5)
    assert [m.metric for m in few.measure(large)] == ["accuracy_5way_1shot", "accuracy_5way_5shot"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ways": 1}, "ways is 1; it must be a whole number of at least 2"),
        ({"queries": 0}, "queries is 0; it must be a whole number of at least 1"),
        ({"episodes": 1}, "episodes is 1; it must be a whole number of at least 2"),
        ({"shots": []}, r"shots is \[\]; give at least one value"),
        ({"shots": [5, 0]}, r"shots is \[5, 0\]; give at least one value, each a whole number of at least 1"),
        ({"metric": "manhattan"}, "metric is 'manhattan'; it must be one of 'euclidean', 'cosine'"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        protocol(**options)
