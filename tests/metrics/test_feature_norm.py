"""Mean and variation of the features' length. N: images, F: features."""

import numpy as np
import pytest
import torch

from ctc_lightning.metrics import FeatureNorm


def norm(h_NF):
    metric = FeatureNorm(h_NF.shape[1])
    metric.update(h_NF)
    return {name: value.item() for name, value in metric.compute().items()}


def test_equals_numpy(labelled):
    length = np.sqrt((labelled[0].numpy() ** 2).sum(1))
    expected = {"mean": length.mean(), "variation": length.std() / length.mean()}
    assert norm(labelled[0]) == pytest.approx(expected, rel=1e-12)


def test_on_a_sphere_there_is_no_variation(labelled):
    on_sphere_NF = 3 * labelled[0] / labelled[0].norm(dim=1, keepdim=True)
    assert norm(on_sphere_NF) == pytest.approx({"mean": 3, "variation": 0}, abs=1e-12)


def test_lengths_five_and_fifteen():
    found = norm(torch.tensor([[3.0, 4.0], [-9.0, 12.0]]))
    assert found == pytest.approx({"mean": 10, "variation": 0.5})


def test_scaling_scales_the_mean_alone(labelled):
    once, thrice = norm(labelled[0]), norm(-3 * labelled[0])
    assert thrice["mean"] == pytest.approx(3 * once["mean"])
    assert thrice["variation"] == pytest.approx(once["variation"])


def test_same_however_split(labelled, assert_same_however_split):
    assert_same_however_split(lambda **kwargs: FeatureNorm(5, **kwargs), labelled[0])


def test_zero_features_and_no_images_are_refused():
    with pytest.raises(ValueError, match="the 4 images have only zero features"):
        norm(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="at least 1"):
        norm(torch.zeros(0, 3))


def test_another_width_and_nan_are_refused():
    metric = FeatureNorm(3)
    with pytest.raises(ValueError, match="set num_features to the network's"):
        metric.update(torch.ones(4, 2))
    with pytest.raises(ValueError, match="1 of 4 images have features that are not finite"):
        metric.update(torch.ones(4, 3).index_fill(0, torch.tensor([2]), torch.nan))
    with pytest.raises(ValueError, match="num_features is 0"):
        FeatureNorm(0)
