"""Metrics of a classifier against independent computations, and their values on resampled images.

N: images, L: classes, R: resamples
"""

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_recall_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from ctc_lightning.evaluation.classification_metrics import _MultiLabel, _SingleLabel, classification, score


def single_label(num_images=300, num_classes=5, seed=0):
    """Logits with some signal; class 4 is rare."""
    random = np.random.default_rng(seed)
    shares_L = np.array([0.3, 0.3, 0.2, 0.19, 0.01]) if num_classes == 5 else None
    label_N = random.choice(num_classes, size=num_images, p=shares_L)
    logits_NL = 1.5 * random.normal(size=(num_images, num_classes))
    logits_NL[np.arange(num_images), label_N] += 1
    return torch.tensor(logits_NL, dtype=torch.float32), torch.tensor(label_N)


def multi_label(num_images=200, num_classes=4, seed=0):
    """Scores with some signal; one label in ten is not to be judged; the last class is nowhere present."""
    random = np.random.default_rng(seed)
    label_NL = (random.random((num_images, num_classes)) < [0.5, 0.2, 0.05, 0.0][:num_classes]).astype(
        np.int8
    )
    logits_NL = random.normal(size=label_NL.shape) + label_NL
    label_NL[random.random(label_NL.shape) < 0.1] = -1
    return torch.tensor(logits_NL), torch.tensor(label_NL)


def values_of(logits_NL, label, metric):
    rows = classification(logits_NL, label, logits_NL, label, metric, "")
    return {row.metric: row.value for row in rows}


def eleven_points(score_N, present_N):
    """Mean over recalls 0, 0.1 … 1 of the best precision at as much recall, over scikit-learn's curve."""
    precision, recall, _ = precision_recall_curve(present_N, score_N)
    precision, recall = precision[:-1], recall[:-1]  # the last point is no threshold: precision 1 at recall 0
    return np.mean([precision[recall >= r / 10 - 1e-12].max() for r in range(11)])


def mean_of_eleven_points(logits_NL, label_NL):
    logits_NL, label_NL = np.asarray(logits_NL), np.asarray(label_NL)
    found = []
    for c in range(label_NL.shape[1]):
        judged_N = label_NL[:, c] != -1
        if (label_NL[:, c] == 1).any():
            found.append(eleven_points(logits_NL[judged_N, c], label_NL[judged_N, c]))
    return np.mean(found)


def test_accuracies_are_those_of_scikit_learn():
    logits_NL, label_N = single_label()
    found, predicted_N = values_of(logits_NL, label_N, "top1"), logits_NL.argmax(1)
    assert found["top1"] == pytest.approx(accuracy_score(label_N, predicted_N), rel=1e-12)
    assert found["mean_per_class"] == pytest.approx(balanced_accuracy_score(label_N, predicted_N), rel=1e-12)
    assert abs(found["top1"] - found["mean_per_class"]) > 0.01  # different numbers


def test_a_class_without_images_is_not_in_the_mean():
    logits_NL, label_N = single_label()
    kept_N = label_N != 3
    found = values_of(logits_NL[kept_N], label_N[kept_N], "top1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's: a class is predicted that has no images
        expected = balanced_accuracy_score(label_N[kept_N], logits_NL[kept_N].argmax(1))
    assert found["mean_per_class"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("num_classes", [2, 5, 300])
@pytest.mark.parametrize("sharpness", [0.5, 1.0, 8.0])
def test_ece_is_that_of_torchmetrics(num_classes, sharpness):
    logits_NL, label_N = single_label(num_images=400, num_classes=num_classes)
    found = values_of(sharpness * logits_NL, label_N, "top1")["ece"]
    expected = multiclass_calibration_error(
        (sharpness * logits_NL).double().softmax(1), label_N, num_classes, n_bins=15, norm="l1"
    )
    assert found == pytest.approx(float(expected), abs=1e-5)  # torchmetrics adds in float32


def test_ece_of_a_certain_classifier_is_its_error():
    label_N = torch.tensor([0, 0, 0, 1])
    logits_NL = torch.tensor([[1000.0, 0.0]]).expand(4, 2)
    assert values_of(logits_NL, label_N, "top1")["ece"] == pytest.approx(0.25)


def test_ece_of_uniform_logits_is_the_distance_from_chance():
    label_N = torch.tensor([0, 0, 0, 1])
    # the first of equal logits is predicted: right for three in four, at a confidence of one half
    assert values_of(torch.zeros(4, 2), label_N, "top1")["ece"] == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(5))
def test_mean_average_precision_is_that_of_scikit_learns_curve(seed):
    logits_NL, label_NL = multi_label(seed=seed)
    found = values_of(logits_NL, label_NL, "map_11_point")
    assert found["map_11_point"] == pytest.approx(mean_of_eleven_points(logits_NL, label_NL), rel=1e-12)
    assert found["val_map_11_point"] == found["map_11_point"]


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([1, 0, 0, 0], 1.0),
        ([0, 0, 0, 1], 1 / 4),
        # recalls 0 … 0.5 at precision 1, then 2/4
        ([1, 0, 0, 1], (6 * 1 + 5 / 2) / 11),
        # 10 hits after one miss: recall k/10 is reached with precision k/(k+1), and the last is the best
        ([0] + [1] * 10, 10 / 11),
        # precision 1/2 at the first hit, 2/3 later: the later one is the best at every recall
        ([0, 1, 1], 2 / 3),
    ],
)
def test_eleven_points_by_hand(present, expected):
    logits_NL = -torch.arange(len(present), dtype=torch.float64)[:, None]
    label_NL = torch.tensor(present, dtype=torch.int8)[:, None]
    assert score(logits_NL, label_NL, "map_11_point") == pytest.approx(expected, rel=1e-12)


def test_the_first_point_of_the_curve_is_a_measured_one():
    # scikit-learn's artificial point of precision 1 would give (1 + 10/2)/11
    logits_NL, label_NL = torch.tensor([[1.0], [0.0]]), torch.tensor([[0], [1]], dtype=torch.int8)
    assert score(logits_NL, label_NL, "map_11_point") == pytest.approx(1 / 2)


def test_images_of_equal_score_have_no_order():
    """One threshold: a constant score has the precision of chance, wherever the present images stand."""
    present_first = torch.tensor([[1]] * 10 + [[0]] * 90, dtype=torch.int8)
    for label_NL in (present_first, present_first.flip(0)):
        assert score(torch.zeros(100, 1), label_NL, "map_11_point") == pytest.approx(0.1)
    generator = torch.Generator().manual_seed(0)
    logits_NL = torch.randn(200, 3, generator=generator).round()  # five values or so
    label_NL = (torch.rand(200, 3, generator=generator) < 0.3).to(torch.int8).sort(0).values
    assert score(logits_NL, label_NL, "map_11_point") == pytest.approx(
        mean_of_eleven_points(logits_NL, label_NL), rel=1e-12
    )


def test_a_probe_that_diverged_is_no_accuracy():
    logits_NL, label_N = single_label()
    logits_NL[3] = torch.nan
    for measured in (
        lambda: score(logits_NL, label_N, "top1"),
        lambda: classification(logits_NL, label_N, torch.zeros_like(logits_NL), label_N, "top1", ""),
    ):
        with pytest.raises(ValueError, match="1 of 300 predictions are NaN"):
            measured()


def test_what_is_not_to_be_judged_does_not_count():
    logits_NL, label_NL = multi_label()
    raised_NL = torch.where(label_NL == -1, logits_NL + 100, logits_NL)
    assert score(raised_NL, label_NL, "map_11_point") == score(logits_NL, label_NL, "map_11_point")


@pytest.mark.parametrize("num_classes", [5, 300])
def test_weights_are_resampled_images_of_one_label(num_classes):
    logits_NL, label_N = single_label(num_classes=num_classes)
    index_RN = np.random.default_rng(1).integers(300, size=(20, 300))
    weight_RN = np.stack([np.bincount(index_N, minlength=300) for index_N in index_RN]).astype(float)
    for found, index_N in zip(_SingleLabel(logits_NL, label_N)(weight_RN), index_RN, strict=True):
        expected = values_of(logits_NL[index_N], label_N[index_N], "top1")
        assert found == pytest.approx([expected[name] for name in ("top1", "mean_per_class", "ece")])


def test_weights_are_resampled_images_of_several_labels():
    logits_NL, label_NL = multi_label()
    index_RN = np.random.default_rng(1).integers(200, size=(20, 200))
    weight_RN = np.stack([np.bincount(index_N, minlength=200) for index_N in index_RN]).astype(float)
    for found, index_N in zip(_MultiLabel(logits_NL, label_NL)(weight_RN), index_RN, strict=True):
        # scikit-learn takes copies, which have equal scores, as one threshold: so do the eleven points
        expected = mean_of_eleven_points(logits_NL[index_N], label_NL[index_N])
        assert found == pytest.approx([expected], rel=1e-12)


def test_the_interval_of_an_accuracy_is_nearly_binomial():
    label_N = torch.zeros(400, dtype=torch.int64)
    logits_NL = torch.zeros(400, 2)
    logits_NL[100:, 0] = 1
    logits_NL[:100, 1] = 1
    top1 = classification(logits_NL, label_N, logits_NL, label_N, "top1", "")[0]
    # resampled hits are binomial; a quantile of 1000 draws is within 0.3 of its standard deviation (0.022)
    assert top1.low == pytest.approx(binom(400, 0.75).ppf(0.025) / 400, abs=0.007)
    assert top1.high == pytest.approx(binom(400, 0.75).ppf(0.975) / 400, abs=0.007)


def test_rows_say_what_was_measured_on_what():
    logits_NL, label_N = single_label()
    val_NL, val_N = single_label(num_images=80, seed=1)
    rows = classification(logits_NL, label_N, val_NL, val_N, "mean_per_class", "k=5")
    assert [row.metric for row in rows] == ["top1", "mean_per_class", "ece", "val_mean_per_class"]
    assert [row.n for row in rows] == [300, 300, 300, 80]
    assert {row.chosen for row in rows} == {"k=5"}
    assert rows[3].value == score(val_NL, val_N, "mean_per_class")
    assert np.isnan([rows[3].low, rows[3].high]).all()
    for row in rows[:2]:
        assert row.low < row.value < row.high


@pytest.mark.usefixtures("global_randomness_untouched")
def test_equal_inputs_have_equal_intervals():
    for logits_NL, label, metric in ((*single_label(), "top1"), (*multi_label(), "map_11_point")):
        first, second = (classification(logits_NL, label, logits_NL, label, metric, "") for _ in range(2))
        assert repr(first) == repr(second)  # NaN is not equal to itself


def test_no_present_label_at_all_is_no_number_and_no_warning():
    label_NL = torch.zeros(6, 2, dtype=torch.int8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = classification(
            torch.eye(6)[:, :2], label_NL, torch.eye(6)[:, :2], label_NL, "map_11_point", ""
        )
    assert np.isnan([found[0].value, found[0].low, found[0].high, found[1].value]).all()


def test_scores_are_the_test_metrics():
    logits_NL, label_N = single_label()
    found = values_of(logits_NL, label_N, "top1")
    for metric in ("top1", "mean_per_class"):
        assert score(logits_NL, label_N, metric) == pytest.approx(found[metric], rel=1e-12)


@pytest.mark.parametrize(
    ("data", "metric", "choices"),
    [
        (single_label(), "map_11_point", "top1, mean_per_class"),
        (single_label(), "ece", "top1, mean_per_class"),  # smaller is better: not to be maximised
        (multi_label(), "top1", "map_11_point"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(data, metric, choices):
    with pytest.raises(ValueError, match=f"metric is '{metric}', must be one of {choices} for these labels"):
        score(*data, metric)
