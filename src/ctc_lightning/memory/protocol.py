"""What a memory must do, and the keys it hands out. B: queries, K: negatives, R: rows, D: projection."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ctc_lightning.batch import Batch

Exclude = Literal["none", "image", "class"]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that meet B queries; rows are shared, so nothing of size B×K×D ever exists.

    Attributes:
        positive_BD: k⁺, the past's embedding of each query's own image.
        row_RD: stored keys of which the negatives are made.
        allowed_BK: (B, K) or (1, K) bool, which pairs may meet; None: all.
        column_BK: (B, K) int64, the row of each query's j-th negative; None: K = R, every row in order.
        num_stored: N, how many keys the memory holds in all.
        reverse: the other direction of a two-way contrast, ``(anchor_BD, its keys)``; None: one-way.
    """

    positive_BD: Tensor
    row_RD: Tensor
    allowed_BK: Tensor | None
    num_stored: int
    column_BK: Tensor | None = None
    reverse: "tuple[Tensor, Keys] | None" = None

    def similarity(self, query_BD: Tensor) -> tuple[Tensor, Tensor]:
        """q·k⁺ (B,) and q·k⁻ (B, K), the latter −inf where a pair may not meet."""
        positive_B = torch.einsum("bd,bd->b", query_BD, self.positive_BD.to(query_BD.dtype))
        negative_BK = query_BD @ self.row_RD.to(query_BD.dtype).T
        if self.column_BK is not None:
            negative_BK = negative_BK.gather(1, self.column_BK)
        if self.allowed_BK is not None:
            negative_BK = negative_BK.masked_fill(~self.allowed_BK, -torch.inf)
        return positive_B, negative_BK


class Memory(nn.Module, ABC):
    """Remembers keys. All state is in persistent buffers and identical on every rank.

    Attributes:
        stores_positive: whether k⁺ is read from the memory (a bank) rather than today's key.
        outlives_the_step: whether keys are kept for later steps at all.
    """

    stores_positive: bool = False
    outlives_the_step: bool = True

    def allocate(self, dim: int, label_N: Tensor) -> None:
        """Make the buffers, once, before training.

        Args:
            dim: D.
            label_N: (N,) int64, the training set's labels.

        Raises:
            ValueError: the training set is too small for this memory.
        """

    @abstractmethod
    def draw(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> Keys:
        """The keys that meet ``query_BD``; ``key_BD`` (B, D) are today's keys of the same images."""

    def put(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> None:
        """Remember a batch from all ranks. Called after the backward pass: no query meets its own key."""

    def fill(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> None:
        """Overwrite what is remembered of these images (a stage begins)."""
        self.put(query_BD, key_BD, batch)


def check_count(owner: str, option: str, count: float) -> None:
    """Refuse what is not a whole number of at least 1 with one sentence."""
    if not isinstance(count, int) or count < 1:
        raise ValueError(
            f"{owner}: {option} is {count}; give a whole number of at least 1, for example 1024."
        )


def check_exclude(owner: str, exclude: str, choices: tuple[str, ...] = get_args(Exclude)) -> None:
    """Refuse an unknown ``exclude`` with one sentence."""
    if exclude not in choices:
        raise ValueError(f"{owner}: exclude is {exclude!r}; choose one of {', '.join(map(repr, choices))}.")


def may_meet(exclude: str, batch: Batch, index: Tensor, label: Tensor) -> Tensor:
    """Which of B queries may meet which of K keys.

    Args:
        exclude: ``image`` keeps a query from keys of its own image, ``class`` from all keys of its class
            (its image's among them), ``none`` from nothing.
        batch: the queries' ``index`` and ``label``, (B,) each.
        index: (K,) or (B, K) the keys' image numbers.
        label: (K,) or (B, K) the keys' labels.

    Returns:
        bool, (B, K).
    """
    if exclude == "image":
        return index != batch.index[:, None]
    if exclude == "class":
        return label != batch.label[:, None]
    return torch.ones(1, 1, dtype=torch.bool, device=index.device).expand(len(batch.index), index.shape[-1])
