"""Two real processes against one: gathering, and memories under uneven batches.

This file is also the program of each process: ``python test_distributed.py RANK FOLDER``.
B: rows of one rank, N: rows of all, D: projection
"""

import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

import programs
from ctc_lightning.batch import Batch
from ctc_lightning.contrast import NCE
from ctc_lightning.distributed import gather, rank, world_size
from ctc_lightning.evaluation import extract_features
from ctc_lightning.memory import BatchMemory, KeyQueue, Keys, MemoryBank, TwinBank

RANKS = (0, 1)
ROWS = [(3, 1), (0, 2), (5, 4), (0, 0), (2, 9), (4, 0)]  # of each rank, step by step
LABEL_N = torch.arange(11) % 3
MEMORIES = {
    "queue": lambda: KeyQueue(size=7),
    "bank": lambda: MemoryBank(momentum=0.7),
    "twin bank": lambda: TwinBank(momentum=0.7, num_negatives=2),
}


def step(number, *ranks):
    """Queries, keys and batch of these ranks, rank 0's rows first; images may come twice."""
    query_ND, key_ND, index_N = [], [], []
    for r in ranks:
        generator, num_rows = torch.Generator().manual_seed(10 * number + r), ROWS[number][r]
        query_ND.append(normalize(torch.randn(num_rows, 4, generator=generator), dim=-1))
        key_ND.append(normalize(torch.randn(num_rows, 4, generator=generator), dim=-1))
        index_N.append(torch.randint(len(LABEL_N), (num_rows,), generator=generator))
    index = torch.cat(index_N)
    batch = Batch(view=torch.empty(0), key_view=torch.empty(0), label=LABEL_N[index], index=index)
    return torch.cat(query_ND), torch.cat(key_ND), batch


def remember(*ranks):
    """What each memory holds after every step."""
    states = []
    for name, make in MEMORIES.items():
        torch.manual_seed(0)
        memory = make()
        memory.allocate(4, LABEL_N)
        for number in range(len(ROWS)):
            memory.put(*step(number, *ranks))
            states.append((f"{name}, step {number}", {k: v.clone() for k, v in memory.state_dict().items()}))
    return dict(states)


def features():
    """The features of seven images, in batches of two and of seven (then rank 1 has none)."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).eval()
    backbone.num_features = 5
    image_NCHW = torch.rand(7, 3, 2, 2)
    return [
        extract_features(
            backbone,
            (
                Batch(image_NCHW[i], image_NCHW[i], i, i)
                for i in torch.arange(7).split(size)[rank() :: world_size()]
            ),
            torch.device("cpu"),
        )[0]
        for size in (2, 7)
    ]


def normaliser(*ranks):
    """The NCE constant that a first batch sets."""
    query_BD, key_BD, _ = step(0, *ranks)
    contrast = NCE(0.1)
    contrast(query_BD, Keys(key_BD, torch.eye(4), allowed_BK=None, num_stored=100))
    return contrast.log_normaliser[0]


def observe():
    """All that one rank sees."""
    me = rank()
    index_B = torch.arange(ROWS[0][me]) + 100 * me
    query_BD, key_BD, batch = step(2, me)
    return {
        "rank and size": (me, world_size()),
        "int64 and float": gather(index_B, index_B[:, None] + torch.tensor([0.25, 0.5])),
        "none on rank 0": gather(torch.full((2 * me, 3), 7.0))[0],
        "none at all": gather(torch.empty(0, 3))[0],
        "even": gather(index_B[:1], index_B[:1, None] * 0.5, even=True),
        "gradient": gather(torch.ones(2, requires_grad=True) * 2)[0].requires_grad,
        "memories": remember(me),
        "features": features(),
        "normaliser": normaliser(me),
        "in-batch": BatchMemory().draw(query_BD, key_BD, batch),
    }


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What both ranks saw."""
    folder = tmp_path_factory.mktemp("ranks")
    ranks = [programs.start(__file__, r, folder) for r in RANKS]
    errors = [process.communicate(timeout=120)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], "\n".join(errors)
    return [torch.load(folder / f"{r}.pt", weights_only=False) for r in RANKS]


def test_without_a_process_group_gather_is_the_identity_without_gradient():
    (row_N,) = gather(torch.ones(3, requires_grad=True))
    assert (rank(), world_size()) == (0, 1)
    assert torch.equal(row_N, torch.ones(3))
    assert not row_N.requires_grad


def test_ranks_count_from_zero(seen):
    assert [s["rank and size"] for s in seen] == [(0, 2), (1, 2)]


@pytest.mark.parametrize("me", RANKS)
def test_gather_concatenates_uneven_rows_rank_0_first_in_their_dtype(me, seen):
    index_N, float_ND = seen[me]["int64 and float"]
    assert index_N.dtype == torch.int64
    assert index_N.tolist() == [0, 1, 2, 100]
    assert float_ND.tolist() == [[0.25, 0.5], [1.25, 1.5], [2.25, 2.5], [100.25, 100.5]]
    assert not seen[me]["gradient"]


@pytest.mark.parametrize("me", RANKS)
def test_gather_of_rows_that_are_known_to_be_even(me, seen):
    index_N, half_ND = seen[me]["even"]
    assert index_N.tolist() == [0, 100]
    assert half_ND.tolist() == [[0], [50]]


@pytest.mark.parametrize("me", RANKS)
def test_gather_takes_ranks_without_rows(me, seen):
    assert torch.equal(seen[me]["none on rank 0"], torch.full((2, 3), 7.0))
    assert seen[me]["none at all"].shape == (0, 3)


@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_is_identical_on_both_ranks_and_equals_one_process(name, seen):
    for moment, alone in remember(*RANKS).items():
        for entry, tensor in alone.items() if moment.startswith(f"{name},") else ():
            on_0, on_1 = (s["memories"][moment][entry] for s in seen)
            assert torch.equal(on_0, on_1), (moment, entry)
            torch.testing.assert_close(on_0, tensor, msg=f"{moment}: {entry}")


def test_a_batchs_negatives_are_the_other_images_of_all_ranks(seen):
    _, key_ND, batch = step(2, *RANKS)
    begin = 0
    for me, num_rows in zip(RANKS, ROWS[2], strict=True):
        keys, mine = seen[me]["in-batch"], batch.index[begin : begin + num_rows]
        assert torch.equal(keys.row_RD, key_ND)
        met_BK = keys.negative(keys.positive_BD) > -torch.inf
        assert torch.equal(met_BK, mine[:, None] != batch.index)
        assert torch.equal(keys.positive_BD, key_ND[begin : begin + num_rows])
        begin += num_rows


def test_the_nce_constant_is_the_mean_over_all_ranks_rows(seen):
    assert torch.equal(seen[0]["normaliser"], seen[1]["normaliser"])
    torch.testing.assert_close(seen[0]["normaliser"], normaliser(*RANKS))


def test_features_are_complete_and_in_order_on_every_rank(seen):
    for of_rank in seen:
        for got, alone in zip(of_rank["features"], features(), strict=True):
            torch.testing.assert_close(got, alone)


if __name__ == "__main__":
    me, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.distributed.init_process_group(
        "gloo", f"file://{folder}/meet", timedelta(seconds=60), world_size=len(RANKS), rank=me
    )
    torch.save(observe(), folder / f"{me}.pt")
    torch.distributed.destroy_process_group()
