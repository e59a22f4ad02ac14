"""Eval mode for a while leaves no trace."""

import pytest
from torch import nn

from ctc_lightning.networks.eval_mode import evaluating


@pytest.fixture
def network():
    made = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)).train()
    made[1].eval()  # modes are mixed, as with a frozen part
    return made


def test_every_module_gets_its_own_mode_back_after_an_error_too(network):
    modes = [child.training for child in network.modules()]
    assert len(set(modes)) == 2

    def fail():
        with evaluating(network):
            assert not any(child.training for child in network.modules())
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert [child.training for child in network.modules()] == modes
