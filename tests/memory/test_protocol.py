"""The keys that a memory hands out. B: queries, K: negatives, R: rows, D: projection."""

import pytest
import torch

from ctc_lightning.memory import Keys, protocol


@pytest.mark.parametrize(
    "column_BK", [None, torch.tensor([[0, 3], [2, 2], [4, 1]])], ids=["every row", "own columns"]
)
@pytest.mark.parametrize("masked", ["nothing", "for all", "for each"])
def test_similarity_equals_a_loop_over_pairs(column_BK, masked):
    torch.manual_seed(0)
    query_BD, positive_BD, row_RD = torch.randn(3, 4), torch.randn(3, 4), torch.randn(5, 4)
    column = torch.arange(5).expand(3, 5) if column_BK is None else column_BK
    pick = {
        "nothing": None,
        "for all": torch.arange(column.shape[1])[None] > 0,
        "for each": torch.rand(column.shape) > 0.5,
    }
    keys = Keys(positive_BD, row_RD, pick[masked], num_stored=5, column_BK=column_BK)
    allowed = (
        torch.ones_like(column, dtype=torch.bool) if masked == "nothing" else pick[masked].expand_as(column)
    )

    positive_B, negative_BK = keys.similarity(query_BD)
    for b in range(3):
        assert positive_B[b].item() == pytest.approx(query_BD[b].dot(positive_BD[b]).item(), rel=1e-5)
        for j, row in enumerate(column[b]):
            expected = query_BD[b].dot(row_RD[row]).item() if allowed[b, j] else -torch.inf
            assert negative_BK[b, j].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("at_once", [1, 2, 10])
def test_few_negatives_of_many_rows_equal_a_loop_over_pairs(at_once, monkeypatch):
    torch.manual_seed(0)
    num_rows, num_negatives, dim = 100, 4, 3
    monkeypatch.setattr(protocol, "PRODUCT_BYTES", 5 * num_rows * 8 - 1)
    monkeypatch.setattr(protocol, "COPIED_BYTES", at_once * num_negatives * dim * 8)
    query_BD = torch.randn(5, dim, dtype=torch.float64, requires_grad=True)
    row_RD, column_BK = torch.randn(num_rows, dim).half(), torch.randint(num_rows, (5, num_negatives))
    allowed_BK = torch.rand(5, num_negatives) > 0.3
    keys = Keys(query_BD.detach(), row_RD, allowed_BK, num_stored=num_rows, column_BK=column_BK)
    monkeypatch.setattr(torch.Tensor, "gather", None)  # from products of all with all
    _, negative_BK = keys.similarity(query_BD)
    weight_BK = torch.randn(5, num_negatives, dtype=torch.float64)
    (gradient_BD,) = torch.autograd.grad((negative_BK.exp() * weight_BK).sum(), query_BD)

    expected_BD = torch.zeros_like(query_BD)
    for b in range(5):
        for j in range(num_negatives):
            row_D = row_RD[column_BK[b, j]].double()
            product = query_BD[b].detach().dot(row_D) if allowed_BK[b, j] else torch.tensor(-torch.inf)
            assert negative_BK[b, j].item() == pytest.approx(product.item(), rel=1e-12)
            expected_BD[b] += weight_BK[b, j] * product.exp() * row_D
    torch.testing.assert_close(gradient_BD, expected_BD)


@pytest.mark.parametrize("most_bytes", [0, 10**6], ids=["few of many rows", "all rows"])
def test_half_precision_queries_meet_half_precision_rows_in_float32(most_bytes, monkeypatch):
    monkeypatch.setattr(protocol, "PRODUCT_BYTES", most_bytes)
    torch.manual_seed(0)
    query_BD, row_RD = torch.randn(3, 8).bfloat16(), torch.randn(40, 8).half()
    column_BK = torch.rand(3, 40).argsort(1)[:, :4]
    keys = Keys(query_BD, row_RD, None, num_stored=40, column_BK=column_BK)
    with torch.autocast("cpu", torch.bfloat16):
        positive_B, negative_BK = keys.similarity(query_BD)
    product_BR = query_BD.double() @ row_RD.double().T
    assert positive_B.dtype == negative_BK.dtype == torch.float32
    torch.testing.assert_close(positive_B.double(), query_BD.double().square().sum(1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(negative_BK.double(), product_BR.gather(1, column_BK), rtol=1e-6, atol=1e-6)


def test_a_query_meets_no_row_of_its_own_group():
    query_BD, row_RD = torch.randn(3, 4), torch.randn(5, 4)
    groups = torch.tensor([7, 2, 5]), torch.tensor([2, 7, 7, 9, 2])
    keys = Keys(query_BD, row_RD, torch.arange(5)[None] < 4, num_stored=5, groups=groups)
    met = [row.isfinite().nonzero().flatten().tolist() for row in keys.similarity(query_BD)[1]]
    assert met == [[0, 3], [1, 2, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("base", [0, 2**24, 2**31 - 2**24 - 10], ids=["small", "beyond float32", "largest"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbouring_groups_are_told_apart(base, dtype):
    group_B, group_R = base + torch.arange(3), base + torch.arange(6)
    keys = Keys(torch.randn(3, 4), torch.randn(6, 4), None, num_stored=6, groups=(group_B, group_R))
    _, negative_BR = keys.similarity(torch.randn(3, 4, dtype=dtype))
    assert torch.equal(negative_BR == -torch.inf, group_B[:, None] == group_R)
    assert not negative_BR.isnan().any()
