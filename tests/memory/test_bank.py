"""The bank against loops, and its sampling against the uniform law. B: queries, N: images, D: projection."""

from collections import Counter
from itertools import combinations

import pytest
import torch
from scipy.stats import chisquare
from torch.nn.functional import normalize

from ctc_lightning.memory import MemoryBank

LABELS = [0, 0, 1, 1, 1, 2, 2, 2]


def start(bank, dim=4, labels=LABELS):
    torch.manual_seed(0)
    bank.allocate(dim, torch.tensor(labels))
    return bank.double()


def telling(bank):
    """A bank whose only coordinate is the image number, see ``who_meets``."""
    bank = start(bank, dim=1)
    bank.row_ND.copy_(torch.arange(len(LABELS))[:, None])
    return bank


def permitted(image, exclude):
    if exclude == "image":
        return [other for other in range(len(LABELS)) if other != image]
    return [other for other in range(len(LABELS)) if LABELS[other] != LABELS[image]]


def test_rows_are_momentum_averages_of_unit_norm(make_batch):
    bank = start(MemoryBank(momentum=0.7))
    expected_ND = bank.row_ND.clone()
    for index in ([0, 3, 5], [3, 1, 0], [7, 3, 2]):
        key_BD = normalize(torch.randn(3, 4, dtype=torch.float64), dim=-1)
        bank.put(key_BD, key_BD, make_batch(index))
        for key_D, i in zip(key_BD, index, strict=True):
            average_D = 0.7 * expected_ND[i] + 0.3 * key_D
            expected_ND[i] = average_D / average_D.square().sum().sqrt()
    torch.testing.assert_close(bank.row_ND, expected_ND, rtol=0, atol=1e-14)
    torch.testing.assert_close(
        bank.row_ND[[0, 1, 2, 3, 5, 7]].norm(dim=1), torch.ones(6, dtype=torch.float64)
    )


@pytest.mark.parametrize(("momentum", "kept"), [(0.0, 0.0), (1.0, 1.0)])
def test_momentum_0_keeps_the_new_key_and_1_the_old_row(momentum, kept, make_batch):
    bank = start(MemoryBank(momentum))
    old_D, key_BD = (
        normalize(bank.row_ND[2], dim=-1),
        normalize(torch.ones(1, 4, dtype=torch.float64), dim=-1),
    )
    bank.put(key_BD, key_BD, make_batch([2]))
    torch.testing.assert_close(bank.row_ND[2], kept * old_D + (1 - kept) * key_BD[0])


def test_an_image_that_comes_twice_is_averaged_first_whatever_the_order(make_batch):
    key_BD = normalize(
        torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), dim=-1
    )
    index_B = torch.tensor([6, 2, 6, 2, 6])
    rows = []
    for order_B in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 0, 4, 2, 3]):
        bank = start(MemoryBank(momentum=0.7))
        old_ND = bank.row_ND.clone()
        bank.put(key_BD[order_B], key_BD[order_B], make_batch(index_B[order_B]))
        rows.append(bank.row_ND)
    expected_ND = old_ND.clone()
    for image, places in ((6, [0, 2, 4]), (2, [1, 3])):
        expected_ND[image] = normalize(0.7 * old_ND[image] + 0.3 * key_BD[places].mean(0), dim=-1)
    for row_ND in rows:
        torch.testing.assert_close(row_ND, expected_ND, rtol=0, atol=1e-14)


def test_fill_overwrites_what_was_remembered(make_batch):
    bank = start(MemoryBank(momentum=0.9))
    key_BD = normalize(torch.randn(2, 4, dtype=torch.float64), dim=-1)
    old_ND = bank.row_ND.clone()
    bank.fill(key_BD, key_BD, make_batch([4, 1]))
    torch.testing.assert_close(bank.row_ND[[4, 1]], key_BD)
    assert torch.equal(bank.row_ND[[0, 2, 3, 5, 6, 7]], old_ND[[0, 2, 3, 5, 6, 7]])


def test_rows_start_at_random_within_the_documented_bound():
    bank = start(MemoryBank(0.9), dim=12, labels=[0, 1] * 500)
    bound = (3 / 12) ** 0.5
    assert bank.row_ND.abs().max() <= bound
    assert bank.row_ND.square().mean().item() == pytest.approx(
        bound**2 / 3, rel=0.05
    )  # uniform, norm about 1


@pytest.mark.parametrize("exclude", ["image", "class"])
def test_all_rows_but_the_excluded_are_negatives(exclude, make_batch, who_meets):
    bank, batch = telling(MemoryBank(0.9, exclude=exclude)), make_batch(range(8), LABELS)
    _, negative = who_meets(bank.draw(None, None, batch), 8)
    assert [sorted(met) for met in negative] == [permitted(image, exclude) for image in range(8)]


@pytest.mark.parametrize("num_negatives", [None, 3])
def test_the_positive_is_the_stored_row_not_todays_key(num_negatives, make_batch, who_meets):
    bank, today_B1 = telling(MemoryBank(0.9, num_negatives)), torch.full((3, 1), 99.0)
    positive, _ = who_meets(bank.draw(today_B1, today_B1, make_batch([5, 0, 5], [2, 0, 2])), 3)
    assert positive == [5, 0, 5]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("exclude", ["image", "class"])
def test_sampled_negatives_are_uniform_over_what_is_permitted(exclude, shared, make_batch, who_meets):
    bank = telling(MemoryBank(0.9, 2, exclude, shared_negatives=shared))
    images = [0, 3, 7, 3]
    batch, drawn = make_batch(images, [LABELS[i] for i in images]), [Counter() for _ in images]
    for _ in range(3000):
        _, negative = who_meets(bank.draw(None, None, batch), len(images))
        for counter, met in zip(drawn, negative, strict=True):
            counter[tuple(sorted(met))] += 1
    for image, counter in zip(images, drawn, strict=True):
        pairs = list(combinations(permitted(image, exclude), 2))  # exactly K, distinct, never an excluded one
        assert set(counter) <= set(pairs)
        assert chisquare([counter[pair] for pair in pairs]).pvalue > 1e-3


@pytest.mark.parametrize("shared", [True, False])
def test_queries_of_one_image_share_their_negatives_only_if_asked_to(shared, make_batch, who_meets):
    bank, batch = telling(MemoryBank(0.9, 2, shared_negatives=shared)), make_batch([3, 3])
    draws = [who_meets(bank.draw(None, None, batch), 2)[1] for _ in range(20)]
    assert all(sorted(first) == sorted(second) for first, second in draws) is shared


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("exclude", "available"), [("image", 7), ("class", 5)])
def test_as_many_negatives_as_exist_are_drawn_and_one_more_is_refused(
    exclude, available, shared, make_batch, who_meets
):
    bank = telling(MemoryBank(0.9, available, exclude, shared_negatives=shared))
    _, negative = who_meets(bank.draw(None, None, make_batch([4, 6], [1, 2])), 2)
    assert [sorted(met) for met in negative] == [permitted(4, exclude), permitted(6, exclude)]
    with pytest.raises(
        ValueError, match=rf"num_negatives is {available + 1}.*choose at most {available}, or null"
    ):
        start(MemoryBank(0.9, available + 1, exclude, shared_negatives=shared))


@pytest.mark.parametrize("num_negatives", [None, 3])
@pytest.mark.parametrize(("exclude", "labels"), [("class", [1, 1, 1, 1]), ("image", [0])])
def test_data_that_leave_no_negative_are_refused(exclude, labels, num_negatives):
    with pytest.raises(
        ValueError, match=rf"exclude='{exclude}' leaves none of the {len(labels)} training images"
    ):
        start(MemoryBank(0.9, num_negatives, exclude), labels=labels)


def test_a_state_goes_on_identically(make_batch):
    bank, resumed = start(MemoryBank(0.9)), MemoryBank(0.9)
    resumed.allocate(4, torch.tensor(LABELS))
    resumed.double().load_state_dict(bank.state_dict())
    key_BD = normalize(torch.randn(2, 4, dtype=torch.float64), dim=-1)
    for memory in (bank, resumed):
        memory.put(key_BD, key_BD, make_batch([1, 6]))
    assert torch.equal(bank.row_ND, resumed.row_ND)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": -0.1}, r"momentum is -0.1; it must lie in \[0, 1\]"),
        ({"momentum": 1.1}, r"momentum is 1.1; it must lie in \[0, 1\]"),
        ({"momentum": 0.9, "num_negatives": 0}, "num_negatives is 0; give a whole number of at least 1"),
        ({"momentum": 0.9, "exclude": "none"}, "exclude is 'none'; choose one of 'image', 'class'"),
    ],
)
def test_wrong_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MemoryBank(**arguments)
