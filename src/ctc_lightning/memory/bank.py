"""One remembered key per training image.

B: queries, N: images, K: negatives, R: rows, E: reserve, D: projection
"""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ctc_lightning.batch import Batch
from ctc_lightning.checks import count, in_range, one_of
from ctc_lightning.distributed import gather
from ctc_lightning.memory.protocol import (
    Exclude,
    Keys,
    Memory,
    at_least_float32,
    may_meet,
    own_group,
)

RowDtype = Literal["float32", "float16", "bfloat16"]


class MemoryBank(Memory):
    """k⁺ = M_i and K⁻ ⊂ {M_j}, M ∈ ℝ^{N×D}; after the step M_i ← normalise(m M_i + (1 − m) k_i).

    Args:
        momentum: m in [0, 1].
        num_negatives: K negatives, drawn uniformly without replacement; None: all rows but the excluded.
        exclude: ``image`` (default): every row but i. ``class``: every row of another class.
        shared_negatives: one draw for the whole batch (default: the loss reads K rows, whatever N is), or,
            if False, a stretch of its own of one random order for each image. Either way an image's
            negatives are a uniform draw; only how images' draws hang together differs from the reference,
            which draws for each image alone.
        dtype: of M, in memory and in checkpoints: ``float32`` (default), ``float16`` or ``bfloat16``.
            Averages, norms and products are calculated in float32 from the stored rows; only storing rounds.
            A step that moves an entry by less than half of its spacing is lost: for an entry near 1/√128,
            3e-5 in float16 and 2.4e-4 in bfloat16. With m = 0.9 its row stops within 3e-4 or 2.4e-3 of the
            key that it follows, with m = 0.99 within ten times that: too coarse for bfloat16.

    Raises:
        ValueError: a momentum outside [0, 1], ``num_negatives`` < 1 or more than there are, an unknown
            ``exclude`` or ``dtype``.

    M starts uniform in ±1/√(D/3), of about unit norm (dt-tradeoff@a36516b ctc/instance.py:53-67 for all
    rows, ctc/memory.py:6 for K rows). Images that a batch holds twice are averaged first, so that their
    order does not matter.
    """

    stores_positive = True
    row_ND: Tensor
    label_N: Tensor
    index_N: Tensor

    def __init__(
        self,
        momentum: float,
        num_negatives: int | None = None,
        exclude: Exclude = "image",
        *,
        shared_negatives: bool = True,
        dtype: RowDtype = "float32",
    ) -> None:
        super().__init__()
        in_range("memory bank", "[0, 1]", example=0.9, momentum=momentum)
        if num_negatives is None and not shared_negatives:
            raise ValueError(
                "memory bank: shared_negatives is false, but with num_negatives=null nothing is drawn; "
                "give num_negatives, or leave shared_negatives out."
            )
        count("memory bank", null=True, example=1024, num_negatives=num_negatives)
        one_of("memory bank", ("image", "class"), exclude=exclude)
        one_of("memory bank", get_args(RowDtype), dtype=dtype)
        self.momentum = momentum
        self.num_negatives = num_negatives
        self.exclude = exclude
        self.shared_negatives = shared_negatives
        self.dtype: torch.dtype = getattr(torch, dtype)

    def allocate(self, dim: int, label_N: Tensor) -> None:
        """Start the rows at random and note every image's label."""
        self.num_images = len(label_N)
        bound = 1 / math.sqrt(dim / 3)
        self.register_buffer("row_ND", torch.empty(self.num_images, dim, dtype=self.dtype))
        for row_RD in self.row_ND.split(2**16):  # of a rounded bank no float32 copy exists
            row_RD.copy_(torch.empty(row_RD.shape).uniform_(-bound, bound))
        self.register_buffer("label_N", label_N.clone())
        self.register_buffer("index_N", torch.arange(self.num_images), persistent=False)

        most_excluded = 1 if self.exclude == "image" else int(label_N.bincount().max())
        available = self.num_images - most_excluded
        if available < 1:
            raise ValueError(
                f"memory bank: exclude={self.exclude!r} leaves none of the {self.num_images} training images "
                "as a negative; train on more images, of at least two classes."
            )
        if (self.num_negatives or 0) > available:
            raise ValueError(
                f"memory bank: num_negatives is {self.num_negatives}, but only {available} of the "
                f"{self.num_images} training images may be negatives with exclude={self.exclude!r}; "
                f"choose at most {available}, or null for all."
            )
        self.most_excluded = most_excluded

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move the rows with the module, but round or widen them only from float32 to float64.

        A trainer's precision casts every floating buffer: ``bf16-true`` would silently round the rows of
        dtype=float32, ``64-true`` make those of dtype=float16 four times as large.
        """
        rows = self._buffers.get("row_ND")
        kept = {self.dtype, torch.float64} if self.dtype == torch.float32 else {self.dtype}

        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device) if tensor is rows and moved.dtype not in kept else moved

        return super()._apply(move, recurse)

    def draw(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> Keys:
        """Row i as positive; all rows, or the first K allowed ones of a random order, as negatives."""
        return self.keys(batch, *self.choose(batch))

    def choose(self, batch: Batch) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Choose the negatives: which rows (R,), which column of them (B, K), and which pairs may meet."""
        K = self.num_negatives
        if K is None:
            return None, None, None  # whom to leave out of all rows, `keys` says

        window = K + self.most_excluded  # holds K allowed rows, whatever the order
        if self.shared_negatives:
            row_R, column_BK = distinct(window, self.num_images, self.row_ND.device), None
            allowed_BK = may_meet(self.exclude, batch, row_R, self.label_N[row_R])
        else:  # each image begins elsewhere in the same random order, which is a circle
            order_N = torch.randperm(self.num_images, device=self.row_ND.device)
            begin_B = torch.randint(self.num_images, (len(batch.index),), device=order_N.device)
            row_R, column_BK = None, order_N.repeat(2).unfold(0, window, 1)[begin_B]
            allowed_BK = may_meet(self.exclude, batch, column_BK, self.label_N[column_BK])
        reserve_BE = allowed_BK[:, K:]  # stands in, from the left, for what is excluded among the first K
        reserve_BE &= reserve_BE.cumsum(1) <= (~allowed_BK[:, :K]).sum(1, keepdim=True)
        return row_R, column_BK, allowed_BK

    def keys(
        self, batch: Batch, row_R: Tensor | None, column_BK: Tensor | None, allowed_BK: Tensor | None
    ) -> Keys:
        """Read the chosen rows of this bank."""
        row_RD = self.row_ND if row_R is None else self.row_ND.index_select(0, row_R)
        own = own_group(self.exclude, batch, self.index_N, self.label_N)
        groups = own if allowed_BK is None else None
        return Keys(self.row_ND[batch.index], row_RD, allowed_BK, self.num_images, column_BK, groups=groups)

    def put(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> None:
        """M_i ← normalise(m M_i + (1 − m) k_i), over all ranks."""
        self.write(key_BD, batch, self.momentum)

    def fill(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> None:
        """M_i ← k_i."""
        self.write(key_BD, batch, momentum=0.0)

    @torch.no_grad()
    def write(self, key_BD: Tensor, batch: Batch, momentum: float) -> None:
        """Average keys (B, D) into their images' rows; the mean key of an image that comes twice."""
        key_BD, index_B = gather(key_BD, batch.index, even=batch.even)
        row_BD = self.row_ND[index_B].to(at_least_float32(self.row_ND))
        row_BD.lerp_(mean_of_each(index_B, key_BD).to(row_BD.dtype), 1 - momentum)
        self.row_ND[index_B] = normalize(row_BD, dim=-1).to(self.row_ND.dtype)


def distinct(count: int, total: int, device: torch.device) -> Tensor:
    """The first ``count`` of a random order of 0 … ``total`` − 1, (count,) int64, in O(count) where it pays.

    Of M independent draws the first occurrences are kept, in the order of the draws. M is large enough
    that fewer than ``count`` differ with a probability below 2⁻¹⁰⁰ (Bernstein's inequality; repetitions
    would fill the rest), so no value is read back from the device.
    """
    if total < max(4 * count, 2**14):
        return torch.randperm(total, device=device)[:count]
    draw_M = torch.randint(total, (count + count // 4 + 256,), device=device)
    sorted_M, place_M = draw_M.sort(stable=True)
    first_M = torch.ones_like(draw_M, dtype=torch.bool)
    first_M[place_M[1:]] = sorted_M[1:] != sorted_M[:-1]
    rank_M = first_M.cumsum(0) - 1
    chosen = draw_M[: count + 1].clone()  # the last slot takes the repetitions
    return chosen.scatter_(0, rank_M.where(first_M & (rank_M < count), count), draw_M)[:count]


def mean_of_each(group_B: Tensor, value_BD: Tensor) -> Tensor:
    """For each of B rows the mean of the rows of its group, (B, D) in double precision.

    There float32 rows give the same to the bit, whatever the order in which a device adds them: ranks agree.
    """
    has_double = value_BD.device.type != "mps"  # Apple's GPUs have not, nor several ranks
    value_BD = value_BD.to(torch.float64 if has_double else torch.float32)
    slot_B = torch.searchsorted(group_B.sort().values, group_B)  # one for each group
    sum_BD = torch.zeros_like(value_BD).index_add_(0, slot_B, value_BD)
    count_B = slot_B.new_zeros(slot_B.shape).index_add_(0, slot_B, torch.ones_like(slot_B))
    return sum_BD[slot_B] / count_B[slot_B, None]
