"""The keys that a memory hands out. B: queries, K: negatives, R: rows, D: projection."""

import pytest
import torch

from ctc_lightning.memory import Keys


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
