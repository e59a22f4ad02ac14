"""What is held out follows from a stated rule: disjoint, complete, stratified, the same for ever."""

import hashlib
from fractions import Fraction

import pytest
import torch

from ctc_lightning.data.splits import digest, draw, hold_out, take_each


def labels(*counts, seed=0):
    """That many images of each class, in a mixed order."""
    label_N = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return label_N[torch.randperm(len(label_N), generator=torch.Generator().manual_seed(seed))]


def by_the_rule(label_N, num, seed):
    """The rule as its docstring states it, one image at a time."""
    rows = {}
    for row, label in enumerate(label_N.tolist()):
        rows.setdefault(label, []).append(row)
    share = {label: Fraction(num * len(of), len(label_N)) for label, of in rows.items()}
    gives = {label: int(s) for label, s in share.items()}
    for label in sorted(share, key=lambda label: (gives[label] - share[label], label)):
        if sum(gives.values()) < num:
            gives[label] += 1
    held = []
    for label, of in rows.items():
        keyed = [
            (hashlib.blake2b(b"%d %d" % (seed, rank), digest_size=8).hexdigest(), row)
            for rank, row in enumerate(of)
        ]
        held += [row for _, row in sorted(keyed)[: gives[label]]]
    return sorted(held)


@pytest.mark.parametrize(("num", "seed"), [(1, 0), (7, 0), (30, 5), (99, 12)])
def test_agrees_with_the_rule_as_it_is_stated(num, seed):
    label_N = labels(40, 23, 90, 11)
    assert hold_out(label_N, num, seed)[1].tolist() == by_the_rule(label_N, num, seed)


def test_first_images_held_out_are_those_whose_hashes_come_first():
    # From coreutils: for i in 0 1 2 3 4 5; do printf "0 $i" | b2sum -l 64; done
    first = [5, 2, 4, 1, 0, 3]
    assert [hold_out(torch.zeros(6, dtype=torch.int64), num, 0)[1].tolist() for num in (1, 2)] == [
        sorted(first[:1]),
        sorted(first[:2]),
    ]


def test_disjoint_and_complete_and_ascending():
    label_N = labels(40, 23, 90)
    kept, held = hold_out(label_N, 31, 0)
    assert len(held) == 31
    assert sorted(kept.tolist() + held.tolist()) == list(range(len(label_N)))
    for rows in (kept, held):
        assert rows.dtype == torch.int64
        assert rows.tolist() == sorted(rows.tolist())


@pytest.mark.parametrize("num", [1, 13, 50, 150])
def test_every_class_gives_its_share_to_one_image(num):
    counts = (40, 23, 90, 11, 17)
    label_N = labels(*counts)
    held_C = torch.bincount(label_N[hold_out(label_N, num, 3)[1]], minlength=5).tolist()
    for count, held in zip(counts, held_C, strict=True):
        assert abs(held - num * count / sum(counts)) < 1


def test_every_class_keeps_an_image():
    label_N = labels(2, 2, 96)
    kept, held = hold_out(label_N, 97, 0)
    assert len(held) == 97
    assert label_N[kept].sort().values.tolist() == [0, 1, 2]


def test_other_classes_do_not_change_which_images_a_class_gives():
    alone = torch.zeros(30, dtype=torch.int64)
    together = torch.cat([alone, torch.full((60,), 1), torch.full((10,), 2)])
    in_both = hold_out(together, 10, 4)[1]
    assert in_both[in_both < 30].tolist() == hold_out(alone, 3, 4)[1].tolist()


def test_more_images_held_out_include_the_fewer():
    label_N = labels(50, 50)
    fewer, more = (set(hold_out(label_N, num, 0)[1].tolist()) for num in (10, 30))
    assert fewer < more


def test_seeds_differ():
    label_N = labels(50, 50)
    splits = {tuple(hold_out(label_N, 10, seed)[1].tolist()) for seed in range(5)}
    assert len(splits) == 5


def test_images_of_a_class_are_equally_likely_to_be_held_out():
    label_N = torch.zeros(20, dtype=torch.int64)
    times_N = torch.zeros(20)
    for seed in range(400):
        times_N[hold_out(label_N, 5, seed)[1]] += 1
    # Binomial: mean 100, standard deviation 8.7
    assert (times_N - 100).abs().max() < 5 * 8.7


def test_images_with_several_labels_are_not_stratified():
    label_NL = torch.randint(-1, 2, (40, 20), dtype=torch.int8, generator=torch.Generator().manual_seed(0))
    kept, held = hold_out(label_NL, 10, 2)
    assert held.tolist() == hold_out(torch.zeros(40, dtype=torch.int64), 10, 2)[1].tolist()
    assert len(kept) == 30


def test_classes_without_images_are_no_obstacle():
    kept, held = hold_out(torch.tensor([0, 0, 5, 5]), 2, 0)
    assert len(kept) == len(held) == 2


@pytest.mark.parametrize("num", [0, -3, 9, 10])
def test_more_or_fewer_than_can_be_held_out(num):
    with pytest.raises(
        ValueError, match=rf"^{num} of 10 images .* from 1 to 8, .*: change the share"
    ) as error:
        hold_out(labels(5, 5), num, 0)
    assert str(error.value).endswith(".")


def test_a_class_with_one_image():
    with pytest.raises(ValueError, match="Class 1 has 1 image, must have at least 2") as error:
        hold_out(labels(5, 1, 5, 1), 2, 0)
    assert "2 such" in str(error.value)


def test_as_many_of_every_class():
    label_N = labels(31, 40, 90)
    taken, others = take_each(label_N, 30, 0)
    assert torch.bincount(label_N[taken]).tolist() == [30, 30, 30]
    assert sorted(taken.tolist() + others.tolist()) == list(range(161))
    assert taken.tolist() == sorted(taken.tolist())


def test_those_taken_are_those_that_would_be_held_out():
    label_N = torch.zeros(50, dtype=torch.int64)
    assert take_each(label_N, 20, 7)[0].tolist() == hold_out(label_N, 20, 7)[1].tolist()


def test_a_class_that_would_have_none_left():
    with pytest.raises(ValueError, match=r"Class 1 has 3 image\(s\), must have more than the 3") as error:
        take_each(labels(5, 3, 4), 3, 0)
    assert "1 such" in str(error.value)


def test_digest_names_the_rows():
    rows = torch.tensor([3, 256])
    written = bytes([3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    assert digest(rows) == hashlib.sha256(written).hexdigest()[:16]
    assert digest(rows) != digest(rows.flip(0))


def test_a_draw_is_what_would_be_held_out_where_classes_can_keep_an_image():
    label_N = labels(20, 30, 7)
    assert draw(label_N, 20, 7).tolist() == hold_out(label_N, 20, 7)[1].tolist()


@pytest.mark.parametrize("num", range(1, 10))
def test_a_draw_may_take_all_of_a_class_and_classes_of_one_image(num):
    label_N = labels(1, 5, 3)
    rows = draw(label_N, num, 0)
    assert len(set(rows.tolist())) == num
    for count, drawn in zip((1, 5, 3), torch.bincount(label_N[rows], minlength=3).tolist(), strict=True):
        assert abs(drawn - num * count / 9) < 1


def test_a_class_that_cannot_be_split_is_called_by_its_name(one_sentence):
    with pytest.raises(ValueError, match="Class 'plum' has 1 image") as error:
        hold_out(labels(5, 1), 2, 0, ("apple", "plum"))
    one_sentence(error, "at least 2", "add images")
