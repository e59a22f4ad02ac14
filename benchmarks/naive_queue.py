"""InfoNCE with a queue, ours and as it is usually written: ``python benchmarks/naive_queue.py``.

Timed are the loss, its gradient for the queries, and the writing of the keys: all of a step but the networks.

B: queries, K: slots, D: projection
"""

from collections.abc import Callable
from statistics import median

import torch
from sampled_bank import peak_mib
from side_by_side import interleave, ratios, seconds_of, spread, start_or_try, table, verdict
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from ctc_lightning.batch import Batch
from ctc_lightning.contrast import InfoNCE
from ctc_lightning.memory import KeyQueue
from ctc_lightning.memory.protocol import Exclude

D, TEMPERATURE, NUM_IMAGES, NUM_CLASSES = 128, 0.2, 1_281_167, 1000
SIZES = [(64, 16384), (256, 65536)]  # B, K: as for CIFAR, as for ImageNet
QUICK = [(16, 256)]
TIMES_AS_FAST = (0.9, 1.5)  # at these sizes; the mask that the naive one lacks weighs more at the first


class QueueStep:
    """Our queue, full, with the contrast as a stage composes them."""

    def __init__(self, batch: Batch, key_KD: Tensor, exclude: Exclude) -> None:
        self.queue = KeyQueue(len(key_KD), exclude=exclude)
        self.queue.allocate(D, torch.empty(0))
        views = torch.empty(0)
        index_K = torch.arange(len(key_KD)) + NUM_IMAGES  # of no image of the batch
        self.queue.put(key_KD, key_KD, Batch(views, views, index_K % NUM_CLASSES, index_K))
        self.contrast, self.batch = InfoNCE(TEMPERATURE), batch

    def loss(self, query_BD: Tensor, key_BD: Tensor) -> Tensor:
        """Draw, contrast."""
        return self.contrast(query_BD, self.queue.draw(query_BD, key_BD, self.batch))

    def put(self, key_BD: Tensor) -> None:
        """Write over the oldest keys."""
        self.queue.put(key_BD, key_BD, self.batch)

    def stored(self) -> Tensor:
        """(K, D)."""
        return self.queue.key_KD


class NaiveQueueStep:
    """Neither labels, images nor masks; K is a multiple of B.

    The queue is copied for each loss, since autograd needs it as it was when the keys are written before the
    backward pass, and the positive is joined to the negatives.

    Args:
        row_by_row: whether keys are written in a Python loop, otherwise as one slice.
    """

    def __init__(self, key_KD: Tensor, *, row_by_row: bool) -> None:
        self.key_KD, self.cursor, self.row_by_row = key_KD.clone(), 0, row_by_row

    def loss(self, query_BD: Tensor, key_BD: Tensor) -> Tensor:
        """Cross-entropy over 1 + K logits, the first of which is right."""
        key_KD = self.key_KD.clone().detach()
        positive_B1 = torch.einsum("bd,bd->b", query_BD, key_BD)[:, None]
        negative_BK = torch.einsum("bd,kd->bk", query_BD, key_KD)
        logit_BK = torch.cat([positive_B1, negative_BK], dim=1) / TEMPERATURE
        return cross_entropy(logit_BK, torch.zeros(len(query_BD), dtype=torch.int64))

    def put(self, key_BD: Tensor) -> None:
        """Write over the oldest keys."""
        if self.row_by_row:
            for key_D in key_BD:
                self.key_KD[self.cursor] = key_D
                self.cursor = (self.cursor + 1) % len(self.key_KD)
        else:
            self.key_KD[self.cursor : self.cursor + len(key_BD)] = key_BD
            self.cursor = (self.cursor + len(key_BD)) % len(self.key_KD)

    def stored(self) -> Tensor:
        """(K, D)."""
        return self.key_KD


def step_of(queue: QueueStep | NaiveQueueStep, query_BD: Tensor, key_BD: Tensor) -> Callable[[], Tensor]:
    """One call computes loss and gradient, writes the keys, and returns loss and gradient as one vector."""

    def step() -> Tensor:
        query_BD.grad = None
        loss = queue.loss(query_BD, key_BD)
        loss.backward()
        queue.put(key_BD)
        return torch.cat([loss.detach().view(1), query_BD.grad.flatten()])  # type: ignore[attr-defined]

    return step


def measure(num_queries: int, num_keys: int, rounds: int) -> tuple[list[list[str]], float, bool]:
    """A table's rows, and of ours, by default: how many times faster, whether in less memory."""
    torch.manual_seed(0)
    sizes = num_queries, num_queries, num_keys
    query_BD, key_BD, key_KD = (normalize(torch.randn(rows, D), dim=-1) for rows in sizes)
    query_BD.requires_grad_()
    views = torch.empty(0)
    index_B = torch.randperm(NUM_IMAGES)[:num_queries]
    batch = Batch(views, views, index_B % NUM_CLASSES, index_B)
    queues: dict[str, QueueStep | NaiveQueueStep] = {
        "naive, row by row": NaiveQueueStep(key_KD, row_by_row=True),
        "naive, slices": NaiveQueueStep(key_KD, row_by_row=False),
        "ours": QueueStep(batch, key_KD, "image"),
        "ours, no key excluded": QueueStep(batch, key_KD, "none"),
    }
    steps = {name: step_of(queue, query_BD, key_BD) for name, queue in queues.items()}
    naive, *others = (step() for step in steps.values())  # loss and gradient
    for other in others:
        torch.testing.assert_close(other, naive, rtol=1e-5, atol=1e-5 * float(naive[1:].abs().max()))
    first, *rest = (queue.stored() for queue in queues.values())
    assert all(torch.equal(one, first) for one in rest), "the queues hold different keys"
    seconds = interleave({name: seconds_of(step) for name, step in steps.items()}, rounds)
    faster = {name: ratios(seconds["naive, row by row"], seconds[name]) for name in steps}
    mib = {name: peak_mib(step) for name, step in steps.items()}
    rows = [
        [
            f"B {num_queries}, K {num_keys}: {name}",
            spread(seconds[name], scale=1e3),
            f"{mib[name]:.1f}",
            spread(faster[name]),
        ]
        for name in steps
    ]
    return rows, median(faster["ours"]), mib["ours"] < mib["naive, row by row"]


def main() -> None:
    """Both sizes."""
    rounds, quick = start_or_try(rounds=15)
    rows, faster, less = zip(*(measure(*size, rounds) for size in (QUICK if quick else SIZES)), strict=True)
    table(("loss, gradient and keys", "ms", "MiB", "× faster"), *(row for part in rows for row in part))
    if quick:
        return
    verdict(
        f"the queue is at least {' and '.join(map(str, TIMES_AS_FAST))} × as fast as the naive one that "
        "writes row by row, though it leaves out the query's own image, and needs less memory",
        kept=all(f >= least for f, least in zip(faster, TIMES_AS_FAST, strict=True)) and all(less),
    )


if __name__ == "__main__":
    main()
