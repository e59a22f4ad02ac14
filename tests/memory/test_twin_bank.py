"""A twin bank is two banks that draw the same images. B: queries, D: projection."""

import pytest
import torch
from torch.nn.functional import normalize

from ctc_lightning.memory import MemoryBank, TwinBank

LABEL_N = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])


@pytest.fixture(params=[(None, True), (3, True), (3, False)], ids=["all rows", "shared", "own"])
def banks(request):
    """A twin bank and two banks, of queries and of keys, that start alike."""
    num_negatives, shared = request.param
    kinds = (TwinBank, MemoryBank, MemoryBank)
    twin, of_queries, of_keys = (kind(0.7, num_negatives, "class", shared_negatives=shared) for kind in kinds)
    for memory in (twin, of_queries, of_keys):
        memory.allocate(4, LABEL_N)
    of_queries.load_state_dict(twin.of_queries.state_dict())
    of_keys.load_state_dict(twin.of_keys.state_dict())
    return twin, of_queries, of_keys


@pytest.mark.parametrize("action", ["put", "fill"])
def test_equals_two_banks(action, banks, make_batch):
    twin, of_queries, of_keys = banks
    batch = make_batch([2, 6, 2], LABEL_N[[2, 6, 2]])
    query_BD, key_BD = normalize(torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    getattr(twin, action)(query_BD, key_BD, batch)
    getattr(of_queries, action)(query_BD, query_BD, batch)
    getattr(of_keys, action)(key_BD, key_BD, batch)

    torch.manual_seed(1)
    drawn = twin.draw(query_BD, key_BD, batch)
    anchor_BD, back = drawn.reverse
    assert torch.equal(anchor_BD, key_BD)
    for keys, probe_BD, bank in ((drawn, query_BD, of_keys), (back, key_BD, of_queries)):
        torch.manual_seed(1)  # one draw: both directions meet the same images
        expected = bank.draw(query_BD, key_BD, batch)
        assert keys.num_stored == expected.num_stored == len(LABEL_N)
        for got, wanted in zip(keys.similarity(probe_BD), expected.similarity(probe_BD), strict=True):
            assert torch.equal(got, wanted)


def test_wrong_values_are_refused():
    with pytest.raises(ValueError, match=r"momentum is 2; it must be at least 0 and at most 1"):
        TwinBank(momentum=2)


def test_both_banks_have_the_dtype():
    twin = TwinBank(0.9, dtype="float16")
    twin.allocate(4, LABEL_N)
    assert twin.of_queries.row_ND.dtype == twin.of_keys.row_ND.dtype == torch.float16
