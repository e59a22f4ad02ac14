"""Counts, means and scatter, however the images arrive. N: images, F: features, L: classes."""

import numpy as np
import pytest
import torch

from ctc_lightning.metrics import VariabilityCollapseIndex
from ctc_lightning.metrics.class_moments import ClassMoments


class Moments(ClassMoments):
    name = "moments"

    def compute(self):
        return dict(self.moments._asdict())


def test_equals_numpy(labelled):
    h_NF, label_N = labelled
    metric = Moments(5, 3)
    for part in torch.arange(60).split(17):
        metric.update(h_NF[part], label_N[part])
    h, label = h_NF.numpy(), label_N.numpy()
    mean = np.stack([h[label == c].mean(0) for c in range(3)])
    deviation = h - mean[label]
    np.testing.assert_array_equal(metric.moments.count_L, np.bincount(label))
    np.testing.assert_allclose(metric.moments.mean_LF, mean, rtol=1e-12)
    np.testing.assert_allclose(metric.moments.scatter_FF, deviation.T @ deviation, rtol=1e-11)


def test_same_however_split(labelled, assert_same_however_split):
    assert_same_however_split(lambda **kwargs: Moments(5, 3, **kwargs), *labelled)


def test_a_large_offset_does_not_cost_the_small_variance_its_digits(labelled):
    h_NF, label_N = labelled
    near, far = Moments(5, 3), Moments(5, 3)
    offset = 2.0**20
    h_NF = (
        h_NF * 2**10
    ).round() / 2**20  # adding the offset is then exact; the variance is 1e-18 of its square
    for part in torch.arange(60).split(7):
        near.update(h_NF[part], label_N[part])
        far.update(h_NF[part] + offset, label_N[part])
    torch.testing.assert_close(far.moments.scatter_FF, near.moments.scatter_FF, rtol=1e-5, atol=1e-10)


def test_a_class_without_images_has_mean_zero_and_changes_nothing(labelled):
    h_NF, label_N = labelled
    three, four = Moments(5, 3), Moments(5, 4)
    for metric in (three, four):
        metric.update(h_NF[:30], label_N[:30])
        metric.update(h_NF[30:], label_N[30:])
    assert four.moments.count_L[3] == 0
    assert torch.equal(four.moments.mean_LF[3], torch.zeros(5).double())
    assert torch.equal(four.moments.scatter_FF, three.moments.scatter_FF)


def test_state_is_float64_and_survives_half_and_checkpoints(labelled):
    metric = Moments(5, 3).half()
    metric.persistent(True)
    metric.update(labelled[0].float(), labelled[1])
    again = Moments(5, 3)
    again.load_state_dict(metric.state_dict(), strict=False)
    assert again.moments.scatter_FF.dtype == torch.float64
    assert torch.equal(again.moments.scatter_FF, metric.moments.scatter_FF)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(bad, labelled):
    h_NF, label_N = labelled
    h_NF[4, 1] = bad
    with pytest.raises(ValueError, match="1 of 60 images have features that are not finite"):
        Moments(5, 3).update(h_NF, label_N)


@pytest.mark.parametrize(
    ("num_features", "label", "message"),
    [
        (6, 0, r"features of shape \(60, 5\); it was built for \(images, 6\)"),
        (5, 3, r"label 3 with num_classes = 3; labels lie in \[0, 2\]"),
        (5, -1, "label -1 with num_classes = 3"),
    ],
)
def test_what_does_not_fit_is_refused(num_features, label, message, labelled):
    h_NF, label_N = labelled
    label_N[7] = label
    with pytest.raises(ValueError, match=message):
        Moments(num_features, 3).update(h_NF, label_N)


def test_labels_of_other_images_are_refused(labelled):
    with pytest.raises(ValueError, match=r"labels of shape \(59,\) for 60 images"):
        Moments(5, 3).update(labelled[0], labelled[1][1:])


@pytest.mark.parametrize(("num_features", "num_classes"), [(0, 3), (5, 0)])
def test_nothing_to_accumulate_is_refused(num_features, num_classes):
    with pytest.raises(ValueError, match="is 0; it must be a whole number of at least 1"):
        Moments(num_features, num_classes)


def test_a_class_with_one_image_is_refused_by_name(labelled):
    h_NF, label_N = labelled
    metric = VariabilityCollapseIndex(5, 3)
    kept = (label_N != 1) | (torch.arange(60) == (label_N == 1).nonzero()[0])
    metric.update(h_NF[kept], label_N[kept])
    with pytest.raises(ValueError, match="class 1 has 1 images; at least 2 of each of the 3 classes"):
        metric.compute()
