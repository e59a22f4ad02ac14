"""Extraction against one plain forward pass. N: images, F: features."""

import pytest
import torch
from torch import nn

from ctc_lightning.batch import Batch
from ctc_lightning.evaluation import extract_features


class Backbone(nn.Sequential):
    """2×2 RGB images to five features, with a BatchNorm that has seen data."""

    num_features = 5

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5), nn.ReLU())
        self[2].running_mean.uniform_(-1, 1)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return Backbone().eval()


def batches(image_NCHW, size=500):
    return [Batch(image_NCHW[i], image_NCHW[i], i, i) for i in torch.arange(len(image_NCHW)).split(size)]


@pytest.mark.parametrize("num_images", [1, 4, 10])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 500])
def test_equals_one_forward_pass_in_the_images_order(num_images, batch_size, backbone):
    image_NCHW = torch.rand(num_images, 3, 2, 2)
    backwards = batches(image_NCHW, batch_size)[::-1]
    h_NF, index_N = extract_features(backbone, backwards, torch.device("cpu"))
    assert index_N.tolist() == list(range(num_images))
    assert not h_NF.requires_grad
    torch.testing.assert_close(h_NF, backbone(image_NCHW).detach())


def test_an_image_that_stands_in_for_another_keeps_its_row(backbone):
    """As under data.on_error=skip, where the last image is unreadable and the first one replaces it."""
    image_NCHW = torch.rand(4, 3, 2, 2)
    row_N = torch.tensor([0, 1, 2, 0])
    batch = Batch(image_NCHW[row_N], image_NCHW[row_N], row_N, row_N)
    h_NF, index_N = extract_features(backbone, [batch], torch.device("cpu"))
    assert index_N.tolist() == [0, 0, 1, 2]
    torch.testing.assert_close(h_NF, backbone(image_NCHW).detach()[index_N])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_features_are_in_the_networks_dtype(dtype, backbone):
    h_NF, _ = extract_features(backbone.to(dtype), batches(torch.zeros(3, 3, 2, 2)), torch.device("cpu"))
    assert h_NF.dtype == dtype


def test_a_network_in_train_mode_is_our_own_mistake(backbone):
    with pytest.raises(AssertionError, match="train mode"):
        extract_features(backbone.train(), batches(torch.zeros(1, 3, 2, 2)), torch.device("cpu"))
