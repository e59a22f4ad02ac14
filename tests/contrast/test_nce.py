"""The reference's binary contrast against a transcription of its equation. B: queries, D: projection."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from ctc_lightning.contrast import NCE
from ctc_lightning.memory import Keys

TEMPERATURE = 0.4


@pytest.fixture
def naive(negatives_of):
    """METHOD's equation for one direction, number by number."""

    def exponentials(query_BD, keys):
        for b, query_D in enumerate(query_BD):
            positive = math.exp(query_D.dot(keys.positive_BD[b]) / TEMPERATURE)
            yield positive, [math.exp(query_D.dot(key_D) / TEMPERATURE) for key_D in negatives_of(keys, b)]

    def normaliser(query_BD, keys):
        flat = [e for positive, negative in exponentials(query_BD, keys) for e in (positive, *negative)]
        return sum(flat) / len(flat) * keys.num_stored

    def loss(query_BD, keys, z):
        total = 0.0
        for positive, negative in exponentials(query_BD, keys):
            c = len(negative) / keys.num_stored
            total += math.log(positive / z / (positive / z + c + 1e-7))
            total += sum(math.log(c / (e / z + c + 1e-7)) for e in negative)
        return -total / len(query_BD)

    return normaliser, loss


@pytest.fixture
def step(make_keys, unit):
    """A batch of queries and its keys in both directions."""

    def make():
        keys = make_keys()
        back = replace(keys, positive_BD=unit(4, 3), row_RD=unit(*keys.row_RD.shape))
        return unit(4, 3), replace(keys, reverse=(unit(4, 3), back))

    return make


def both_directions(query_BD, keys):
    return (query_BD, replace(keys, reverse=None)), keys.reverse


def test_equals_the_naive_transcription_with_the_first_batchs_z(step, naive):
    normaliser, loss = naive
    contrast = NCE(TEMPERATURE).double()
    first, second = step(), step()
    z = [normaliser(*direction) for direction in both_directions(*first)]
    for batch in (first, second):
        expected = sum(
            loss(*direction, z_d) for direction, z_d in zip(both_directions(*batch), z, strict=True)
        )
        assert contrast(*batch).item() == pytest.approx(expected, rel=1e-10)


def test_a_loaded_state_keeps_its_normaliser(step):
    first, second, third = step(), step(), step()
    contrast, resumed = NCE(TEMPERATURE).double(), NCE(TEMPERATURE).double()
    contrast(*first)
    resumed.load_state_dict(contrast.state_dict())
    for batch in (second, third):
        assert torch.equal(contrast(*batch), resumed(*batch))


def test_a_state_saved_before_the_first_batch_still_sets_its_normaliser(step):
    first, contrast, resumed = step(), NCE(TEMPERATURE).double(), NCE(TEMPERATURE).double()
    resumed.load_state_dict(contrast.state_dict())
    assert torch.equal(contrast(*first), resumed(*first))


def test_gradient_is_the_derivative_of_the_loss_in_both_directions(step):
    query_BD, keys = step()
    contrast = NCE(TEMPERATURE).double()
    contrast(query_BD, keys)

    def loss(query_BD, anchor_BD, positive_BD):
        reverse = (normalize(anchor_BD, dim=-1), keys.reverse[1])
        return contrast(normalize(query_BD, dim=-1), replace(keys, positive_BD=positive_BD, reverse=reverse))

    inputs = (query_BD, keys.reverse[0], keys.positive_BD)
    assert torch.autograd.gradcheck(loss, [tensor.clone().requires_grad_() for tensor in inputs])


@pytest.mark.parametrize("temperature", [0.01, 0.001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_temperature_gives_finite_loss_and_gradient(temperature, dtype):
    contrast = NCE(temperature)
    row_RD = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    for sign in (1.0, -1.0):  # the normaliser's batch, then one that looks quite different
        query_BD = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=dtype, requires_grad=True)
        loss = contrast(query_BD, Keys(sign * query_BD.detach(), row_RD, None, num_stored=50_000))
        loss.backward()
        assert loss.isfinite()
        assert query_BD.grad.isfinite().all()


def test_rounding_does_not_add_up_over_many_negatives(unit):
    query_BD, keys = unit(8, 16), Keys(unit(8, 16), unit(16_384, 16), None, num_stored=50_000)
    exact = NCE(0.1).double()(query_BD, keys).item()
    assert NCE(0.1)(query_BD.float(), keys).item() == pytest.approx(exact, rel=1e-6)
