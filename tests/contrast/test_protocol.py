"""What every contrast promises. B: queries, D: projection."""

from dataclasses import replace

import pytest
import torch

from ctc_lightning.contrast import NCE, InfoNCE


@pytest.mark.parametrize("kind", [InfoNCE, NCE])
@pytest.mark.parametrize("temperature", [0, -0.1, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(kind, temperature):
    with pytest.raises(
        ValueError,
        match=rf"temperature is {temperature}; it must be (a finite number, )?above 0, for example",
    ):
        kind(temperature)


@pytest.mark.parametrize("kind", [InfoNCE, NCE])
def test_a_reverse_direction_is_added(kind, make_keys, unit):
    query_BD, anchor_BD, keys, back = unit(4, 3), unit(4, 3), make_keys(), make_keys()
    both = kind(0.2).double()(query_BD, replace(keys, reverse=(anchor_BD, back)))
    there, and_back = kind(0.2).double()(query_BD, keys), kind(0.2).double()(anchor_BD, back)
    assert both.item() == pytest.approx((there + and_back).item(), rel=1e-12)


@pytest.mark.parametrize("kind", [InfoNCE, NCE])
def test_swapping_in_a_closer_positive_lowers_the_loss(kind, make_keys, unit):
    query_BD, keys = unit(4, 3), replace(make_keys(), allowed_BK=None)
    contrast = kind(0.2).double()
    assert contrast(query_BD, keys) > contrast(query_BD, replace(keys, positive_BD=query_BD))


def test_the_loss_of_half_precision_queries_is_float32(make_keys, unit):
    assert InfoNCE(0.2)(unit(4, 3).to(torch.bfloat16), make_keys()).dtype == torch.float32
