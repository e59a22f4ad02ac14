"""The tuned probe chooses on validation, refits on both, leaves test to the end. N: images, F: features."""

import math
import os
import re

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ctc_lightning.evaluation.protocol import Task
from ctc_lightning.evaluation.protocols.logreg import LogisticRegressionProbe, free_memory

STRENGTHS = [1e3, 10.0, 0.1]


def task_of(h, label, metric="top1"):
    num_classes = label["train"].shape[1] if label["train"].ndim > 1 else 3
    return Task(target="noise", metric=metric, num_classes=num_classes, label=label, features=h)


@pytest.fixture(scope="module")
def task():
    """Three overlapping classes; about three images in four can be told apart."""
    random = np.random.default_rng(0)
    centre_LF = random.normal(size=(3, 6))
    label = {name: random.integers(3, size=n) for name, n in {"train": 240, "val": 150, "test": 150}.items()}
    h = {
        name: torch.tensor(np.float32(centre_LF[y] + 1.5 * random.normal(size=(len(y), 6))))
        for name, y in label.items()
    }
    return task_of(h, {name: torch.tensor(y) for name, y in label.items()})


def changed(task, **features):
    return task_of({**task.features, **features}, task.label, task.metric)


def softmax_of_scikit_learn(h_NF, label_N, strength, test_NF, *, standardised):
    h_NF, test_NF = h_NF.double().numpy(), test_NF.double().numpy()
    if standardised:
        scale = StandardScaler().fit(h_NF)
        h_NF, test_NF = scale.transform(h_NF), scale.transform(test_NF)
    model = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000).fit(h_NF, label_N.numpy())
    return torch.tensor(model.predict_proba(test_NF))


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("scale", [None, "standardised"])
def test_equals_a_loop_over_scikit_learn(scale, refit, task):
    h, label = task.features, task.label
    standardised = scale is not None
    best = (-1.0, 0.0)
    for strength in STRENGTHS:
        p = softmax_of_scikit_learn(h["train"], label["train"], strength, h["val"], standardised=standardised)
        best = max(best, (float((p.argmax(1) == label["val"]).double().mean()), strength))
    fitted_on = ["train", "val"] if refit else ["train"]
    both_NF, both_N = (torch.cat([of[name] for name in fitted_on]) for of in (h, label))
    expected = softmax_of_scikit_learn(both_NF, both_N, best[1], h["test"], standardised=standardised)
    found = LogisticRegressionProbe(scale=scale, strengths=STRENGTHS, refit=refit).predict(task)
    assert found.chosen == f"lambda={best[1]:g}"
    # 1e-4 nats of mean loss above the optimum allow about 1e-2 in a probability
    torch.testing.assert_close(found.test.softmax(1), expected, rtol=0, atol=1e-2)
    val_top1 = (found.val.argmax(1) == label["val"]).double().mean()
    assert float(val_top1) == pytest.approx(best[0], abs=1 / 150 + 1e-9)  # one image may lie on the border


def test_validation_logits_are_of_a_model_that_has_not_seen_validation(task):
    probe = LogisticRegressionProbe(scale=None, strengths=[1.0], refit=True)
    other = task_of(task.features, {**task.label, "val": task.label["val"].flip(0)})
    torch.testing.assert_close(probe.predict(other).val, probe.predict(task).val)
    assert not torch.allclose(probe.predict(other).test, probe.predict(task).test)


def test_the_test_split_is_not_looked_at(task):
    probe = LogisticRegressionProbe(scale="whitened", strengths=STRENGTHS)
    seen = probe.predict(task)
    found = probe.predict(changed(task, test=100 * task.features["test"] + 7))
    assert found.chosen == seen.chosen
    torch.testing.assert_close(found.val, seen.val)
    flipped = task_of(task.features, {**task.label, "test": task.label["test"].flip(0)})
    torch.testing.assert_close(probe.predict(flipped).test, seen.test)


def test_whitened_predictions_are_invariant_under_invertible_linear_maps(task):
    random = np.random.default_rng(2)
    left_FF, right_FF = (np.linalg.qr(random.normal(size=(6, 6)))[0] for _ in range(2))
    map_FF = torch.tensor(left_FF @ np.diag(np.logspace(-2, 2, 6)) @ right_FF)
    mapped = {name: h.double() @ map_FF + 50 for name, h in task.features.items()}
    probe = LogisticRegressionProbe(scale="whitened", strengths=STRENGTHS)
    before, after = probe.predict(task), probe.predict(changed(task, **mapped))
    assert after.chosen == before.chosen
    torch.testing.assert_close(after.test.softmax(1), before.test.softmax(1), rtol=0, atol=1e-2)


def test_of_equally_good_strengths_the_strongest_is_taken():
    label_N = torch.arange(60) % 3
    h_NF = torch.nn.functional.one_hot(label_N).float()
    task = task_of(
        dict.fromkeys(("train", "val", "test"), h_NF), dict.fromkeys(("train", "val", "test"), label_N)
    )
    assert LogisticRegressionProbe(scale=None, strengths=[0.1, 10.0, 1.0]).predict(task).chosen == "lambda=10"


def test_equally_good_strengths_in_the_range_of_the_configuration_are_tied_too(task):
    # At strengths like these no image's class changes: 1e12 is as good as 1e10
    probe = LogisticRegressionProbe(scale=None, strengths={"first": 1e10, "last": 1e12, "num": 3})
    assert probe.predict(task).chosen == "lambda=1e+12"


@pytest.mark.parametrize("scale", [None, "standardised", "whitened"])
def test_global_random_numbers_and_features_stay_as_they_were(scale, task):
    before, state = {name: h.clone() for name, h in task.features.items()}, torch.get_rng_state()
    probe = LogisticRegressionProbe(scale=scale, strengths=STRENGTHS)
    first, second = probe.predict(task), probe.predict(task)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.test, second.test)
    assert all(torch.equal(h, before[name]) for name, h in task.features.items())


@pytest.mark.parametrize("refit", [True, False])
def test_a_network_that_has_collapsed_gives_the_most_frequent_class(refit, task):
    collapsed = {name: torch.full_like(h, 0.3) for name, h in task.features.items()}
    for scale in (None, "standardised", "whitened"):
        probe = LogisticRegressionProbe(scale=scale, strengths=STRENGTHS, refit=refit)
        fitted_on = ["train", "val"] if refit else ["train"]
        majority = torch.cat([task.label[name] for name in fitted_on]).bincount().argmax()
        assert (probe.predict(changed(task, **collapsed)).test.argmax(1) == majority).all()


def test_several_labels_are_chosen_by_their_own_metric():
    random = np.random.default_rng(0)
    h, label = {}, {}
    for name in ("train", "val", "test"):
        h[name] = torch.tensor(np.float32(random.normal(size=(100, 8))))
        label[name] = (h[name][:, :2] + 0.5 * torch.tensor(random.normal(size=(100, 2))) > 0.5).to(torch.int8)
        label[name][::7, 0] = -1
    task = task_of(h, label, metric="map_11_point")
    measured = LogisticRegressionProbe(scale=None, strengths=STRENGTHS).measure(task)
    value = {m.metric: m.value for m in measured}
    prevalence = float((label["test"] == 1).double().sum() / (label["test"] >= 0).sum())
    assert value["map_11_point"] > 2 * prevalence  # that of chance
    assert {"map_11_point", "val_map_11_point"} <= value.keys()


def test_a_range_of_strengths_is_even_in_the_logarithm():
    probe = LogisticRegressionProbe(scale=None, strengths={"first": 1e2, "last": 1e-2, "num": 5})
    assert probe.settings["strengths"] == pytest.approx([1e2, 10, 1, 0.1, 1e-2])


@pytest.mark.parametrize("strengths", [[], [0.0, 1.0], [-1.0], [math.nan], [math.inf]])
def test_wrong_strengths_are_refused(strengths):
    with pytest.raises(
        ValueError,
        match=rf"strengths is {re.escape(str(strengths))}; give at least one value, each .*above 0",
    ):
        LogisticRegressionProbe(scale=None, strengths=strengths)


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ({"first": 1.0}, "give a list, or first, last, num"),
        ({"first": 0.0, "last": 1.0, "num": 3}, "strengths: first is 0.0; it must be above 0"),
    ],
)
def test_a_wrong_range_of_strengths_is_refused(strengths, message):
    with pytest.raises(ValueError, match=message):
        LogisticRegressionProbe(scale=None, strengths=strengths)


def test_an_unknown_scale_is_refused():
    with pytest.raises(
        ValueError, match="scale is 'zca'; it must be one of 'standardised', 'whitened', or null"
    ):
        LogisticRegressionProbe(scale="zca", strengths=[1.0])


def test_a_single_class_is_refused(task):
    single = task_of(task.features, {**task.label, "train": 0 * task.label["train"]})
    with pytest.raises(ValueError, match="all 240 training images of noise are of one class"):
        LogisticRegressionProbe(scale=None, strengths=[1.0]).predict(single)


@pytest.mark.parametrize("scale", [None, "standardised", "whitened"])
def test_too_little_memory_is_refused_before_the_fit(scale, task, monkeypatch):
    probe = LogisticRegressionProbe(scale=scale, strengths=[1.0])
    monkeypatch.setattr("ctc_lightning.evaluation.protocols.logreg.free_memory", lambda device: 1000.0)
    with pytest.raises(
        ValueError,
        match=r"390 images with 6 features and 3 classes need about .* GiB are free; use protocol=",
    ):
        probe.predict(task)
    # 8 bytes for each feature of an image is the least: features and directions in float32
    monkeypatch.setattr("ctc_lightning.evaluation.protocols.logreg.free_memory", lambda device: 390 * 6 * 8.0)
    with pytest.raises(ValueError, match="GiB of memory"):
        probe.predict(task)


def test_free_memory_is_what_this_machine_could_give():
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_memory(torch.device("cpu")) <= installed
