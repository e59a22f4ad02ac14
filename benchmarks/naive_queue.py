"""InfoNCE with a queue, ours and as MoCo and lightly write it: ``python benchmarks/naive_queue.py``.

Timed are the loss, its gradient for the queries, and the writing of the keys: all of a step but the networks.
They are held against what none can do without, the two matrix products and the softmax.

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
SIZES = [(64, 1024), (64, 4096), (64, 16384), (128, 16384), (128, 65536), (256, 65536), (64, 262144)]  # B, K
QUICK = [(16, 256)]
MOST_TIMES, FROM_LOGITS = 1.15, 2**20  # from B × K on; below, the steps of autograd weigh more


class QueueStep:
    """Our queue, full, with the contrast as a stage composes them."""

    def __init__(self, batch: Batch, key_KD: Tensor, exclude: Exclude) -> None:
        self.queue = KeyQueue(len(key_KD), exclude=exclude)
        self.queue.allocate(D, torch.empty(0))
        views = torch.empty(0)
        index_K = torch.arange(len(key_KD)) + NUM_IMAGES  # of no image of the batch
        label_K = torch.full_like(index_K, NUM_CLASSES)  # and of none of its classes
        self.queue.put(key_KD, key_KD, Batch(views, views, label_K, index_K))
        self.contrast, self.batch = InfoNCE(TEMPERATURE), batch

    def __call__(self, query_BD: Tensor, key_BD: Tensor) -> None:
        """Draw, contrast, write over the oldest keys."""
        self.contrast(query_BD, self.queue.draw(query_BD, key_BD, self.batch)).backward()
        self.queue.put(key_BD, key_BD, self.batch)

    def stored(self) -> Tensor:
        """(K, D)."""
        return self.queue.key_KD


class CopiedQueue:
    """Neither labels, images nor masks; K is a multiple of B.

    The queue is copied for each loss, since autograd needs it as it was when the keys are written before the
    backward pass, and the positive is joined to the negatives.
    """

    def __init__(self, key_KD: Tensor) -> None:
        self.queue, self.cursor = key_KD.clone(), 0

    def next_slots(self, num_keys: int) -> slice:
        """Those of the oldest keys."""
        slots = slice(self.cursor, self.cursor + num_keys)
        self.cursor = slots.stop % self.num_slots
        return slots

    @property
    def num_slots(self) -> int:
        """K."""
        return max(self.queue.shape)

    def stored(self) -> Tensor:
        """(K, D)."""
        return self.queue


class MoCo(CopiedQueue):
    """The formula of facebookresearch/moco@4397a04 moco/builder.py: the queue is (D, K)."""

    def __init__(self, key_KD: Tensor) -> None:
        super().__init__(key_KD.T.contiguous())

    def __call__(self, query_BD: Tensor, key_BD: Tensor) -> None:
        """Cross-entropy over 1 + K logits, the first of which is right; write the keys."""
        positive_B1 = torch.einsum("nc,nc->n", query_BD, key_BD)[:, None]
        negative_BK = torch.einsum("nc,ck->nk", query_BD, self.queue.clone())
        logit_BK = torch.cat([positive_B1, negative_BK], dim=1)
        logit_BK /= TEMPERATURE
        self.queue[:, self.next_slots(len(key_BD))] = key_BD.T
        cross_entropy(logit_BK, torch.zeros(len(query_BD), dtype=torch.int64)).backward()

    def stored(self) -> Tensor:
        """(K, D)."""
        return self.queue.T


class Lightly(CopiedQueue):
    """The formula of lightly-ai/lightly@00283d7 lightly/loss/ntx_ent_loss.py: the queue is (K, D)."""

    def __call__(self, query_BD: Tensor, key_BD: Tensor) -> None:
        """Normalise again; cross-entropy over 1 + K logits, the first of which is right; write the keys."""
        unit_BD, key_BD = normalize(query_BD, dim=1), normalize(key_BD, dim=1)
        key_DK = self.queue.clone().T
        self.queue[self.next_slots(len(key_BD))] = key_BD
        positive_B1 = torch.einsum("nc,nc->n", unit_BD, key_BD)[:, None]
        negative_BK = torch.einsum("nc,ck->nk", unit_BD, key_DK)
        logit_BK = torch.cat([positive_B1, negative_BK], dim=1) / TEMPERATURE
        cross_entropy(logit_BK, torch.zeros(len(query_BD), dtype=torch.int64)).backward()


@torch.no_grad()
def products_and_softmax(query_BD: Tensor, key_KD: Tensor) -> Tensor:
    """Logits, their softmax, and the negatives' part of the gradient: no loss, no positive, no mask."""
    return (query_BD @ key_KD.T).softmax(1) @ key_KD


def measure(num_queries: int, num_keys: int, rounds: int) -> tuple[list[str], dict[str, float], bool]:
    """A table's row, each loss as a multiple of products and softmax, and whether ours needs least memory."""
    torch.manual_seed(0)
    sizes = num_queries, num_queries, num_keys
    query_BD, key_BD, key_KD = (normalize(torch.randn(rows, D), dim=-1) for rows in sizes)
    views = torch.empty(0)
    index_B = torch.randperm(NUM_IMAGES)[:num_queries]
    batch = Batch(views, views, index_B % NUM_CLASSES, index_B)
    queues: dict[str, MoCo | Lightly | QueueStep] = {
        "moco": MoCo(key_KD),
        "lightly": Lightly(key_KD),
        "no key": QueueStep(batch, key_KD, "none"),
        "ours": QueueStep(batch, key_KD, "image"),
        "class": QueueStep(batch, key_KD, "class"),
    }
    query_BD.requires_grad_()
    gradients = []
    for queue in queues.values():
        query_BD.grad = None
        queue(query_BD, key_BD)
        gradients.append(query_BD.grad)
    for gradient_BD in gradients[2:]:  # lightly's goes through a normalisation
        bound = 1e-5 * float(gradients[0].abs().max())
        torch.testing.assert_close(gradient_BD, gradients[0], rtol=1e-5, atol=bound)
    torch.testing.assert_close(queues["ours"].stored(), queues["moco"].stored(), rtol=0, atol=0)

    def step_of(queue: MoCo | Lightly | QueueStep) -> Callable[[], None]:
        def step() -> None:
            query_BD.grad = None
            queue(query_BD, key_BD)

        return step

    steps = {name: step_of(queue) for name, queue in queues.items()}
    needed = {"needed": lambda: products_and_softmax(query_BD, key_KD)}
    repeats = max(1, 2**22 // (num_queries * num_keys))
    timed = {name: seconds_of(repeat(step, repeats)) for name, step in (needed | steps).items()}
    seconds = interleave(timed, rounds)
    times = {name: ratios(seconds[name], seconds["needed"]) for name in steps}
    mib = {name: peak_mib(steps[name]) for name in ("moco", "lightly", "ours")}
    row = [f"{num_queries}, {num_keys}", spread(seconds["needed"], scale=1e3 / repeats)]
    row += [spread(values) for values in times.values()] + [f"{value:.1f}" for value in mib.values()]
    least = mib["ours"] < min(mib["moco"], mib["lightly"])
    return row, {name: median(values) for name, values in times.items()}, least


def repeat(step: Callable[[], object], repeats: int) -> Callable[[], None]:
    """The step so many times."""

    def run() -> None:
        for _ in range(repeats):
            step()

    return run


def main() -> None:
    """Every size."""
    rounds, quick = start_or_try(rounds=15)
    sizes = QUICK if quick else SIZES
    rows, times, least = zip(*(measure(*size, rounds) for size in sizes), strict=True)
    left_out = [f"ours, without its {what} ×" for what in ("image", "class")]
    head = ["B, K", "products and softmax, ms", "moco ×", "lightly ×", "ours ×", *left_out]
    table(head + [f"{name}, MiB" for name in ("moco", "lightly", "ours")], *rows)
    if quick:
        return
    large = [one["ours"] for one, (B, K) in zip(times, sizes, strict=True) if B * K >= FROM_LOGITS]
    verdict(
        "without exclusions ours is faster than moco's and lightly's at each size, in less memory, "
        f"and from {FROM_LOGITS} logits on takes at most {MOST_TIMES} × products and softmax",
        kept=all(one["ours"] < min(one["moco"], one["lightly"]) for one in times)
        and all(least)
        and max(large) <= MOST_TIMES,
    )


if __name__ == "__main__":
    main()
