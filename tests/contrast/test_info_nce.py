"""The softmax contrast. B: queries, K: negatives, D: projection."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from ctc_lightning.batch import Batch
from ctc_lightning.contrast import InfoNCE
from ctc_lightning.memory import KeyQueue, Keys


def loss_and_gradient(contrast, query_BD, keys):
    query_BD = query_BD.clone().requires_grad_()
    loss = contrast(query_BD, keys)
    return loss, *torch.autograd.grad(loss, query_BD)


def full_queue(exclude, num_keys, unit):
    """Eight slots, ``num_keys`` of them written, and the batch that will meet them."""
    queue = KeyQueue(size=8, exclude=exclude)
    queue.allocate(3, torch.zeros(10, dtype=torch.int64))
    queue.double().put(unit(num_keys, 3), unit(num_keys, 3), batch(torch.arange(num_keys)))
    return queue, batch(torch.tensor([0, 2, 9]))


def batch(index):
    return Batch(view=torch.empty(0), key_view=torch.empty(0), label=index % 3, index=index)


@pytest.mark.parametrize("num_negatives", [1, 7, 1000])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_uniform_logits_give_log_1_plus_k(num_negatives, temperature, unit):
    key_1D = unit(1, 3)
    keys = Keys(key_1D.expand(4, 3), key_1D.expand(num_negatives, 3), None, num_negatives)
    assert InfoNCE(temperature)(unit(4, 3), keys).item() == pytest.approx(math.log(1 + num_negatives))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_equals_the_naive_transcription(temperature, make_keys, negatives_of, unit):
    query_BD, keys = unit(4, 3), make_keys()
    total = 0.0
    for b, query_D in enumerate(query_BD):
        positive = math.exp(query_D.dot(keys.positive_BD[b]) / temperature)
        negative = sum(math.exp(query_D.dot(key_D) / temperature) for key_D in negatives_of(keys, b))
        total -= math.log(positive / (positive + negative))
    assert InfoNCE(temperature)(query_BD, keys).item() == pytest.approx(total / 4, rel=1e-12)


def test_gradient_is_the_derivative_of_the_loss(make_keys, unit):
    keys, contrast = make_keys(), InfoNCE(0.5)

    def loss(query_BD, positive_BD, row_RD):
        again = Keys(positive_BD, row_RD, keys.allowed_BK, keys.num_stored, keys.column_BK)
        return contrast(normalize(query_BD, dim=-1), again)

    inputs = (unit(4, 3), keys.positive_BD, keys.row_RD)
    assert torch.autograd.gradcheck(loss, [tensor.requires_grad_() for tensor in inputs])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_and_right_at_temperature_0_01(dtype):
    query_BD = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=dtype)
    keys = Keys(-query_BD, torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), None, 2)
    loss, gradient_BD = loss_and_gradient(InfoNCE(0.01), query_BD, keys)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(200, rel=1e-6)  # ln(1 + (e⁻¹⁰⁰ + e¹⁰⁰)/e⁻¹⁰⁰) with 1 + … ≈ e²⁰⁰
    assert gradient_BD.isfinite().all()


@pytest.mark.parametrize("exclude", ["image", "class"])
def test_a_masked_key_changes_neither_loss_nor_gradient(exclude, unit):
    queue, today = full_queue(exclude, num_keys=8, unit=unit)
    query_BD, key_BD = unit(3, 3), unit(3, 3)
    alone = Batch(today.view, today.key_view, today.label[1:2], today.index[1:2])  # image 2 of class 2
    before = loss_and_gradient(InfoNCE(0.1), query_BD[1:2], queue.draw(query_BD[1:2], key_BD[1:2], alone))
    masked_K = queue.index_K == 2 if exclude == "image" else queue.label_K == 2
    queue.key_KD[masked_K] = unit(int(masked_K.sum()), 3)
    after = loss_and_gradient(InfoNCE(0.1), query_BD[1:2], queue.draw(query_BD[1:2], key_BD[1:2], alone))
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    queue.key_KD[~masked_K] = unit(int((~masked_K).sum()), 3)
    others = loss_and_gradient(InfoNCE(0.1), query_BD[1:2], queue.draw(query_BD[1:2], key_BD[1:2], alone))
    assert not torch.equal(before[0], others[0])


@pytest.mark.parametrize("exclude", ["none", "image", "class"])
def test_empty_queue_slots_never_count(exclude, unit):
    queue, today = full_queue(exclude, num_keys=5, unit=unit)
    query_BD, key_BD = unit(3, 3), unit(3, 3)
    loss = InfoNCE(0.1)(query_BD, queue.draw(query_BD, key_BD, today))
    exact_size = KeyQueue(size=5, exclude=exclude)
    exact_size.allocate(3, torch.zeros(10, dtype=torch.int64))
    exact_size.double().put(queue.key_KD[:5], queue.key_KD[:5], batch(torch.arange(5)))
    assert loss.item() == pytest.approx(
        InfoNCE(0.1)(query_BD, exact_size.draw(query_BD, key_BD, today)).item()
    )


@pytest.mark.parametrize("num_masked", [0, 6])
def test_no_negatives_at_all_give_zero_loss_and_zero_gradient(num_masked, unit):
    nothing_BK = torch.zeros(4, num_masked, dtype=torch.bool)
    keys = Keys(unit(4, 3), unit(num_masked, 3), nothing_BK, num_stored=6)
    loss, gradient_BD = loss_and_gradient(InfoNCE(0.01), unit(4, 3), keys)
    assert loss.item() == 0
    assert torch.equal(gradient_BD, torch.zeros(4, 3, dtype=torch.float64))
