"""Projectors: shapes, trainability, refused sizes."""

import pytest
import torch
from torch import nn

from ctc_lightning.networks import LinearProjector, MLPProjector

FEATURES = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "projector",
    [
        LinearProjector(64, dim=16),
        MLPProjector(64, hidden_dim=32, dim=16),
        MLPProjector(64, hidden_dim=32, dim=16, batch_norm=True),
    ],
)
def test_output_has_the_announced_width_and_its_own_length(projector):
    q_BD = projector(FEATURES)
    assert q_BD.shape == (5, 16)
    assert projector.dim == 16
    assert (q_BD.norm(dim=1) - 1).abs().min() > 1e-3, "normalising is the training step's part"


def test_linear_is_affine():
    projector = LinearProjector(64)
    assert projector.dim == 128
    torch.testing.assert_close(projector(FEATURES), FEATURES @ projector.weight.T + projector.bias)
    assert LinearProjector(64, bias=False).bias is None


def test_mlp_is_linear_relu_linear():
    projector = MLPProjector(64, hidden_dim=32, dim=16)
    first, last = (module for module in projector.modules() if isinstance(module, nn.Linear))
    assert first.weight.shape == (32, 64)
    torch.testing.assert_close(projector(FEATURES), last(first(FEATURES).clamp(min=0)))


def test_mlp_hidden_width_is_the_features_by_default():
    assert sum(p.numel() for p in MLPProjector(64, dim=16).parameters()) == 64 * 64 + 64 + 64 * 16 + 16


@pytest.mark.parametrize("trainable", [True, False])
def test_trainable(trainable):
    projector = LinearProjector(64, trainable=trainable)
    assert [p.requires_grad for p in projector.parameters()] == [trainable] * 2
    h = FEATURES.clone().requires_grad_()
    projector(h).sum().backward()
    assert h.grad.any(), "the gradient passes a frozen projector too"


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (lambda: LinearProjector(64, dim=0), "dim is 0; it must be a whole number of at least 1"),
        (lambda: LinearProjector(0), "num_features is 0; it must be a whole number of at least 1"),
        (lambda: MLPProjector(64, dim=-1), "dim is -1; it must be a whole number of at least 1"),
        (lambda: MLPProjector(64, hidden_dim=0), "hidden_dim is 0; it must be a whole number of at least 1"),
    ],
)
def test_sizes_below_one_are_refused(create, message):
    with pytest.raises(ValueError, match=message):
        create()
