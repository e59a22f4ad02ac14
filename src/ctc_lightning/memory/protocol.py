"""What a memory must do, and the keys it hands out.

B: queries, K: negatives, R: rows, C: rows of one block, D: projection
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ctc_lightning.batch import Batch

Exclude = Literal["none", "image", "class"]

PRODUCT_BYTES = 256 * 2**20  # of all queries with all rows, where only some are asked for
COPIED_BYTES = 32 * 2**20  # of rows at once


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that meet B queries; rows are shared, so nothing of size B×K×D ever exists.

    Attributes:
        positive_BD: k⁺, the past's embedding of each query's own image.
        row_RD: stored keys of which the negatives are made, in any floating dtype.
        allowed_BK: (B, K) or (1, K) bool, which pairs may meet; None: all.
        num_stored: N, how many keys the memory holds in all.
        column_BK: (B, K) int64, the row of each query's j-th negative; None: K = R, every row in order.
        reverse: the other direction of a two-way contrast, ``(anchor_BD, its keys)``; None: one-way.
        groups: ``(group_B, group_R)`` int64 from 0 to 2·10⁹, image numbers or classes, only with every row in
            order: a query does not meet the rows of its own group either. They are compared block by block,
            so that a mask of B×R never exists. None: no such rule.
    """

    positive_BD: Tensor
    row_RD: Tensor
    allowed_BK: Tensor | None
    num_stored: int
    column_BK: Tensor | None = None
    reverse: "tuple[Tensor, Keys] | None" = None
    groups: tuple[Tensor, Tensor] | None = None

    def similarity(self, query_BD: Tensor) -> tuple[Tensor, Tensor]:
        """q·k⁺ (B,) and q·k⁻ (B, K), the latter −inf where a pair may not meet; in at least float32."""
        return self.positive(query_BD), self.negative(query_BD)

    def positive(self, query_BD: Tensor) -> Tensor:
        """q·k⁺ (B,), in at least float32 whatever autocast says."""
        with torch.autocast(query_BD.device.type, enabled=False):
            query_BD = query_BD.to(at_least_float32(query_BD))
            return torch.einsum("bd,bd->b", query_BD, self.positive_BD.to(query_BD.dtype))

    def negative(self, query_BD: Tensor) -> Tensor:
        """q·k⁻ (B, K), in at least float32 whatever autocast says; −inf where a pair may not meet."""
        query_BD = query_BD.to(at_least_float32(query_BD))
        if self.column_BK is None:
            with torch.autocast(query_BD.device.type, enabled=False):
                return self.block(query_BD, slice(None))[0]
        product_bytes = query_BD.itemsize * len(query_BD) * len(self.row_RD)
        if product_bytes > PRODUCT_BYTES and not self.row_RD.requires_grad:
            negative_BK = self.pair_by_pair(query_BD)
        else:
            with torch.autocast(query_BD.device.type, enabled=False):
                negative_BK = (query_BD @ self.row_RD.to(query_BD.dtype).T).gather(1, self.column_BK)
        return self.mask_(negative_BK, slice(None))

    def pair_by_pair(self, query_BD: Tensor) -> Tensor:
        """q·k⁻ (B, K) from a copy of each pair's row, some queries at a time.

        The gradient copies them again, so that they are not kept.
        """

        def products(query_BD: Tensor, column_BK: Tensor) -> Tensor:
            with torch.autocast(query_BD.device.type, enabled=False):
                row_BKD = self.row_RD[column_BK].to(query_BD.dtype)
                return torch.bmm(row_BKD, query_BD[:, :, None])[:, :, 0]

        assert self.column_BK is not None
        num_queries = max(1, COPIED_BYTES // (query_BD[0].nbytes * self.column_BK.shape[1]))
        blocks = zip(query_BD.split(num_queries), self.column_BK.split(num_queries), strict=True)
        again = partial(checkpoint, products, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([again(*block) for block in blocks])

    def block(self, query_BD: Tensor, columns: slice) -> tuple[Tensor, Tensor]:
        """q·k⁻ (B, C) of the rows ``columns``, −inf where a pair may not meet, and these rows (C, D).

        The queries are in at least float32, and autocast is off.
        """
        row_CD = self.row_RD[columns].to(query_BD.dtype)
        return self.mask_(query_BD @ row_CD.T, columns), row_CD

    def mask_(self, negative_BC: Tensor, columns: slice) -> Tensor:
        """Write −inf in place where a pair may not meet."""
        if self.allowed_BK is not None:
            close_(negative_BC, self.allowed_BK[:, columns].to(negative_BC.dtype))
        if self.groups is not None:
            group_B, group_C = as_floats(self.groups[0]), as_floats(self.groups[1][columns])
            differ_BC = torch.empty_like(negative_BC)
            close_(negative_BC, torch.ne(group_B[:, None], group_C, out=differ_BC))
        return negative_BC


def close_(logit_BC: Tensor, open_BC: Tensor) -> None:
    """Write −inf where ``open_BC`` is 0 rather than 1, several times as fast as ``masked_fill_`` on a CPU."""
    logit_BC.addcdiv_(logit_BC.new_full((), -1e-30), open_BC)  # −1e-30 / 1 is lost, −1e-30 / 0 is −inf


def as_floats(group: Tensor) -> Tensor:
    """Different float32 numbers for different groups: a CPU compares floats into floats eight at a time.

    The bits of the integers, moved to where neither NaN nor subnormal numbers are.
    """
    return group.to(torch.int32).add_(2**23).view(torch.float32)


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

    def put_step(self, batches: Sequence[tuple[Tensor, Tensor, Batch]]) -> None:
        """Remember an optimizer step's micro-batches, each as for `put`, as if they were one batch."""
        query_BD, key_BD, index_B, label_B = map(
            torch.cat,
            zip(*((query, key, batch.index, batch.label) for query, key, batch in batches), strict=True),
        )
        self.put(query_BD, key_BD, batches[-1][2]._replace(index=index_B, label=label_B))

    def fill(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> None:
        """Overwrite what is remembered of these images (a stage begins)."""
        self.put(query_BD, key_BD, batch)


def at_least_float32(tensor: Tensor) -> torch.dtype:
    """The dtype to calculate in: half precision rounds a logit of 10 to 0.04."""
    return torch.promote_types(tensor.dtype, torch.float32)


def own_group(exclude: str, batch: Batch, index_R: Tensor, label_R: Tensor) -> tuple[Tensor, Tensor] | None:
    """The ``groups`` of `Keys` for ``exclude``, as in `may_meet`."""
    by = {"image": (batch.index, index_R), "class": (batch.label, label_R)}
    return by.get(exclude)


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
