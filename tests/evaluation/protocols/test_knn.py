"""kNN votes as scikit-learn's, chooses on validation alone, and ties are decided the same everywhere.

N: images, F: features, K: neighbours, L: classes
"""

from dataclasses import replace
from inspect import signature
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import normalize

from ctc_lightning.evaluation.protocol import Task
from ctc_lightning.evaluation.protocols import knn as nearest_neighbours
from ctc_lightning.evaluation.protocols.knn import KNearestNeighbours

NEIGHBOURS, TEMPERATURES = [1, 7, 30, 100], [None, 0.5, 0.07]


def knn(neighbours=NEIGHBOURS, temperatures=TEMPERATURES, refit=True):
    return KNearestNeighbours(neighbours=neighbours, temperatures=temperatures, refit=refit)


def votes_of_scikit_learn(k, temperature, image_NF, label_N, query_NF):
    weights = "uniform" if temperature is None else lambda distance: np.exp((1 - distance) / temperature)
    model = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights)
    return model.fit(image_NF.double(), label_N).predict_proba(query_NF.double())


@pytest.mark.parametrize("refit", [True, False])
def test_equals_a_loop_over_scikit_learn(refit, noisy_task):
    h, label = noisy_task.features, noisy_task.label
    best = (-1.0, 0, None)
    for temperature, k in product(TEMPERATURES, NEIGHBOURS):
        p_NL = votes_of_scikit_learn(k, temperature, h["train"], label["train"], h["val"])
        top1 = float((p_NL.argmax(1) == label["val"].numpy()).mean())
        if top1 > best[0]:
            best, val_NL = (top1, k, temperature), p_NL
    known = ["train", "val"] if refit else ["train"]
    image_NF, label_N = (torch.cat([of[name] for name in known]) for of in (h, label))
    test_NL = votes_of_scikit_learn(*best[1:], image_NF, label_N, h["test"])
    found = knn(refit=refit).predict(noisy_task)
    assert found.chosen == f"k={best[1]}, T={'inf' if best[2] is None else best[2]}"
    # similarities are rounded to 2e-7; the floor of a share is 1e-6
    np.testing.assert_allclose(found.val.softmax(1), val_NL, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.test.softmax(1), test_NL, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("k", "temperature"), product([1, 30, 240], TEMPERATURES))
def test_shares_of_the_votes_are_those_of_scikit_learn(k, temperature, noisy_task):
    h, label = noisy_task.features, noisy_task.label
    expected_NL = votes_of_scikit_learn(k, temperature, h["train"], label["train"], h["test"])
    found = knn([k], [temperature], refit=False).predict(noisy_task)
    # weights exp(cos/T) with cos to 1e-6 have a relative error of 2e-7/0.07
    np.testing.assert_allclose(found.test.softmax(1), expected_NL, rtol=0, atol=1e-5)


def test_the_best_temperature_is_found_where_it_matters():
    # one near image of class 1, two far ones of class 0: the majority is wrong, the weighted vote right
    image_NF = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    query_NF = torch.tensor([[1.0, 0.1], [0.9, 0.05]])
    image_N, query_N = torch.tensor([1, 0, 0]), torch.tensor([1, 1])
    task = Task(
        "near",
        "top1",
        2,
        {"train": image_N, "val": query_N, "test": query_N},
        {"train": image_NF, "val": query_NF, "test": query_NF},
    )
    found = knn([3], [None, 0.1], refit=False).predict(task)
    assert found.chosen == "k=3, T=0.1"
    assert found.test.argmax(1).tolist() == [1, 1]


def test_of_equal_votes_the_smallest_class_wins(noisy_task):
    image_NF = torch.eye(4).repeat(2, 1)
    label = {"train": torch.tensor([2, 1, 0, 2, 1, 2, 2, 0]), "val": torch.arange(3), "test": torch.arange(3)}
    # each basis vector is there twice, with two classes
    features = {"train": image_NF, "val": torch.eye(4)[:3], "test": torch.eye(4)}
    task = replace(noisy_task, label={**label, "test": torch.zeros(4, dtype=torch.int64)}, features=features)
    found = knn([2], [None, 0.1], refit=False).predict(task)
    assert found.test.argmax(1).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("num_copies", [10, 1000])
def test_of_equal_similarities_the_first_images_are_nearest(num_copies, noisy_task):
    image_F = torch.randn(33, generator=torch.Generator().manual_seed(0))
    label_N = torch.full((num_copies,), 2)
    label_N[:3] = torch.tensor([0, 1, 1])
    query_NF = torch.randn(50, 33, generator=torch.Generator().manual_seed(1))
    query_N = torch.ones(50, dtype=torch.int64)
    task = replace(
        noisy_task,
        label={"train": label_N, "val": query_N, "test": query_N},
        features={"train": image_F.expand(num_copies, -1), "val": query_NF, "test": query_NF},
    )
    found = knn([3], [None], refit=False).predict(task)
    shares_NL = torch.tensor([1 / 3, 2 / 3, 0.0]).expand(50, 3)
    torch.testing.assert_close(found.test.softmax(1), shares_NL, rtol=0, atol=1e-5)


def test_length_of_features_does_not_matter(noisy_task):
    draw = torch.Generator().manual_seed(0)
    scaled = {
        name: h_NF * (0.1 + 10 * torch.rand(len(h_NF), 1, generator=draw))
        for name, h_NF in noisy_task.features.items()
    }
    found, expected = (knn().predict(task) for task in (replace(noisy_task, features=scaled), noisy_task))
    assert found.chosen == expected.chosen
    torch.testing.assert_close(found.test.softmax(1), expected.test.softmax(1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("task_name", ["noisy_task", "noisy_multi_label_task"])
def test_parts_of_bounded_memory_change_nothing(task_name, request, monkeypatch):
    task = request.getfixturevalue(task_name)
    expected = knn().predict(task)
    monkeypatch.setattr(nearest_neighbours, "_CELLS", 1000)
    found = knn().predict(task)
    assert found.chosen == expected.chosen
    # a product of fewer rows may add in another order
    torch.testing.assert_close(found.test, expected.test, rtol=0, atol=1e-4)


def test_several_labels_are_shares_of_present(noisy_multi_label_task):
    task = noisy_multi_label_task
    h = {name: normalize(h_NF.double(), dim=1).numpy() for name, h_NF in task.features.items()}
    image_NF = np.concatenate([h["train"], h["val"]])
    label_NL = np.concatenate([task.label["train"], task.label["val"]])
    expected_NL = np.zeros((len(h["test"]), 4))
    for row, query_F in enumerate(h["test"]):
        similarity_N = image_NF @ query_F
        nearest_K = np.argsort(-similarity_N)[:20]
        weight_K = np.exp(similarity_N[nearest_K] / 0.2)
        for c in range(4):
            expected_NL[row, c] = sum(weight_K[label_NL[nearest_K, c] == 1]) / sum(weight_K)
    found = knn([20], [0.2]).predict(task)
    np.testing.assert_allclose(found.test.exp(), expected_NL, rtol=0, atol=2e-5)


def test_several_labels_choose_by_mean_average_precision(noisy_multi_label_task):
    task = noisy_multi_label_task
    rows = {row.metric: row for row in knn(temperatures=[0.2]).measure(task)}
    assert set(rows) == {"map_11_point", "val_map_11_point"}

    def precision_on_val(k):
        logits_NL, label_NL = knn([k], [0.2]).predict(task).val, task.label["val"]
        judged = [label_NL[:, c] >= 0 for c in range(4)]
        return np.mean(
            [average_precision_score(label_NL[j, c], logits_NL[j, c]) for c, j in enumerate(judged)]
        )

    # the average precision is another sum over the same curve: the single neighbour is far behind in both
    assert precision_on_val(1) + 0.05 < max(map(precision_on_val, NEIGHBOURS))
    assert rows["map_11_point"].chosen != "k=1, T=0.2"


def test_of_equally_good_pairs_the_first_is_taken(easy_task):
    rows = {row.metric: row for row in knn([20, 5], [0.5, None]).measure(easy_task)}
    assert rows["top1"].value == rows["val_top1"].value == 1
    assert rows["top1"].chosen == "k=5, T=0.5"


def test_validation_without_any_present_label_takes_the_first_pair(noisy_multi_label_task):
    task = noisy_multi_label_task
    absent = replace(task, label={**task.label, "val": torch.zeros_like(task.label["val"])})
    found = knn().predict(absent)
    assert found.chosen == "k=1, T=inf"
    assert found.val.shape == task.label["val"].shape


def test_more_neighbours_than_images_are_left_out(noisy_task):
    assert knn([1, 241, 5000]).predict(noisy_task).chosen.startswith("k=1, ")
    with pytest.raises(ValueError, match=r"k = 241 neighbours of 240 training images of noise; choose"):
        knn([5000, 241]).predict(noisy_task)


def test_a_feature_vector_of_zeros_is_no_error(noisy_task):
    features = {name: h_NF.clone() for name, h_NF in noisy_task.features.items()}
    for h_NF in features.values():
        h_NF[::7] = 0
    assert knn().predict(replace(noisy_task, features=features)).test.isfinite().all()


@pytest.mark.parametrize("task_name", ["noisy_task", "noisy_multi_label_task"])
def test_the_test_split_is_not_looked_at(task_name, request, assert_test_is_not_looked_at):
    assert_test_is_not_looked_at(knn(), request.getfixturevalue(task_name))


def test_validation_is_not_among_the_neighbours_that_choose(noisy_task):
    # an image that finds itself would be right with k = 1
    rows = {row.metric: row.value for row in knn([1], [None]).measure(noisy_task)}
    assert rows["val_top1"] < 0.9


@pytest.mark.usefixtures("global_randomness_untouched")
def test_nothing_is_random(noisy_task):
    assert knn().measure(noisy_task) == knn().measure(replace(noisy_task, seed=99))


def test_the_yaml_gives_every_option(noisy_task):
    config = OmegaConf.load(Path(__file__).parents[3] / "conf" / "protocol" / "knn.yaml").knn
    assert config.pop("_target_") == "ctc_lightning.evaluation.KNearestNeighbours"
    assert set(config) == set(signature(KNearestNeighbours).parameters)
    protocol = KNearestNeighbours(**config)
    assert protocol.settings == OmegaConf.to_container(config)
    assert protocol.measure(noisy_task)[0].value > 0.5  # chance is a third


@pytest.mark.parametrize(
    ("neighbours", "temperatures", "message"),
    [
        ([], [None], r"neighbours is \[\]; give at least one value"),
        (
            [5, 0],
            [None],
            r"neighbours is \[5, 0\]; give at least one value, each a whole number of at least 1",
        ),
        ([5], [], r"temperatures is \[\]; give at least one"),
        ([5], [None, 0.0], r"temperatures is \[None, 0.0\]; give at least one value, each above 0, or null"),
    ],
)
def test_impossible_options_are_refused(neighbours, temperatures, message):
    with pytest.raises(ValueError, match=message):
        knn(neighbours, temperatures)
