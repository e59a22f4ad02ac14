"""The snapshot never moves; only a head of its own learns. B: images, D: projection."""

from copy import deepcopy

import pytest
import torch

from ctc_lightning.key_encoder import FrozenEncoder


@pytest.fixture(params=[False, True], ids=["frozen head", "own head"])
def frozen(request, encoder, head):
    key_encoder = FrozenEncoder(head if request.param else None)
    key_encoder.build(encoder)
    key_encoder.double()
    key_encoder.begin(encoder)
    return key_encoder


def test_the_snapshot_never_moves_batchnorm_buffers_included(frozen, encoder, train):
    still = frozen.encoder if frozen.projector is None else frozen.encoder[0]
    before = deepcopy(still.state_dict())
    for _ in range(3):
        frozen.train()
        train(encoder, frozen)
        frozen.update(encoder)
    for name, tensor in still.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_backbone_of_a_frozen_encoder_with_its_own_head_is_a_copy(encoder, head, train):
    key_encoder = FrozenEncoder(head)
    key_encoder.build(encoder)
    train(encoder)
    key_encoder.begin(encoder)
    for name, tensor in encoder[0].state_dict().items():
        assert torch.equal(tensor, key_encoder.encoder[0].state_dict()[name]), name


def test_a_key_does_not_depend_on_the_other_images_of_its_batch(frozen, view):
    frozen.train()
    torch.testing.assert_close(frozen(view, None)[:2], frozen(view[:2], None), rtol=0, atol=1e-12)


def test_gradient_reaches_a_head_of_its_own_and_nothing_else(encoder, head, view):
    key_encoder = FrozenEncoder(head)
    key_encoder.build(encoder)
    encoder.zero_grad()
    key_encoder.double()(view, encoder(view))[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in key_encoder.encoder[1][2].parameters())
    assert all(p.grad is None for p in (*encoder.parameters(), *key_encoder.encoder[0].parameters()))
