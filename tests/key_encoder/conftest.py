"""A small query encoder, BatchNorm in the backbone and in the head. B: images, F: features, D: projection."""

import pytest
import torch
from torch import nn


class Backbone(nn.Sequential):
    """f: 6 inputs to 5 features."""

    num_features = 5

    def __init__(self):
        super().__init__(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU())


class Head(nn.Sequential):
    """g: F features to 4 dimensions."""

    dim = 4

    def __init__(self, num_features):
        super().__init__(nn.Linear(num_features, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))


@pytest.fixture
def head():
    return Head


@pytest.fixture
def encoder():
    """A query encoder that has already trained a little."""
    torch.manual_seed(0)
    encoder = nn.Sequential(Backbone(), Head(5)).double()
    train_a_step(encoder)
    return encoder


@pytest.fixture
def train():
    """One step of SGD: new weights, and new BatchNorm buffers from the forward pass."""
    return train_a_step


def train_a_step(*modules):
    for module in modules:
        module.train()
    optimizer = torch.optim.SGD(
        [p for m in modules for p in m.parameters() if p.requires_grad], 0.5, momentum=0.9
    )
    encoder, *others = modules
    view = torch.randn(8, 6, dtype=torch.float64) + 1
    query_BD = encoder(view)
    loss = query_BD.square().sum() + sum(other(view, query_BD)[:, 0].sum() for other in others)
    loss.backward()
    optimizer.step()


@pytest.fixture
def view():
    return torch.randn(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
