"""The sampled bank's loss against copying a row for every pair: ``python benchmarks/sampled_bank.py``.

B: queries, K: negatives, N: images, D: projection
"""

from collections.abc import Callable, Iterator
from itertools import accumulate, product
from statistics import median
from typing import Any, TypeAlias

import torch
from copied_rows import CopiedRows
from side_by_side import interleave, ratios, seconds_of, spread, start, table, verdict
from torch import Tensor
from torch.nn.functional import normalize
from torch.profiler import ProfilerActivity, profile

from ctc_lightning.batch import Batch
from ctc_lightning.contrast import NCE, InfoNCE
from ctc_lightning.memory import MemoryBank, TwinBank

B, K, N, D = 64, 16384, 50_000, 128
TEMPERATURE, NUM_CLASSES = 0.1, 100
TIMES_FASTER, MOST_MIB = 10, 64

AnyBank: TypeAlias = MemoryBank | TwinBank
AnyContrast: TypeAlias = InfoNCE | NCE
MEMORIES: tuple[type[AnyBank], ...] = (MemoryBank, TwinBank)
CONTRASTS: tuple[type[AnyContrast], ...] = (InfoNCE, NCE)


class SampledLoss:
    """A bank and a contrast as a stage composes them, and the transcription on the same rows and anchors."""

    def __init__(self, memory: AnyBank, contrast: AnyContrast) -> None:
        torch.manual_seed(0)
        label_N = torch.arange(N) % NUM_CLASSES
        index_B = torch.randperm(N)[:B]
        self.batch = Batch(torch.empty(0), torch.empty(0), label_N[index_B], index_B)
        self.query_BD, self.key_BD = (normalize(torch.randn(B, D), dim=-1).requires_grad_() for _ in "qk")
        memory.allocate(D, label_N)
        self.memory, self.contrast = memory, contrast
        if isinstance(memory, MemoryBank):
            self.bank, pairs = memory, [(memory.row_ND, self.query_BD)]
        else:
            self.bank = memory.of_keys
            pairs = [(memory.of_keys.row_ND, self.query_BD), (memory.of_queries.row_ND, self.key_BD)]
        softmax = isinstance(contrast, InfoNCE)
        self.copying = CopiedRows(pairs, index_B, label_N, K, TEMPERATURE, softmax=softmax)
        torch.testing.assert_close(*self.both_losses(), rtol=1e-3, atol=0)

    def draw(self) -> tuple[Any, ...]:
        """Choose negatives: the first part of `step`."""
        return self.bank.choose(self.batch)

    def loss(self) -> Tensor:
        """Draw, read the rows, contrast."""
        return self.contrast(self.query_BD, self.memory.draw(self.query_BD, self.key_BD, self.batch))

    def step(self) -> None:
        """Draw, forward, backward."""
        self.loss().backward()

    def both_losses(self) -> tuple[Tensor, Tensor]:
        """The package's and the transcription's with the same negatives."""
        torch.manual_seed(1)
        row_R, column_BK, allowed_BK = self.draw()
        image_BK = column_BK if row_R is None else row_R.expand(B, -1)
        torch.manual_seed(1)
        return self.loss(), self.copying.loss(image_BK[allowed_BK].view(B, K))


def measure(
    memory: type[AnyBank], contrast: type[AnyContrast], rounds: int
) -> Iterator[tuple[list[str], float, float]]:
    """A table's row, the median speed-up and MiB: for shared draws, then for one draw for each image."""
    losses = {
        "shared": SampledLoss(memory(0.9, K), contrast(TEMPERATURE)),
        "per image": SampledLoss(memory(0.9, K, shared_negatives=False), contrast(TEMPERATURE)),
    }
    copying = losses["shared"].copying
    steps: dict[str, Callable[[], object]] = {"copying draw": copying.draw, "copying": copying.step}
    for name, loss in losses.items():
        steps |= {f"{name} draw": loss.draw, name: loss.step}
    seconds = interleave({name: seconds_of(step) for name, step in steps.items()}, rounds)
    cost = {name: spread(values, scale=1e3) for name, values in seconds.items()}
    theirs = [cost["copying draw"], cost["copying"], f"{peak_mib(copying.step):.0f}"]
    for name, loss in losses.items():
        faster, mib = ratios(seconds["copying"], seconds[name]), peak_mib(loss.step)
        ours = [cost[f"{name} draw"], cost[name], f"{mib:.0f}"]
        title = f"{memory.__name__}, {contrast.__name__}, {name}"
        yield [title, *theirs, *ours, spread(faster)], median(faster), mib


def peak_mib(step: Callable[[], object]) -> float:
    """The most tensor memory that a step holds at once beyond what was there before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns()))) / 2**20


def main() -> None:
    """Every bank with every contrast; the first row is the default."""
    rounds = start(rounds=15)
    parts = product(MEMORIES, CONTRASTS)
    rows, faster, mib = zip(*(row for chosen in parts for row in measure(*chosen, rounds)), strict=True)
    head = "copying: draw, ms", "loss, ms", "MiB", "package: draw, ms", "draw + loss, ms", "MiB", "× faster"
    table(("", *head), *rows)
    verdict(
        f"the default is at least {TIMES_FASTER} × faster, in at most {MOST_MIB} MiB",
        kept=faster[0] >= TIMES_FASTER and mib[0] <= MOST_MIB,
    )


if __name__ == "__main__":
    main()
