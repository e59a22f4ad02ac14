"""Weight decay spares norms and biases where asked to, and the learning rate follows the global batch."""

import pytest
import torch
from torch import nn

from ctc_lightning.networks import create_backbone
from ctc_lightning.optim import parameter_groups, scaled_lr


@pytest.fixture(scope="module")
def backbone():
    return create_backbone("cifar/resnet8")


def test_norms_and_biases_keep_their_size_and_the_rest_is_decayed(backbone):
    groups = parameter_groups(backbone, decay_norm_and_bias=False)
    optimizer = torch.optim.SGD(groups, lr=1.0, weight_decay=0.5)
    before = {name: value.clone() for name, value in backbone.named_parameters()}
    for parameter in backbone.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    normal = {
        f"{name}.{own}"
        for name, layer in backbone.named_modules()
        if isinstance(layer, nn.BatchNorm2d)
        for own, _ in layer.named_parameters()
    }
    assert normal
    for name, value in backbone.named_parameters():
        kept = name in normal or name.endswith("bias")
        torch.testing.assert_close(value, before[name] * (1 if kept else 0.5))


def test_every_trained_parameter_is_in_one_group_and_no_frozen_one(backbone):
    network = nn.Sequential(backbone, nn.Linear(64, 2).requires_grad_(requires_grad=False))
    trained = [id(parameter) for parameter in backbone.parameters()]
    for decay in (True, False):
        optimizer = torch.optim.SGD(parameter_groups(network, decay_norm_and_bias=decay), lr=1.0)
        grouped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
        assert sorted(grouped) == sorted(trained)


def test_the_rate_is_proportional_to_the_global_batch():
    assert scaled_lr(0.1, 2048, 256) == pytest.approx(0.8)
    assert scaled_lr(0.1, 64, 256) == pytest.approx(0.025)
    assert scaled_lr(0.1, 2048, None) == 0.1
    with pytest.raises(ValueError, match="lr_base_batch is 0; give the global batch"):
        scaled_lr(0.1, 256, 0)
