"""Queries and keys for every contrast. B: queries, K: negatives, R: rows, D: projection."""

import pytest
import torch
from torch.nn.functional import normalize

from ctc_lightning.memory import Keys


@pytest.fixture
def unit():
    """Seeded random unit vectors in float64."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)

    return draw


@pytest.fixture(params=["all rows", "masked", "own columns", "own columns, masked"])
def make_keys(request, unit):
    """Keys for four queries in each form that ``Keys`` allows; masked, the second query has none at all."""
    allowed_BK = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]]).bool()
    column_BK = torch.tensor([[0, 2, 4, 6, 5], [1, 0, 3, 5, 6], [6, 5, 4, 3, 2], [3, 1, 2, 0, 4]])
    masked, own_columns = "masked" in request.param, "columns" in request.param

    def make():
        return Keys(
            positive_BD=unit(4, 3),
            row_RD=unit(7 if own_columns else 5, 3),
            allowed_BK=allowed_BK if masked else None,
            num_stored=9,
            column_BK=column_BK if own_columns else None,
        )

    return make


@pytest.fixture
def negatives_of():
    """The negatives of one query as a plain list of vectors."""

    def of(keys: Keys, query: int):
        rows = range(len(keys.row_RD)) if keys.column_BK is None else keys.column_BK[query]
        return [
            keys.row_RD[row]
            for j, row in enumerate(rows)
            if keys.allowed_BK is None or keys.allowed_BK[query, j]
        ]

    return of
