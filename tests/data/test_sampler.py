"""EpochBatches: what an epoch promises, on one rank and on several."""

from itertools import chain

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from ctc_lightning.data.sampler import EpochBatches


def indices(batches):
    return [index.tolist() for index, _ in batches]


def flat(batches):
    return list(chain(*indices(batches)))


def test_an_epoch_is_a_permutation_cut_into_full_batches():
    rows = indices(EpochBatches(100, 8, seed=0, shuffle=True, drop_last=True))
    assert [len(r) for r in rows] == [8] * 12
    assert len(set(chain(*rows))) == 96


def test_without_dropping_every_image_comes_once_in_nearly_equal_batches():
    batches = EpochBatches(100, 8, seed=0, shuffle=True)
    sizes = {len(r) for r in indices(batches)}
    assert sorted(flat(batches)) == list(range(100))
    assert max(sizes) <= 8
    assert max(sizes) - min(sizes) <= 1


def test_in_order_without_shuffling():
    assert flat(EpochBatches(10, 4)) == list(range(10))


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize(
    ("num_images", "batch_size", "world_size"), [(100, 8, 2), (97, 5, 3), (64, 16, 4), (33, 4, 4)]
)
def test_ranks_see_together_what_one_rank_sees(num_images, batch_size, world_size, drop_last):
    options = {"seed": 3, "shuffle": True, "drop_last": drop_last}
    one = indices(EpochBatches(num_images, batch_size * world_size, **options))
    ranks = [
        indices(EpochBatches(num_images, batch_size, **options, rank=r, world_size=world_size))
        for r in range(world_size)
    ]
    assert {len(rank) for rank in ranks} == {len(one)}  # as many steps on every rank
    for global_batch, *parts in zip(one, *ranks, strict=True):
        assert list(chain(*parts)) == global_batch
        sizes = {len(part) for part in parts}
        assert 1 <= min(sizes) <= max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= (0 if drop_last else 1)


def test_set_epoch_gives_that_epoch_without_the_earlier_ones():
    walked = EpochBatches(50, 7, seed=1, shuffle=True)
    epochs = []
    for epoch in range(4):
        walked.set_epoch(epoch)
        epochs.append([(index.tolist(), seed) for index, seed in walked])
    jumped = EpochBatches(50, 7, seed=1, shuffle=True)
    jumped.set_epoch(3)
    assert [(index.tolist(), seed) for index, seed in jumped] == epochs[3]
    assert len({str(e) for e in epochs}) == 4


def test_every_batch_of_every_epoch_rank_and_seed_has_its_own_augmentation_seed():
    seeds = []
    for seed in (0, 1):
        for rank in (0, 1):
            batches = EpochBatches(64, 4, seed=seed, rank=rank, world_size=2)
            for epoch in range(5):
                batches.set_epoch(epoch)
                seeds += [s for _, s in batches]
    assert len(set(seeds)) == len(seeds) == 2 * 2 * 5 * 8
    for s in seeds:
        torch.Generator().manual_seed(s)  # in the range that torch takes


def test_another_seed_gives_another_order():
    assert flat(EpochBatches(64, 8, seed=0, shuffle=True)) != flat(EpochBatches(64, 8, seed=1, shuffle=True))


def test_the_order_is_uniform():
    """Over 2000 epochs, image 0 comes at each of the 10 places as often."""
    batches = EpochBatches(10, 10, seed=0, shuffle=True)
    places = np.zeros(10)
    for epoch in range(2000):
        batches.set_epoch(epoch)
        places[flat(batches).index(0)] += 1
    assert chisquare(places).pvalue > 1e-3


def test_without_a_seed_the_batches_ask_for_no_augmentation():
    assert {seed for _, seed in EpochBatches(10, 4)} == {None}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"num_images": 10, "batch_size": 11, "drop_last": True}, "10 images"),
        ({"num_images": 10, "batch_size": 6, "drop_last": True, "world_size": 2}, "2 process"),
        ({"num_images": 1, "batch_size": 6, "world_size": 2}, "1 images"),
        ({"num_images": 10, "batch_size": 2, "shuffle": True}, "seed"),
    ],
)
def test_refuses_what_it_cannot_keep(options, word):
    with pytest.raises(ValueError, match=word):
        EpochBatches(**options)
