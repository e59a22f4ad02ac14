"""The query as its own key: no second network."""

import torch

from ctc_lightning.key_encoder import QueryEncoder


def test_the_key_is_the_query_without_gradient(encoder, view):
    query_BD = encoder(view)
    key_BD = QueryEncoder()(view, query_BD)
    assert torch.equal(key_BD, query_BD)
    assert not key_BD.requires_grad


def test_there_is_nothing_to_save_or_to_train(encoder):
    key_encoder = QueryEncoder()
    key_encoder.build(encoder)
    key_encoder.begin(encoder)
    key_encoder.update(encoder)
    assert not key_encoder.has_own_network
    assert not key_encoder.state_dict()
