"""The softmax contrast. B: queries, K: negatives, R: rows, D: projection."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from ctc_lightning.batch import Batch
from ctc_lightning.contrast import InfoNCE
from ctc_lightning.memory import KeyQueue, Keys

B, R, D = 5, 103, 8


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


# ------------------------------------------------------------------- more negatives than fit at once


def in_blocks(temperature, num_rows, itemsize=4):
    """The contrast that takes ``num_rows`` of the R rows at a time."""
    return InfoNCE(temperature, block_mib=B * num_rows * itemsize / 2**20)


@pytest.fixture(params=["all", "each pair", "for all", "groups", "both"])
def many_keys(request, unit):
    """Keys with every kind of mask: one query meets nothing in the first blocks, another row 0 only."""
    torch.manual_seed(0)
    group_B, group_R = torch.tensor([0, 1, 2, 3, 4]), torch.randint(5, (R,)).sort().values
    pair_BR = torch.rand(B, R) > 0.3
    pair_BR[0, :20], pair_BR[-1] = False, torch.arange(R) == 0
    allowed = {"each pair": pair_BR, "both": pair_BR, "for all": pair_BR[:1]}.get(request.param)
    groups = (group_B, group_R) if request.param in ("groups", "both") else None
    return Keys(unit(B, D), unit(R, D), allowed, num_stored=R, groups=groups)


def naive(query_BD, keys, temperature):
    """The equation with every logit at once, in float64."""
    query_BD, row_RD = query_BD.double(), keys.row_RD.double()
    meets_BR = torch.ones(len(query_BD), len(row_RD), dtype=torch.bool)
    if keys.allowed_BK is not None:
        meets_BR &= keys.allowed_BK
    if keys.groups is not None:
        meets_BR &= keys.groups[0][:, None] != keys.groups[1]
    positive_B = (query_BD * keys.positive_BD.double()).sum(1) / temperature
    weight_BR = (query_BD @ row_RD.T / temperature).exp() * meets_BR
    return (((positive_B.exp() + weight_BR.sum(1)).log()) - positive_B).mean()


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("num_rows", [1, 10, 102])  # blocks of one; uneven last ones, of three and of one
def test_blocks_give_the_loss_and_gradient_of_all_at_once(num_rows, dtype, rtol, many_keys, unit):
    query_BD = unit(B, D).to(dtype)
    keys = replace(many_keys, positive_BD=many_keys.positive_BD.to(dtype), row_RD=many_keys.row_RD.to(dtype))
    loss, gradient_BD = loss_and_gradient(in_blocks(0.1, num_rows, dtype.itemsize), query_BD, keys)
    exact, exact_BD = loss_and_gradient(lambda q_BD, k: naive(q_BD, k, 0.1), query_BD, keys)
    assert loss.dtype == gradient_BD.dtype == dtype
    assert loss.item() == pytest.approx(exact.item(), rel=rtol)
    torch.testing.assert_close(gradient_BD, exact_BD, rtol=rtol, atol=rtol * exact_BD.abs().max().item())


def test_blocks_give_the_derivative_of_their_loss(many_keys, unit):
    def loss(query_BD, positive_BD):
        keys = replace(many_keys, positive_BD=positive_BD)
        return in_blocks(0.5, 10, itemsize=8)(normalize(query_BD, dim=-1), keys)

    inputs = unit(B, D).requires_grad_(), many_keys.positive_BD.requires_grad_()
    assert torch.autograd.gradcheck(loss, inputs)


def test_every_row_is_read_once_in_blocks_that_fit(monkeypatch, many_keys, unit):
    lengths, block = [], Keys.block

    def note(keys, query_BD, columns):
        logit_BC, row_CD = block(keys, query_BD, columns)
        lengths.append(logit_BC.shape[1])
        return logit_BC, row_CD

    monkeypatch.setattr(Keys, "block", note)
    loss_and_gradient(in_blocks(0.1, 10), unit(B, D).float(), replace(many_keys, row_RD=unit(R, D).float()))
    assert lengths == [10] * 10 + [3]
    lengths.clear()  # rows of another dtype are copied: D more numbers for each beside its B logits
    loss_and_gradient(in_blocks(0.1, 13), unit(B, D).float(), replace(many_keys, row_RD=unit(R, D).half()))
    assert lengths == [5] * 20 + [3]


def test_a_larger_logit_in_a_later_block_neither_overflows_nor_loses_the_others():
    row_RD = torch.tensor([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    query_BD = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])  # the largest comes last for one, first for the other
    keys = Keys(-query_BD, row_RD, None, num_stored=4)
    loss, gradient_BD = loss_and_gradient(InfoNCE(0.01, block_mib=1e-9), query_BD, keys)
    # ln(1 + 2 e¹⁰⁰/e⁻¹⁰⁰) and ln(1 + e¹⁰⁰/e⁻¹⁰⁰); the terms left out are below e⁻¹⁰⁰ of these
    assert loss.item() == pytest.approx((200 + math.log(2) + 200) / 2, rel=1e-6)
    torch.testing.assert_close(gradient_BD, torch.tensor([[100.0, 0.0], [-100.0, 0.0]]), rtol=1e-5, atol=1e-5)


def test_a_query_that_meets_nothing_in_any_block_has_no_loss_and_no_gradient(unit):
    groups = torch.tensor([0, 1, 0, 1, 1]), torch.zeros(R, dtype=torch.int64)
    keys = Keys(unit(B, D), unit(R, D), None, num_stored=R, groups=groups)
    query_BD = unit(B, D)
    loss, gradient_BD = loss_and_gradient(in_blocks(0.1, 10, itemsize=8), query_BD, keys)
    assert loss.item() == pytest.approx(naive(query_BD, keys, 0.1).item(), rel=1e-12)
    assert torch.equal(gradient_BD[[0, 2]], torch.zeros(2, D, dtype=torch.float64))
    assert gradient_BD[[1, 3, 4]].norm(dim=1).min() > 0


@pytest.mark.parametrize("num_rows", [10, R])
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_rows_count_as_what_they_were_rounded_to(half, num_rows, many_keys, unit):
    query_BD, row_RD = unit(B, D).float(), many_keys.row_RD.to(half)
    results = [
        loss_and_gradient(in_blocks(0.1, num_rows), query_BD, replace(many_keys, row_RD=rows))
        for rows in (row_RD, row_RD.float())
    ]
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_rows", [10, R])
def test_autocast_does_not_round_the_logits(num_rows, many_keys, unit):
    contrast, query_BD, keys = in_blocks(0.05, num_rows), unit(B, D).float(), many_keys
    loss, gradient_BD = loss_and_gradient(contrast, query_BD, keys)
    query_BD.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        autocast_loss = contrast(query_BD, keys)
    assert torch.equal(autocast_loss, loss)
    assert torch.equal(*torch.autograd.grad(autocast_loss, query_BD), gradient_BD)


def test_blocks_add_both_directions(many_keys, unit):
    query_BD, anchor_BD, back = unit(B, D), unit(B, D), replace(many_keys, row_RD=unit(R, D))
    loss = in_blocks(0.1, 10)(query_BD, replace(many_keys, reverse=(anchor_BD, back)))
    expected = naive(query_BD, many_keys, 0.1) + naive(anchor_BD, back, 0.1)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_gradient_is_of_the_rows_that_the_loss_read(many_keys, unit):
    query_BD = unit(B, D).requires_grad_()
    keys = replace(many_keys, row_RD=many_keys.row_RD.clone())
    loss = in_blocks(0.1, 10)(query_BD, keys)
    keys.row_RD.zero_()  # the memory is written before the backward pass
    expected = torch.autograd.grad(naive(query_BD, many_keys, 0.1), query_BD)
    torch.testing.assert_close(torch.autograd.grad(loss, query_BD), expected)


def test_rows_that_need_a_gradient_get_one_however_many_they_are(many_keys, unit):
    query_BD, row_RD = unit(B, D), many_keys.row_RD.requires_grad_()
    (gradient_RD,) = torch.autograd.grad(in_blocks(0.1, 10)(query_BD, many_keys), row_RD)
    torch.testing.assert_close(gradient_RD, *torch.autograd.grad(naive(query_BD, many_keys, 0.1), row_RD))


def test_a_loss_made_of_this_one_keeps_its_change_in_blocks(many_keys, unit):
    class MarginNCE(InfoNCE):
        def one_way(self, positive_B, negative_BK, num_stored, direction):
            return super().one_way(positive_B - 3, negative_BK, num_stored, direction)

    query_BD = unit(B, D)
    with_margin = [MarginNCE(0.1, block_mib=mib)(query_BD, many_keys).item() for mib in (1e-9, 32)]
    assert with_margin[0] == pytest.approx(with_margin[1], rel=1e-12)
    assert with_margin[1] > InfoNCE(0.1)(query_BD, many_keys).item()


@pytest.mark.parametrize("block_mib", [0, -1, float("nan")])
def test_blocks_of_nothing_are_refused(block_mib):
    with pytest.raises(
        ValueError, match=rf"block_mib is {block_mib}; it must be (a finite number, )?above 0, for example 1"
    ):
        InfoNCE(0.1, block_mib=block_mib)
