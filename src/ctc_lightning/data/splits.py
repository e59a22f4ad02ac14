"""Holds images out by a rule that gives the same ones on every machine and with every library, for ever."""

# N images, K of a class, C classes that have any; M rows chosen; L labels of an image with several

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def hold_out(label_N: Tensor, num: int, seed: int, classes: Sequence[str] = ()) -> tuple[Tensor, Tensor]:
    """Hold out ``num`` images, of each class its share.

    A class of K images gives num · K / N of them, rounded down; what is then lacking to ``num`` comes one by
    one from the classes with the largest remainders, of equal ones from the first. Every class keeps at least
    one image: what a class cannot give the next one gives. Which images a class gives follows from their
    ranks 0..K-1 in it alone: those whose BLAKE2b hash, 8 bytes, of the text "SEED RANK" comes first. So
    neither other classes nor a random generator have a say, and a larger ``num`` holds out the same and more.

    Args:
        label_N: (N,) int64, classes counted from 0; or (N, L), of which all rows count as one class.
        num: how many to hold out.
        seed: any integer.
        classes: what an error calls the classes, in order; may be empty.

    Returns:
        The rows kept and the rows held out, both ascending int64.

    Raises:
        ValueError: ``num`` below 1 or above N - C; a class with one image.
    """
    class_N = label_N if label_N.ndim == 1 else torch.zeros(len(label_N), dtype=torch.int64)
    count_C = torch.bincount(class_N).tolist()
    if lonely := [label for label, count in enumerate(count_C) if count == 1]:
        first = repr(classes[lonely[0]]) if classes and label_N.ndim == 1 else lonely[0]
        raise ValueError(
            f"Class {first} has 1 image, must have at least 2 to be split ({len(lonely)} such "
            "class(es) in all): add images, or leave the class out."
        )
    most = len(class_N) - sum(count > 0 for count in count_C)
    if not 1 <= num <= most:
        raise ValueError(
            f"{num} of {len(class_N)} images are to be held out, must be from 1 to {most}, so that every "
            "class keeps one: change the share that is held out."
        )
    return _split(class_N, count_C, _given(count_C, num, keep=1), seed)


def draw(label_N: Tensor, num: int, seed: int) -> Tensor:
    """A part of the images, by the rule of `hold_out`, but classes need not keep one.

    Args:
        label_N: as in `hold_out`; a class may have one image.
        num: how many to draw, from 1 to N.
        seed: any integer.

    Returns:
        (num,) int64, the rows drawn, ascending.
    """
    assert 1 <= num <= len(label_N)
    class_N = label_N if label_N.ndim == 1 else torch.zeros(len(label_N), dtype=torch.int64)
    count_C = torch.bincount(class_N).tolist()
    return _split(class_N, count_C, _given(count_C, num, keep=0), seed)[1]


def take_each(label_N: Tensor, num: int, seed: int) -> tuple[Tensor, Tensor]:
    """Take ``num`` images of every class, those that `hold_out` would hold out first.

    Args:
        label_N: (N,) int64, classes counted from 0, each with some images.
        num: of each class.
        seed: any integer.

    Returns:
        The rows taken and all others, both ascending int64.

    Raises:
        ValueError: a class that has no more than ``num`` images.
    """
    count_C = torch.bincount(label_N).tolist()
    if small := [label for label, count in enumerate(count_C) if count <= num]:
        raise ValueError(
            f"Class {small[0]} has {count_C[small[0]]} image(s), must have more than the {num} that are "
            f"taken of each class ({len(small)} such class(es) in all): add images."
        )
    others, taken = _split(label_N, count_C, [num] * len(count_C), seed)
    return taken, others


def digest(row_M: Tensor) -> str:
    """16 hexadecimal digits that name a choice of rows: of the SHA-256 of them as little-endian int64."""
    return hashlib.sha256(row_M.numpy().astype("<i8").tobytes()).hexdigest()[:16]


def _order(num_ranks: int, seed: int) -> list[int]:
    """The ranks, in the order in which they are held out."""
    return sorted(
        range(num_ranks), key=lambda rank: hashlib.blake2b(f"{seed} {rank}".encode(), digest_size=8).digest()
    )


def _split(class_N: Tensor, count_C: list[int], given_C: list[int], seed: int) -> tuple[Tensor, Tensor]:
    """The rows that the classes keep, and those that they give."""
    rank_K = torch.tensor(_order(max(count_C), seed))
    rows_C = class_N.argsort(stable=True).split(count_C)
    is_given_N = torch.zeros(len(class_N), dtype=torch.bool)
    for row_K, given in zip(rows_C, given_C, strict=True):
        is_given_N[row_K[rank_K[rank_K < len(row_K)][:given]]] = True
    return (~is_given_N).nonzero()[:, 0], is_given_N.nonzero()[:, 0]


def _given(count_C: list[int], num: int, keep: int) -> list[int]:
    """How many of its images each class gives, which keeps at least ``keep``."""
    total = sum(count_C)
    most_C = [max(count - keep, 0) for count in count_C]
    given_C = [min(num * count // total, most) for count, most in zip(count_C, most_C, strict=True)]
    by_remainder = sorted(range(len(count_C)), key=lambda label: -(num * count_C[label] % total))
    while (lacking := num - sum(given_C)) > 0:
        for label in [label for label in by_remainder if given_C[label] < most_C[label]][:lacking]:
            given_C[label] += 1
    return given_C
