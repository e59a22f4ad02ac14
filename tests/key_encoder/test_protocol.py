"""What every key encoder promises. B: images, D: projection."""

from copy import deepcopy

import pytest
import torch

from ctc_lightning.key_encoder import FrozenEncoder, MomentumEncoder

OWN_NETWORK = {
    "momentum": lambda: MomentumEncoder(0.9),
    "momentum, running": lambda: MomentumEncoder(0.9, batch_norm="running"),
    "frozen": FrozenEncoder,
}


@pytest.fixture(params=OWN_NETWORK)
def copying(request, encoder):
    """A key encoder with a second network, and the query encoder that it was built from."""
    key_encoder = OWN_NETWORK[request.param]()
    key_encoder.build(encoder)
    return key_encoder, encoder


def assert_equal_states(one, other):
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_is_an_exact_copy_when_built_head_and_buffers_included(copying):
    key_encoder, encoder = copying
    assert_equal_states(key_encoder.encoder, encoder)


def test_is_an_exact_copy_again_when_its_stage_begins(copying, train):
    key_encoder, encoder = copying
    train(encoder)
    key_encoder.begin(encoder)
    assert_equal_states(key_encoder.encoder, encoder)


def test_is_a_copy_of_its_own_that_training_leaves_alone(copying, train):
    key_encoder, encoder = copying
    before = deepcopy(key_encoder.encoder)
    train(encoder)
    assert_equal_states(key_encoder.encoder, before)


def test_no_gradient_reaches_the_query_network_through_the_key(copying, view):
    key_encoder, encoder = copying
    query_BD = encoder(view)
    assert not key_encoder(view, query_BD).requires_grad
    assert not any(p.requires_grad for p in key_encoder.parameters())


def test_keys_have_unit_norm(copying, view):
    key_encoder, encoder = copying
    norm_B = key_encoder(view, encoder(view)).norm(dim=-1)
    torch.testing.assert_close(norm_B, torch.ones_like(norm_B))
